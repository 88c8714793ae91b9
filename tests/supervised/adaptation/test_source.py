"""What is adapted: any feature set, or what another model makes of it."""

from __future__ import annotations

import json

import numpy as np


def test_several_modalities_stand_side_by_side(run, tmp_path):
    record = run("shot", tmp_path / "run", "features.audio=heard", source=None)
    assert record["features"] == {"visual": "made-up", "audio": "heard"}
    assert len(record["targets"]) == 3


def test_any_other_modality_can_be_adapted(tmp_path, features):
    from supervised.flows.adapt import adapt, make_request

    overrides = ("features={audio='heard'}", "loop.epochs=1", "source_training.loop.epochs=1")
    record = adapt(make_request("nrc", overrides, out=tmp_path / "run", features=features))
    assert record.features == {"audio": "heard"}


def test_a_temporal_model_gives_embeddings_that_are_adapted(tmp_path, features):
    from supervised.flows.adapt import adapt, make_request
    from supervised.flows.train import train
    from supervised.reading import read_recipe
    from supervised.training.requests import TrainRequest

    recipe = read_recipe("tcn_visual", ["features.visual=made-up", "loop.epochs=1", "standardise=['visual']"])
    train(recipe, TrainRequest(None, tmp_path / "tcn", features))
    overrides = ("features.visual=made-up", "loop.epochs=1", "source_training.loop.epochs=1")
    record = adapt(make_request("mmd", overrides, out=tmp_path / "run", features=features, source=tmp_path / "tcn"))
    assert len(record.targets) == 3
    assert json.loads((tmp_path / "run/source/source.json").read_text())["origin"] == "embedding"


def test_an_encoder_of_fixed_windows_embeds_every_frame_of_shorter_and_longer_videos():
    from supervised.adaptation.representation import Representation
    from supervised.models import build_model
    from supervised.records import VideoFeatures

    dims = {"visual": 4, "audio": 3, "text": 5}
    encoder = build_model("lfan", dims, variant="faithful", window_frames=12).eval()
    for n_frames in (5, 12, 30):
        rng = np.random.default_rng(n_frames)
        features = {name: rng.normal(size=(n_frames, dim)).astype(np.float32) for name, dim in dims.items()}
        valid = dict.fromkeys(dims, np.ones(n_frames, bool))
        video = VideoFeatures("v", "p", None, None, n_frames, features, valid, None, None)
        found = Representation({}, encoder=encoder).encoded(video)
        assert list(found.features) == ["visual"]
        assert len(found.features["visual"]) == n_frames
        assert np.isfinite(found.features["visual"]).all()


def test_a_frame_model_of_a_training_run_is_adapted_itself(tmp_path, features):
    from supervised.flows.adapt import adapt, make_request
    from supervised.flows.train import train
    from supervised.reading import read_recipe
    from supervised.training.requests import TrainRequest

    overrides = ["features.visual=made-up", "model.name=mlp", "loop.epochs=1", "standardise=['visual']"]
    train(read_recipe("tcn_visual", overrides), TrainRequest(None, tmp_path / "mlp", features))
    request = make_request("shot", ("loop.epochs=1",), out=tmp_path / "run", features=features, source=tmp_path / "mlp")
    record = adapt(request)
    assert record.features == {"visual": "made-up"}
    assert json.loads((tmp_path / "run/source/source.json").read_text())["origin"] == "checkpoint"
    trained, kept = (folder / "model.safetensors" for folder in (tmp_path / "mlp/seed-0", tmp_path / "run/source"))
    assert trained.read_bytes() == kept.read_bytes()
