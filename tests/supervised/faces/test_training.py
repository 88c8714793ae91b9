import json
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.core.records import Level, Status
from supervised.faces import cross_entropy
from supervised.faces.classifier import FaceClassifier, load_classifier, predict_backbone, predict_faces
from supervised.faces.cross_entropy import FaceClassification
from supervised.faces.pictures import LabelledFaces, bah_faces, check_classes, read_batches, write_crops
from supervised.faces.predict import backbone_predictor
from supervised.faces.recipe import BackboneRecipe, BahFaces
from supervised.faces.train import train_backbone
from supervised.models.backbones import Backbone, build_backbone, load_head
from supervised.reading import list_recipes, read_recipe
from supervised.training.processes import Shard
from supervised.training.requests import PredictRequest

DATA = BahFaces(task="bah", batch_images=5)


def recipe(crops, **changes):
    content = {
        "kind": "backbone",
        "name": "trial",
        "source": "test",
        "backbone": "tiny",
        "random": True,
        "head_lr_factor": 10.0,
        "data": {"task": "bah", "faces": str(crops), "undersample": 1.0, "batch_images": 16},
        "loop": {"epochs": 2, "lr": 0.02, "device": "cpu", "select": "val_ap"},
    }
    return BackboneRecipe.model_validate(content | changes)


@pytest.fixture(scope="session")
def trained(crops, demo, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "seed-0"
    return out, train_backbone(recipe(crops), demo, out, seed=0)


def pictures(folder, n, *, labels, px=(36, 36)):
    paths = []
    for number in range(n):
        path = folder / f"{number}.png"
        Image.new("RGB", px, (number, 0, 0)).save(path)
        paths.append(str(path))
    return LabelledFaces(("no_ah", "ah"), paths, np.array(labels))


class TestStrategy:
    def test_every_epoch_has_all_positives_and_as_many_negatives_drawn_anew(self, tmp_path):
        labels = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
        faces = LabelledFaces(("no_ah", "ah"), [""] * 12, np.array(labels))
        strategy = FaceClassification(faces, DATA.model_copy(update={"undersample": 1.0}), Backbone("tiny"))
        epochs = [strategy.chosen(epoch) for epoch in range(12)]
        for chosen in epochs:
            assert set(chosen) >= {0, 10, 11}
            assert len(set(chosen)) == 6
        assert set(np.concatenate(epochs)) == set(range(12))
        assert np.array_equal(strategy.chosen(3), epochs[3])

    def test_without_undersampling_every_face_comes_once(self, tmp_path):
        faces = pictures(tmp_path, 12, labels=[0] * 11 + [1])
        strategy = FaceClassification(faces, DATA, Backbone("tiny"))
        batches = list(strategy.batches(0))
        assert [len(batch.labels) for batch in batches] == [4, 4, 4]
        assert strategy.n_batches(0) == 3
        assert sorted(int(batch.image[k, 0, 0, 0]) for batch in batches for k in range(4)) == list(range(12))

    def test_more_negatives_are_not_asked_for_than_there_are(self):
        faces = LabelledFaces(("no_ah", "ah"), [""] * 4, np.array([0, 1, 1, 1]))
        data = DATA.model_copy(update={"undersample": 2.0})
        assert sorted(FaceClassification(faces, data, Backbone("tiny")).chosen(0)) == [0, 1, 2, 3]

    def test_faces_are_cropped_and_mirrored_at_random_and_the_same_again(self, tmp_path):
        ramp = np.arange(36, dtype=np.uint8)
        pixels = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(0)), axis=-1)
        paths = []
        for number in range(60):
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
            paths.append(str(tmp_path / f"{number}.png"))
        faces = LabelledFaces(("no_ah", "ah"), paths, np.arange(60) % 2)
        strategy = FaceClassification(faces, DATA.model_copy(update={"batch_images": 60}), Backbone("tiny"), seed=4)
        (batch,) = strategy.batches(1)
        seen = Counter()
        for image in batch.image:
            top, left, right = int(image[0, 0, 0]), int(image[1, 0, 0]), int(image[1, 0, -1])
            assert (image[0] == torch.arange(top, top + 32)[:, None]).all()
            assert abs(right - left) == 31
            seen[("top", top)] += 1
            seen[("left", min(left, right))] += 1
            seen[("mirrored", left > right)] += 1
        assert {value for kind, value in seen if kind == "top"} == {0, 1, 2, 3, 4}
        assert {value for kind, value in seen if kind == "left"} == {0, 1, 2, 3, 4}
        assert 15 < seen[("mirrored", True)] < 45
        (again,) = strategy.batches(1)
        (other,) = strategy.batches(2)
        assert torch.equal(again.image, batch.image)
        assert not torch.equal(other.image, batch.image)

    def test_processes_share_each_batch(self, tmp_path):
        faces = pictures(tmp_path, 11, labels=[0] * 10 + [1])
        whole = list(FaceClassification(faces, DATA, Backbone("tiny")).batches(0))
        shards = [
            list(FaceClassification(faces, DATA, Backbone("tiny"), shard=Shard(rank, 2)).batches(0)) for rank in (0, 1)
        ]
        for batch, first, second in zip(whole, *shards, strict=True):
            together = torch.cat([first.image, second.image])
            assert sorted(map(torch.Tensor.sum, batch.image)) == sorted(map(torch.Tensor.sum, together))

    def test_pictures_that_cannot_be_read_are_left_out_and_counted(self, tmp_path, capsys):
        faces = pictures(tmp_path, 6, labels=[0, 0, 0, 1, 1, 1])
        (tmp_path / "1.png").write_bytes(b"no picture")
        (tmp_path / "4.png").unlink()
        batches = list(FaceClassification(faces, DATA, Backbone("tiny")).batches(0))
        assert sum(len(batch.labels) for batch in batches) == 4
        assert "note: 2 of 6 pictures show no face or cannot be read" in capsys.readouterr().err
        model = FaceClassifier(build_backbone("tiny", random=True), nn.Linear(64, 2)).eval()
        assert np.isnan(predict_faces(model, faces)).any(axis=1).tolist() == [False, True, False, False, True, False]

    def test_no_readable_picture_is_an_error(self, tmp_path):
        faces = LabelledFaces(("no_ah", "ah"), [str(tmp_path / "a"), str(tmp_path / "b")], np.array([0, 1]))
        with pytest.raises(DataError, match="None of 2 pictures"):
            list(FaceClassification(faces, DATA, Backbone("tiny")).batches(0))

    def test_a_single_face_is_not_trained_on(self, tmp_path):
        faces = pictures(tmp_path, 2, labels=[0, 1])
        strategy = FaceClassification(faces, DATA, Backbone("tiny"))
        (batch,) = strategy.batches(0)
        assert strategy.weight(batch) == 2
        assert strategy.weight(batch._replace(labels=batch.labels[:1])) == 0

    def test_workers_read_what_the_process_itself_reads(self, tmp_path):
        faces = pictures(tmp_path, 7, labels=[0] * 6 + [1])
        here = list(read_batches(faces, [[0, 3], [6], []], side_px=10))
        there = list(read_batches(faces, [[0, 3], [6], []], side_px=10, workers=1))
        assert [batch.number.tolist() for batch in here] == [[0, 3], [6], []]
        for one, other in zip(here, there, strict=True):
            assert torch.equal(one.faces, other.faces)


