"""``bah-mllm cues extract | render | score | show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bah_mllm.cli.options import DataCommand, Json, finite
from bah_mllm.core.saying import say, tell

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Turn face, body, voice and words into timed events, relative to the person's usual behaviour.",
)


@app.command(cls=DataCommand)
def extract(
    target: Annotated[Path, typer.Argument(help="A video, or the root of a data set.")],
    *,
    out: Annotated[
        Path, typer.Option(help="Folder for one JSONL of events per video, and what was kept to make them.")
    ],
    split: Annotated[str | None, typer.Option(help="Only this split.", show_default="everything")] = None,
    face_hz: Annotated[
        float, typer.Option(help="Looks at the face a second; blinks need 12.", min=0.1, max=1_000, callback=finite)
    ] = 25.0,
    body_hz: Annotated[
        float, typer.Option(help="Looks at shoulders and hands a second.", min=0.1, max=1_000, callback=finite)
    ] = 3.0,
    face_model: Annotated[
        Path | None,
        typer.Option(help="face_landmarker.task of mediapipe Tasks.", show_default="mediapipe's own models"),
    ] = None,
    pose_model: Annotated[
        Path | None,
        typer.Option(help="pose_landmarker.task, beside --face-model.", show_default="nothing about the body"),
    ] = None,
    hand_model: Annotated[
        Path | None, typer.Option(help="hand_landmarker.task, beside --face-model.", show_default="nothing about hands")
    ] = None,
    workers: Annotated[int, typer.Option(help="Videos looked at at the same time.", min=1, max=1_000)] = 1,
    comb_engine: Annotated[
        str | None,
        typer.Option(
            help="Engine that finds statements for and against change, quotes checked.", show_default="left out"
        ),
    ] = None,
    comb_model: Annotated[str | None, typer.Option(help="Its model.", show_default="the engine's")] = None,
) -> int:
    """Extract the cues of videos; the same command goes on where it stopped. Exit code 3 where videos were unreadable.

    Example: bah-mllm cues extract BAH_DB --out cues
    """
    from bah_mllm.core.errors import ConfigError
    from bah_mllm.cues.perception import Sampling
    from bah_mllm.cues.tasks_backend import TaskModels
    from bah_mllm.engines import EngineOptions, load_engine
    from bah_mllm.pipeline.cues import extract_cues

    if face_model is None and (pose_model is not None or hand_model is not None):
        raise ConfigError(
            "A pose or hand model is given without one of the face.",
            remedy="Add --face-model, or leave all three out for mediapipe's own.",
        )
    models = TaskModels(face_model, pose=pose_model, hand=hand_model) if face_model is not None else None
    reader = load_engine(comb_engine, EngineOptions(model=comb_model)) if comb_engine is not None else None
    n_unreadable = extract_cues(
        target,
        out,
        split=split,
        sampling=Sampling(face_hz=face_hz, body_hz=body_hz),
        models=models,
        workers=workers,
        reader=reader,
    )
    tell(str(out))
    return 3 if n_unreadable else 0


@app.command()
def render(
    folder: Annotated[Path, typer.Argument(help="Folder that `cues extract` wrote.")],
    video: Annotated[str, typer.Argument(help="Id of a video, as in the data set.")],
    *,
    start: Annotated[float, typer.Option(help="Start of the window in seconds.", min=0, callback=finite)] = 0.0,
    stop: Annotated[
        float | None, typer.Option(help="End of the window in seconds.", show_default="the video's", callback=finite)
    ] = None,
    tokens: Annotated[int, typer.Option(help="Budget for ten seconds, about.", min=1, max=100_000)] = 60,
    modality: Annotated[
        list[str] | None,
        typer.Option(help="face, voice, words, body or clash; repeat for several.", show_default="all"),
    ] = None,
) -> None:
    """Print what stood out in a window, as a language model reads it.

    Example: bah-mllm cues render cues Videos/90001/Visite_1/clip.mp4
    """
    from bah_mllm.inspection.cue_views import rendered_cues

    tell(rendered_cues(folder, video, start_s=start, stop_s=stop, tokens_per_10s=tokens, modalities=modality))


@app.command(cls=DataCommand)
def score(
    folder: Annotated[Path | None, typer.Argument(help="Folder that `cues extract` wrote.")] = None,
    *,
    words: Annotated[
        Path | None, typer.Option(help="Judge the language rules on a disfluency corpus (Switchboard form) instead.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="JSONL with video_id, code, start_s, stop_s.", show_default="the demo set's")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data set (or demo) whose annotators named cues in segments: agreement with them instead."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split of it.", show_default="everything")] = None,
    tolerance: Annotated[float, typer.Option(help="Seconds that an event may lie off.", min=0, callback=finite)] = 0.2,
    json_path: Json = None,
) -> None:
    """Tell how well cues were found: precision, recall and false events per minute of each; agreement with annotators.

    Example: bah-mllm cues score cues --data BAH_DB
    """
    from bah_mllm.inspection.cue_scores import print_scores

    print_scores(folder, words=words, truth=truth, data=data, split=split, tolerance_s=tolerance, json_path=json_path)


@app.command(cls=DataCommand)
def show(
    folder: Annotated[Path, typer.Argument(help="Folder that `cues extract` wrote.")],
    video: Annotated[str, typer.Argument(help="Id, file name or stem of a video.")],
    *,
    data: Annotated[str | None, typer.Option(help="Its data set.", show_default="the demo set")] = None,
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("timeline.png"),
    private: Annotated[
        bool, typer.Option("--private", help="For your eyes only: also people who did not agree to publication.")
    ] = False,
) -> None:
    """Draw a video over time: signals with the person's usual, events, words, A/H segments; and print it as text.

    Example: bah-mllm cues show cues 90001_Question_4_2025-03-04_09-14-05_Video
    """
    from bah_mllm.inspection.cue_views import show_cues

    tell(show_cues(folder, video, data=data, picture=out, is_private=private).removesuffix("\n"))
    say(f"wrote {out}")
