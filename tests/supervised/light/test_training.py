from __future__ import annotations

import hashlib
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import skops.io
from sklearn.metrics import roc_auc_score

from bah_mllm.core.errors import ConfigError, DataError, PrerequisiteError, RunError
from bah_mllm.core.records import Level, Status
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.store import Observation, write_cues
from supervised.features.words import WordEncoder
from supervised.light import examples
from supervised.light.predict import light_predictor, predict_light
from supervised.light.recipe import LightRecipe
from supervised.light.train import train_for_seed, train_light
from supervised.reading import list_recipes, read_recipe
from supervised.training.requests import PredictRequest, TrainRequest

LIGHT = ("words_video", "words_video_noquestion", "words_cues_video", "words_embeddings_video", "cue_count")


@pytest.fixture(scope="module")
def trained(people, recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "seed-0"
    return folder, train_light(recipe(train_splits=("train", "val")), people, folder)


def test_a_trained_folder_predicts_unseen_participants(trained, people):
    folder, _ = trained
    told = [one for one in predict_light(folder, people, people.videos("test")) if one.p is not None]
    labels = np.array([one.video.label for one in told])
    p = np.array([one.p for one in told])
    assert len(told) == 100
    assert roc_auc_score(labels, p) > 0.75
    assert ((p > 0.5) == labels).mean() > 0.65
    assert ((p > 0) & (p < 1)).all()


def test_predictions_from_disk_are_those_of_the_members_by_hand(trained, people, recipe):
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    folder, _ = trained
    about = json.loads((folder / "light.json").read_text())
    learnt = [*people.videos("train"), *people.videos("val")]
    asked = [video for video in people.videos("test") if video.transcript and video.question in range(1, 8)]
    y = np.array([video.label for video in learnt])

    def table(videos):
        features = examples.read_examples(recipe(), people, videos).features
        hot = np.array([[video.question == q for q in range(1, 8)] for video in videos], dtype=float)
        return features, hot

    def words(videos):
        return [video.transcript.text for video in videos]

    (x, hot), (x_asked, hot_asked) = table(learnt), table(asked)
    vectorizer = TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, 2), min_df=3, token_pattern=r"(?u)\b\w[\w'\u2019]*"
    ).fit(words(learnt))
    tfidf = LogisticRegression(C=2.0, max_iter=1000).fit(
        np.hstack([vectorizer.transform(words(learnt)).toarray(), hot / 2]), y
    )
    score = tfidf.decision_function(np.hstack([vectorizer.transform(words(asked)).toarray(), hot_asked / 2]))
    trees = ExtraTreesClassifier(20, min_samples_leaf=5, max_features=0.2, random_state=0).fit(np.hstack([x, hot]), y)
    p_trees = trees.predict_proba(np.hstack([x_asked, hot_asked]))[:, 1].clip(1e-6, 1 - 1e-6)

    def calibrated(name, score):
        slope, intercept = about["platt"][name]
        return 1 / (1 + np.exp(-(slope * score + intercept)))

    by_hand = (calibrated("tfidf", score) + calibrated("extra_trees", np.log(p_trees / (1 - p_trees)))) / 2
    told = [one.p for one in predict_light(folder, people, asked)]
    assert told == pytest.approx(by_hand, abs=1e-4)  # solvers on sparse and dense input stop at slightly other places


def test_the_same_seed_trains_the_same_and_another_does_not(trained, people, recipe, tmp_path):
    folder, _ = trained
    videos = people.videos("test")
    same = recipe(train_splits=("train", "val"))
    train_light(same, people, tmp_path / "again")
    train_light(same, people, tmp_path / "other", seed=1)
    told = [
        [one.p for one in predict_light(one, people, videos)]
        for one in (folder, tmp_path / "again", tmp_path / "other")
    ]
    assert told[0] == told[1]
    assert told[0] != told[2]