class TestBahFaces:
    def test_labels_are_those_of_the_frames(self, crops, demo):
        videos = demo.videos("train")
        faces = bah_faces(demo, videos, [crops])
        for path, label in islice(zip(faces.paths, faces.labels, strict=True), 0, None, 7):
            video_id = str(Path(path).parent.relative_to(crops / "cropped-aligned-faces"))
            frame = int(Path(path).stem.removeprefix("frame-"))
            assert demo.frame_labels(demo.video(video_id))[frame] == label
        assert faces.notes == []

    def test_every_so_many_frames_are_taken(self, crops, demo):
        faces = bah_faces(demo, demo.videos("train"), [crops], frame_step=5)
        assert {int(Path(path).stem.removeprefix("frame-")) % 5 for path in faces.paths} == {0}

    def test_videos_without_crops_are_counted(self, tmp_path, demo):
        videos = demo.videos("val")
        faces = bah_faces(demo, videos, [tmp_path])
        assert faces.notes == [f"{len(videos)} of {len(videos)} videos are without a crop of a face, and left out"]
        with pytest.raises(DataError, match=r"none of the class no_ah \(no face at all\)"):
            check_classes(faces, "training")

    def test_a_whole_frame_among_the_crops_is_no_face(self, tmp_path):
        faces = pictures(tmp_path, 2, labels=[0, 1])
        faces.are_square = True
        Image.new("RGB", (64, 48)).save(tmp_path / "1.png")
        (batch,) = read_batches(faces, [[0, 1]], side_px=8)
        assert batch.number.tolist() == [0]
        assert batch.n_unreadable == 1

    def test_a_video_that_cannot_be_read_is_noted_without_its_place(self, tmp_path, demo):
        from dataclasses import replace

        broken = tmp_path / "secret" / "broken.mp4"
        broken.parent.mkdir()
        broken.write_bytes(b"no video")
        video = replace(demo.videos("val")[0], path=broken)
        (note,) = write_crops([video], tmp_path / "out", detector="mediapipe")
        assert note.startswith(f"{video.video_id}: broken.mp4")
        assert "secret" not in note


