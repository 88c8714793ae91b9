#!/usr/bin/env bash
# Set up and run the main job on the demo set: transcripts through the embedded language model, then the same windows
# through a tiny Video-LLaVA with random weights, then one evaluation of both.
# The demo set is synthetic and both models are stand-ins: this shows that everything works, not how well A/H is recognised.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
bah_environment llm

show() { printf "\n$ %s\n" "$*" >&2; "$@"; }

show bah-mllm models get smollm2
show bah-mllm models get tiny-video-llava
text_run=$(show bah-mllm run --prompt transcript_def1 --window 120)
video_run=$(show bah-mllm run --prompt transcript_def1 --window 120 --engine video-llava --model tiny-video-llava)
show bah-mllm status "$video_run"
show bah-mllm evaluate "$text_run" "$video_run"