def test_videos_that_cannot_be_predicted_say_why_and_cost_the_others_nothing(trained, people, recipe, record):
    folder, _ = trained
    request = PredictRequest(folder.parent, None, "test", folder.parent / "run")
    level, predict_one = light_predictor(recipe(), record, request, people, folder)
    assert level is Level.VIDEO
    told = {one.video.video_id: one for one in predict_light(folder, people, people.videos("test"))}
    assert list(told) == [video.video_id for video in people.videos("test")]
    missing = {name: one.status for name, one in told.items() if one.p is None}
    assert sorted(missing.values()) == [Status.NO_QUESTION, Status.NO_TRANSCRIPT]
    for video in people.videos("test"):
        predicted = predict_one(video)
        assert predicted.p == told[video.video_id].p
        assert predicted.status is (missing.get(video.video_id) or Status.OK)
        assert (predicted.detail is None) == (predicted.p is not None)


def test_without_the_question_as_a_feature_none_is_needed(people, recipe, tmp_path):
    report = train_light(recipe(question=False), people, tmp_path)
    assert not any(one.feature.startswith("question.") for one in report.importances)
    told = predict_light(tmp_path, people, people.videos("test"))
    assert [one.status for one in told if one.p is None] == [Status.NO_TRANSCRIPT]


def test_the_report_speaks_of_features_in_the_codebooks_words_and_repeats_no_participant(trained, people):
    folder, report = trained
    written = (folder / "report.json").read_text()
    assert json.loads(written)["metrics"]["average"] == report.metrics["average"]
    meaning = {one.feature: one.meaning for one in report.importances}
    assert meaning["language.hedging.rate"] == "Hedging (hedges): per 100 words"
    assert meaning["question.4"] == "question 4 was asked"
    assert sum(one.by_member["extra_trees"] for one in report.importances) == pytest.approx(1)
    told = set(re.findall(r"\w+", written + (folder / "light.json").read_text()))
    assert not told & {"violin", "pottery", "chess", "gardening", "piano", "tea", "films"}
    assert not told & {video.participant_id for video in people.videos()}
    assert (report.n_videos, report.n_participants, report.n_folds) == (160, 40, 5)
    assert report.seconds["fit"] < 30


def test_a_feature_that_goes_with_ambivalence_is_told_with_its_direction(trained):
    by_name = {one.feature: one for one in trained[1].importances}
    assert by_name["words.desire.count"].auroc > 0.6
    assert by_name["words.desire.count"].by_member["logistic_regression"] > 0
    assert by_name["words.routine.rate"].auroc < 0.5