class TestTraining:
    def test_what_is_trained_tells_bright_faces_from_dark_ones(self, trained):
        assert trained[1]["val_auroc"] > 0.99  # the crops are brighter where A/H

    def test_weights_and_classifier_are_read_by_others(self, trained):
        backbone = build_backbone("tiny", trained[0])
        head = load_head("tiny", trained[0])
        assert head.classes == ("no_ah", "ah")
        config = json.loads((trained[0] / "backbone.json").read_text())
        assert config["weights_digest"] == backbone.weights_digest

    def test_the_next_stage_starts_from_the_weights_of_the_last(self, trained, crops, demo, tmp_path):
        before = build_backbone("tiny", trained[0]).state_dict()
        stage = recipe(crops, weights=str(trained[0]), random=False, loop={"epochs": 1, "lr": 1e-12, "device": "cpu"})
        train_backbone(stage, demo, tmp_path / "next")
        after = build_backbone("tiny", tmp_path / "next").state_dict()
        for name, value in before.items():
            if name.endswith("weight"):
                torch.testing.assert_close(after[name], value)
        digest = build_backbone("tiny", trained[0]).weights_digest
        assert json.loads((tmp_path / "next" / "backbone.json").read_text())["started_from"] == f"seed-0 {digest}"

    def test_the_same_seed_gives_the_same_weights(self, trained, crops, demo, tmp_path):
        train_backbone(recipe(crops), demo, tmp_path, seed=0)
        assert build_backbone("tiny", tmp_path).weights_digest == build_backbone("tiny", trained[0]).weights_digest

    def test_a_killed_training_goes_on_to_the_same_weights(self, trained, crops, demo, tmp_path, monkeypatch):
        begin = cross_entropy.FaceClassification.begin_epoch

        def killed(self, model, epoch):
            if epoch == 1:
                raise KeyboardInterrupt
            begin(self, model, epoch)

        with monkeypatch.context() as patched:
            patched.setattr(cross_entropy.FaceClassification, "begin_epoch", killed)
            with pytest.raises(KeyboardInterrupt):
                train_backbone(recipe(crops), demo, tmp_path, seed=0)
        assert train_backbone(recipe(crops), demo, tmp_path, seed=0) == trained[1]
        assert build_backbone("tiny", tmp_path).weights_digest == build_backbone("tiny", trained[0]).weights_digest

    def test_without_weights_random_ones_must_be_asked_for(self, crops, demo, tmp_path):
        with pytest.raises(Exception, match="tiny needs weights"):
            train_backbone(recipe(crops, random=False), demo, tmp_path)

    def test_emotions_are_trained_and_carry_over_to_bah(self, tmp_path, crops, demo):
        listing = tmp_path / "raf" / "EmoLabel" / "list_patition_label.txt"
        listing.parent.mkdir(parents=True)
        (tmp_path / "raf" / "Image" / "aligned").mkdir(parents=True)
        lines = []
        for part in ("train", "test"):
            for number in range(12):
                label, value = (4, 220) if number % 2 else (6, 20)  # happiness bright, anger dark
                Image.new("RGB", (40, 40), (value, value, value)).save(
                    tmp_path / "raf" / "Image" / "aligned" / f"{part}_{number}_aligned.jpg"
                )
                lines.append(f"{part}_{number}.jpg {label}")
        listing.write_text("\n".join(lines))
        data = {
            "task": "emotions",
            "rafdb": str(tmp_path / "raf"),
            "classes": ["anger", "happiness"],
            "batch_images": 4,
        }
        first = recipe(crops, data=data, loop={"epochs": 4, "lr": 0.05, "device": "cpu", "select": "val_macro_f1"})
        found = train_backbone(first, None, tmp_path / "emotions")
        assert found["val_accuracy"] == 1
        assert found["val_macro_f1"] == 1
        second = recipe(crops, weights=str(tmp_path / "emotions"), random=False)
        assert train_backbone(second, demo, tmp_path / "ah")["val_auroc"] > 0.9
        with pytest.raises(DataError, match="none of the class fear"):
            train_backbone(recipe(crops, data={**data, "classes": ["fear", "anger"]}), None, tmp_path / "empty")

    def test_emotions_without_a_folder_say_how_to_name_one(self, crops, tmp_path):
        with pytest.raises(ConfigError) as error:
            train_backbone(recipe(crops, data={"task": "emotions", "batch_images": 4}), None, tmp_path)
        assert "--set data.rafdb=DIR" in error.value.remedy


