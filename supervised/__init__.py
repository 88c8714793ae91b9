"""The supervised half of bah-mllm: features, fusion models, training and adaptation (see supervised/README.md).

A package of the same import name exists on the package index (mljar-supervised). ``bah-mllm doctor`` and the commands
that need this one recognise ours by ``BAH_MLLM_SUPERVISED``.
"""

BAH_MLLM_SUPERVISED = True