def test_repeats_are_averaged_and_their_spread_is_told(people, recipe, tmp_path):
    one = {"members": ("logistic_regression",), "averaged": ("logistic_regression",)}
    repeated = train_light(recipe(**one, n_repeats=2), people, tmp_path / "two")
    single = [train_light(recipe(**one), people, tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    values = [report.metrics["average"]["auroc"] for report in single]
    assert repeated.metrics["average"]["auroc"] == pytest.approx(np.mean(values))
    assert repeated.sd["average"] == pytest.approx(np.std(values, ddof=1))
    assert single[0].sd == {}


def test_the_training_command_gets_the_averages_out_of_fold_metrics(people, recipe, tmp_path, capsys):
    found = train_for_seed(recipe(n_folds=3), TrainRequest(None, tmp_path, tmp_path), people, tmp_path, 0)
    report = json.loads((tmp_path / "report.json").read_text())
    assert found["oof_auroc"] == report["metrics"]["average"]["auroc"]
    said = capsys.readouterr().err
    assert "question_prior, out of fold: auroc" in said
    prior = report["metrics"]["question_prior"]
    assert found["oof_prior_auroc"] == prior["auroc"]
    average = next(line for line in said.splitlines() if line.startswith("  average, out of fold"))
    for name in ("auroc", "f1", "macro_f1"):
        assert f"{name} {report['metrics']['average'][name]:.4f} (prior {prior[name]:.4f})" in average


def test_a_seed_that_is_done_is_not_fitted_again(people, recipe, tmp_path, capsys):
    request = TrainRequest(data=None, out=tmp_path, features=tmp_path / "features")
    first = train_for_seed(recipe(), request, people, tmp_path / "seed-0", 0)
    model = (tmp_path / "seed-0" / "model.skops").read_bytes()
    assert train_for_seed(recipe(), request, people, tmp_path / "seed-0", 0) == pytest.approx(first)
    assert (tmp_path / "seed-0" / "model.skops").read_bytes() == model
    assert "fitted before" in capsys.readouterr().err


def test_a_changed_model_file_is_refused(people, recipe, tmp_path):
    train_light(recipe(members=("cue_count",), averaged=("cue_count",)), people, tmp_path)
    path = tmp_path / "model.skops"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(RunError, match="changed or torn"):
        predict_light(tmp_path, people, people.videos("test"))
    path.unlink()
    with pytest.raises(RunError, match=r"There is no model\.skops"):
        predict_light(tmp_path, people, people.videos("test"))


def test_types_that_nobody_vouches_for_are_refused_even_with_a_right_checksum(people, recipe, tmp_path):
    train_light(recipe(members=("cue_count",), averaged=("cue_count",)), people, tmp_path)
    strange = skops.io.dumps({"cue_count": {"threshold": SimpleNamespace(a=1)}})
    (tmp_path / "model.skops").write_bytes(strange)
    about = json.loads((tmp_path / "light.json").read_text())
    about["model_sha256"] = hashlib.sha256(strange).hexdigest()
    (tmp_path / "light.json").write_text(json.dumps(about))
    with pytest.raises(RunError, match=r"not trusted: types\.SimpleNamespace"):
        predict_light(tmp_path, people, people.videos("test"))
    (tmp_path / "light.json").write_text(json.dumps(about | {"platt": {"cue_count": "no"}}))
    with pytest.raises(RunError, match=r"light\.json: platt"):
        predict_light(tmp_path, people, people.videos("test"))


def test_one_class_no_words_and_no_such_split_are_refused(recipe, split_lines, people, tmp_path):
    alike = split_lines([(one, 1, 1, "I want to but no.") for one in range(6)])
    with pytest.raises(DataError, match="6 labelled videos of 6 participants, 6 of them with A/H"):
        train_light(recipe(), alike, tmp_path)
    with pytest.raises(ConfigError, match="has no split elsewhere"):
        train_light(recipe(train_splits=("elsewhere",)), people, tmp_path)


def test_labelled_videos_without_words_are_counted_and_all_without_refused(recipe, split_lines, tmp_path):
    rows = [(one, 1 + one % 7, one % 2, f"I do {one} things but no.") for one in range(8)]
    report = train_light(recipe(), split_lines([*rows, (8, 1, 1, "")]), tmp_path / "out")
    assert report.left_out == {"no_transcript": 1}
    assert report.n_videos == 8
    assert "There are participants for 4 folds only, not 5." in report.notes


@pytest.mark.parametrize(
    ("n", "words", "problem"),
    [(12, "...", "No word occurs in 1 or more of"), (140, "w{0} x{0}", "No word occurs in 3 or more of")],
)
def test_transcripts_without_a_frequent_word_are_refused(n, words, problem, recipe, split_lines, tmp_path):
    rows = [(one, 1, one % 2, words.format(one)) for one in range(n)]
    with pytest.raises(DataError, match=problem):
        train_light(recipe(), split_lines(rows), tmp_path)


def test_nothing_to_read_is_refused(recipe, split_lines, tmp_path):
    with pytest.raises(DataError, match=r"None of the 2 labelled videos .*no_transcript: 2"):
        train_light(recipe(), split_lines([(1, 1, 1, ""), (2, 1, 0, "")]), tmp_path)


def test_the_count_of_cue_words_sees_no_labels_but_the_prevalence(recipe, split_lines, tmp_path):
    said = {0: "We went home.", 1: "But no.", 2: "But no, but if not, maybe never."}
    rows = [(one, 1, int(one % 3 == 0), said[one % 3]) for one in range(12)]  # A/H where there is no cue word at all
    dataset = split_lines(rows)
    train_light(recipe(members=("cue_count",), averaged=("cue_count",), question=False), dataset, tmp_path / "out")
    told = predict_light(tmp_path / "out", dataset, dataset.videos("train"))
    assert {one.video.transcript.text for one in told if one.p > 0.5} == {said[2]}  # the upper third, as many as A/H


def test_observed_cues_are_features_where_the_recipe_takes_them(recipe, split_lines, tmp_path):
    rows = [(one, 1, one % 2, "We went home.") for one in range(40)]
    dataset, cues = split_lines(rows), tmp_path / "cues"
    for video in dataset.videos()[:-1]:
        smiles = [CueEvent("face.smile", 1, 2 + video.label, 2, None, None, "", 1.0, "facemesh")] * video.label
        about = Observation(video_id=video.video_id, participant_id=video.participant_id, duration_s=20)
        write_cues(cues, about, smiles)
    with_cues = recipe(
        groups=("language", "cues"), members=("logistic_regression",), averaged=("logistic_regression",), logistic_c=10
    )
    report = train_light(with_cues, dataset, tmp_path / "out", cues=cues)
    assert report.metrics["average"]["auroc"] > 0.95
    assert report.importances[0].feature.startswith("face.smile.")
    assert report.left_out == {"no_cues": 1}
    told = predict_light(tmp_path / "out", dataset, dataset.videos(), cues=cues)
    assert told[-1].status is Status.NO_CUES
    with pytest.raises(ConfigError, match="takes observed cues") as caught:
        predict_light(tmp_path / "out", dataset, dataset.videos())
    assert "--cues" in caught.value.remedy
    with pytest.raises(ConfigError, match="takes no observed cues"):
        train_light(recipe(), dataset, tmp_path / "other", cues=cues)


class _Encoder(WordEncoder):
    """Two numbers a word: 9 where it speaks of wishes, and 1."""

    dim = 2

    def __init__(self, model):
        assert model == "minilm"

    def words(self, words):
        known = np.array([len(word) > 1 for word in words])
        return np.array([[9 * (word.lower() in ("wish", "want", "maybe")), 1] for word in words], np.float32), known


def test_sentence_embeddings_join_where_minilm_is_there(people, recipe, tmp_path, monkeypatch):
    from supervised.light import predict as trained_module

    monkeypatch.setattr(examples, "WordEncoder", _Encoder)
    monkeypatch.setattr(trained_module, "WordEncoder", _Encoder)
    report = train_light(
        recipe(members=("embeddings",), averaged=("embeddings",), embeddings_c=1.0, question=False), people, tmp_path
    )
    assert report.metrics["embeddings"]["auroc"] > 0.7
    assert report.importances == ()
    assert sum(one.p is not None for one in predict_light(tmp_path, people, people.videos("test"))) == 101


def test_sentence_embeddings_are_left_out_and_named_where_it_is_not(people, recipe, tmp_path, monkeypatch):
    def missing(model):
        raise PrerequisiteError("MiniLM is not installed.", remedy="pip install it")

    monkeypatch.setattr(examples, "WordEncoder", missing)
    members = ("embeddings", "cue_count")
    report = train_light(recipe(members=members, averaged=members), people, tmp_path)
    assert set(report.metrics) == {"cue_count", "average"}
    assert report.notes[-1] == "The member embeddings is left out. MiniLM is not installed. To have it: pip install it."
    assert predict_light(tmp_path, people, people.videos("test"))[0].p is not None
    with pytest.raises(PrerequisiteError):
        train_light(recipe(members=("embeddings",), averaged=("embeddings",)), people, tmp_path)


@pytest.mark.parametrize("name", LIGHT)
def test_shipped_recipes_read_as_they_are_named(name):
    assert name in list_recipes()
    read = read_recipe(name)
    assert isinstance(read, LightRecipe)
    assert read.name == name
    assert read.question == (name in ("words_video", "words_cues_video", "words_embeddings_video"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('averaged=["embeddings"]', "averaged names embeddings, which members lacks"),
        ('members=["tfidf", "tfidf"]', "averaged names|named twice"),
        ('members=["bert"]', "members"),
        ("n_folds=1", "n_folds"),
        ("depth=3", "depth"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_place(override, message):
    with pytest.raises(ConfigError, match=message):
        read_recipe("words_video", [override])