class TestPrediction:
    def test_each_frame_is_judged_alone_and_one_without_a_face_takes_the_last(self):
        torch.manual_seed(0)
        model = FaceClassifier(build_backbone("tiny", random=True), nn.Linear(64, 2)).eval()
        faces = [np.full((20, 20, 3), value, dtype=np.uint8) for value in (0, 90, 255)]
        alone = []
        for face in faces:
            with torch.no_grad():
                logits = model(torch.from_numpy(face)[None])[0]
            alone.append(float(1 / (1 + torch.exp(logits[0] - logits[1]))))
        p = predict_backbone(model, [None, faces[0], None, faces[1], faces[2], None], batch_images=2)
        np.testing.assert_allclose(p, [alone[k] for k in (0, 0, 0, 1, 2, 2)], rtol=1e-5)

    def test_a_video_without_any_face_says_so(self):
        model = FaceClassifier(build_backbone("tiny", random=True), nn.Linear(64, 2)).eval()
        with pytest.raises(DataError, match="No frame has a face"):
            predict_backbone(model, [None, None])

    def test_a_trained_folder_predicts_frames_of_videos(self, trained, crops, demo, tmp_path, record):
        request = PredictRequest(trained[0].parent, None, "val", tmp_path, device="cpu")
        level, one = backbone_predictor(recipe(crops), record, request, demo, trained[0])
        assert level is Level.FRAME
        video = next(one for one in demo.videos("val") if one.label == 1)
        p = one(video).p
        shown = sorted(
            int(path.stem.removeprefix("frame-"))
            for path in (crops / "cropped-aligned-faces" / video.video_id).iterdir()
        )
        assert len(p) == shown[-1] + 1
        labels = demo.frame_labels(video)[shown]
        assert p[shown][labels == 1].mean() > p[shown][labels == 0].mean()

    def test_a_video_without_file_and_crops_is_a_row_without_probability(self, trained, crops, demo, tmp_path, record):
        from dataclasses import replace

        request = PredictRequest(trained[0].parent, None, "val", tmp_path, device="cpu")
        _, one = backbone_predictor(recipe(tmp_path), record, request, demo, trained[0])
        assert one(replace(demo.videos("val")[0], path=None)).status is Status.NO_MEDIA

    def test_a_backbone_of_emotions_does_not_predict_ah(self, trained, crops, demo, tmp_path, record):
        emotions = recipe(crops, data={"task": "emotions", "rafdb": "x", "batch_images": 4})
        request = PredictRequest(trained[0].parent, None, "val", tmp_path)
        with pytest.raises(ConfigError, match="tells emotions apart"):
            backbone_predictor(emotions, record, request, demo, trained[0])

    def test_a_folder_without_a_classifier_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="no trained backbone"):
            load_classifier(tmp_path)


def test_the_shipped_recipes_of_backbones_are_the_papers():
    names = {name for name in list_recipes() if name.startswith(("pretrain_", "finetune_"))}
    assert names == {"pretrain_emotions", "finetune_bah", "finetune_tiny"}
    emotions, bah = read_recipe("pretrain_emotions"), read_recipe("finetune_bah")
    # paper, section 4.2: six emotions, 60 epochs of 1,424 faces a batch, SGD; as many negatives as positives
    assert sorted(emotions.data.classes) == ["anger", "disgust", "fear", "happiness", "sadness", "surprise"]
    assert (emotions.loop.epochs, emotions.data.batch_images, emotions.loop.optimizer) == (60, 1424, "sgd")
    assert bah.data.undersample == 1
    assert {one.loop.weight_decay for one in (emotions, bah)} == {0.0001}  # appendix
    assert all(0.0009 <= one.loop.lr <= 0.001 for one in (emotions, bah))


@pytest.mark.slow
def test_the_demo_set_goes_from_videos_to_predictions(tmp_path, demo, record):
    fast = read_recipe("finetune_tiny", ["loop.epochs=1", "data.detector=mediapipe", "data.frame_step=12"])
    train_backbone(fast, demo, tmp_path / "seed-0", crops=tmp_path / "faces")
    request = PredictRequest(tmp_path, None, "val", tmp_path, device="cpu")
    _, one = backbone_predictor(fast, record, request, demo, tmp_path / "seed-0")
    video = demo.videos("val")[0]
    assert len(one(video).p) == len(demo.frame_labels(video))
