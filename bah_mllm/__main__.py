"""``python -m bah_mllm`` is ``bah-mllm``."""

from bah_mllm.cli import main

if __name__ == "__main__":
    main()
