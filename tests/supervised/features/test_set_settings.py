"""What a set was made with: other settings are refused, older descriptions read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bah_mllm.core.errors import PrerequisiteError, RunError
from supervised.features import FeatureStore, extractors
from supervised.features.crops import find_shipped
from supervised.features.extracting import extract_features
from supervised.features.request import FeatureRequest
from supervised.models.backbones import BACKBONES, Backbone, build_backbone

FACES = FeatureRequest(visual=("tiny",), is_random=True)


def as_written_before_stand_ins_were_told(folder: Path) -> str:
    """Take the field out of a set's description and return what is left, as older versions wrote it."""
    path = folder / "set.json"
    described = json.loads(path.read_text())
    del described["is_stand_in"]
    path.write_text(json.dumps(described, indent=1) + "\n")
    return path.read_text()


def test_a_store_of_an_older_version_is_gone_on_with(root: Path, tmp_path: Path, name_of: Callable[[str], str]) -> None:
    extract_features(root, tmp_path / "f", FACES)
    described = json.loads(as_written_before_stand_ins_were_told(tmp_path / "f" / "face-tiny"))
    found = extract_features(root, tmp_path / "f", FACES).sets["face-tiny"]
    assert (found.n_reused, found.n_videos) == (3, 3)
    # The digest of rows as older versions computed it, from the description they wrote.
    digest = hashlib.sha256(json.dumps([1, described], sort_keys=True).encode())
    content = hashlib.sha256((root / name_of("a")).read_bytes()).digest()
    crops = hashlib.sha256()
    for number, path in find_shipped(root, name_of("a")).items():
        crops.update(f"{number}:".encode() + hashlib.sha256(path.read_bytes()).digest())
    for part in (content, crops.digest()):
        digest.update(len(part).to_bytes(8, "big") + part)
    assert FeatureStore(tmp_path / "f").digest("face-tiny", name_of("a")) == digest.hexdigest()


def test_an_older_set_of_a_network_that_was_random_in_part_is_refused_with_a_remedy(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def partly_random(name: str, weights: str | None, *, random: bool) -> Backbone:
        backbone = build_backbone(name, weights, random=random)
        backbone.weights_name = "ir50.pth"  # only these weights were told, and nothing of what they lack
        return backbone

    monkeypatch.setattr(extractors, "build_backbone", partly_random)
    extract_features(root, tmp_path / "f", FACES)
    as_written_before_stand_ins_were_told(tmp_path / "f" / "face-tiny")
    with pytest.raises(RunError, match="is_stand_in = False, but now is_stand_in = True") as caught:
        extract_features(root, tmp_path / "f", FACES)
    assert "--suffix" in caught.value.remedy


def test_sets_of_other_settings_are_never_mixed(root: Path, tmp_path: Path) -> None:
    extract_features(root, tmp_path / "f", FACES)
    with pytest.raises(RunError, match=r"settings.dtype = 'float16', but now settings.dtype = 'float32'"):
        extract_features(root, tmp_path / "f", replace(FACES, dtype="float32"))
    extract_features(root, tmp_path / "f", replace(FACES, dtype="float32", suffix="-fine"))
    assert FeatureStore(tmp_path / "f").names() == ("face-tiny", "face-tiny-fine")


@pytest.mark.usefixtures("small_vggish")
def test_faithful_sets_have_names_of_their_own(
    root: Path, tmp_path: Path, bert_folder: Path, name_of: Callable[[str], str]
) -> None:
    request = FeatureRequest(audio=("vggish",), text=("bert",), text_model=str(bert_folder), is_faithful=True)
    extract_features(root, tmp_path / "f", request)
    store = FeatureStore(tmp_path / "f")
    assert store.names() == ("bert-faithful", "vggish-faithful")
    assert store.read("bert-faithful", name_of("a")).is_valid.all()


def test_weights_must_be_given_or_random_ones_asked_for(root: Path, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="needs weights"):
        extract_features(root, tmp_path / "f", replace(FACES, is_random=False))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "No features are asked for"),
        (("--audio", "wav2vec"), "no --audio 'wav2vec'"),
        (("--visual", "resnet81", "--random-weights"), "no backbone named 'resnet81'"),
        (("--visual", "tiny", "--weights", "tiny"), "is not NAME=PATH"),
        (("--visual", "tiny", "--weights", "resnet18=x"), "weights of 'resnet18', which is not asked for"),
        (("--visual", "tiny", "--random-weights", "--dtype", "int8"), "no --dtype 'int8'"),
        (("--visual", "tiny", "--random-weights", "--device", "abacus"), "no device 'abacus'"),
        (("--visual", "tiny", "--random-weights", "--detector", "dlib"), "no face detector 'dlib'"),
        (("--visual", "tiny", "--random-weights", "--json", "/nowhere/x.json"), "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_refused_in_two_lines(
    root: Path, bah: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], problem: str
) -> None:
    code, _, err = bah("features", root, *arguments)
    assert code == 2
    assert problem in err.splitlines()[-2]
    assert err.splitlines()[-1].startswith("  try: ")


def test_the_help_names_every_backbone(bah: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = bah("features", "--help")
    assert code == 0
    assert set(BACKBONES) <= set(re.findall(r"[a-z]+[0-9]*", out))
