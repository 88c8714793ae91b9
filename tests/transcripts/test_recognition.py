"""The real recognisers, with tiny checkpoints that say the same words whatever they hear."""

import json
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from bah_mllm.core.errors import ConfigError, PrerequisiteError
from bah_mllm.core.records import Transcript
from bah_mllm.transcripts import recognition
from bah_mllm.transcripts.faster_whisper import FasterWhisper
from bah_mllm.transcripts.openai_whisper import OpenAIWhisper
from bah_mllm.transcripts.recognition import open_recogniser, transcribe_cached
from bah_mllm.transcripts.voice import speech_spans

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file.*tiktoken:ResourceWarning")  # whisper leaves it open

RATE_HZ = 16_000
SIZE, N_TEXT, N_AUDIO = 64, 448, 1500
EOT, SOT, FIRST_LANGUAGE, TRANSCRIBE, NO_TIMESTAMPS = 50257, 50258, 50259, 50359, 50363
N_VOCAB = 51865  # of Whisper's multilingual models: both packages know them by this number
FIRST_TIME = NO_TIMESTAMPS + 1
FRENCH = FIRST_LANGUAGE + 6  # en zh de es ru ko fr


def vowel(seconds, *, f0_hz=120.0, formants=((700, 90), (1200, 110), (2600, 160))):
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    harmonics = np.arange(1, int(4000 / f0_hz))
    weights = [sum(1 / (1 + ((k * f0_hz - f) / b) ** 2) for f, b in formants) for k in harmonics]
    return sum(w * np.sin(2 * np.pi * k * f0_hz * t) for k, w in zip(harmonics, weights, strict=True)) * 0.05


def speech_like(seconds, *, f0_hz=120.0):
    """Return four vowel-like sounds a second with dips between them, which the voice detector takes for speech."""
    vowels = [((700, 90), (1200, 110), (2600, 160)), ((300, 60), (2300, 100), (3000, 150)), ((500, 80), (1800, 100))]
    t = np.linspace(0, 1, RATE_HZ // 4)
    envelope = np.clip(np.minimum(t, 1 - t) * 4, 0.08, 1)
    return np.concatenate(
        [vowel(0.25, f0_hz=f0_hz, formants=vowels[k % 3]) * envelope for k in range(round(seconds * 4))]
    )


def with_room(sound):
    return (sound + np.random.default_rng(3).normal(size=len(sound)) * 3e-4).astype(np.float32)


SILENCE = np.zeros(RATE_HZ)
SAID = with_room(np.concatenate([SILENCE, speech_like(3.0), SILENCE]))


def melody(seconds):
    """Return struck chords: an instrument, nobody sings."""
    rng, sound = np.random.default_rng(5), np.zeros(round(seconds * RATE_HZ))
    for start in range(0, len(sound) - RATE_HZ, RATE_HZ // 3):
        t = np.arange(RATE_HZ) / RATE_HZ
        root = rng.choice([196.0, 220.0, 262.0, 330.0])
        chord = sum(np.sin(2 * np.pi * root * m * h * t) / h for m in (1, 1.26, 1.5) for h in range(1, 7))
        sound[start : start + RATE_HZ] += chord * np.exp(-4 * t) * 0.03
    return sound.astype(np.float32)


def script(words):
    """Return token ids that follow <sot><language><transcribe>: the words from 0 to 2 s, then the end."""
    return [FIRST_TIME, *words, FIRST_TIME + 100, EOT]


def scripted_weights(words, *, language):
    """Return token and position embeddings of a decoder that, without layers, says its script by position alone."""
    rng = np.random.default_rng(11)
    tokens = rng.normal(size=(N_VOCAB, SIZE)).astype(np.float32)
    tokens -= tokens.mean(axis=1, keepdims=True)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    positions = np.zeros((N_TEXT, SIZE), np.float32)
    for at, token in enumerate([language, TRANSCRIBE, *script(words)]):
        positions[at] = 30 * tokens[token]  # far more than the token that stands there
    positions[len(script(words)) + 2 :] = 30 * tokens[EOT]
    return tokens, positions


def token_ids(text):
    from whisper.tokenizer import get_tokenizer

    return get_tokenizer(multilingual=True, num_languages=99).encode(text)


@pytest.fixture(scope="module")
def openai_checkpoint(tmp_path_factory):
    """A checkpoint as openai-whisper writes them, one layer each, that says "bread and milk" and hears French."""
    import whisper

    dims = {"n_mels": 80, "n_audio_ctx": N_AUDIO, "n_audio_state": SIZE, "n_audio_head": 2, "n_audio_layer": 1}
    dims |= {"n_vocab": N_VOCAB, "n_text_ctx": N_TEXT, "n_text_state": SIZE, "n_text_head": 2, "n_text_layer": 1}
    torch.manual_seed(0)
    model = whisper.model.Whisper(whisper.model.ModelDimensions(**dims))
    tokens, positions = scripted_weights(token_ids(" bread and milk"), language=FRENCH)
    state = model.state_dict()
    for name in list(state):
        if re.match(r"decoder\.blocks\.\d+\.(attn|cross_attn)\.out|decoder\.blocks\.\d+\.mlp\.2", name):
            state[name] = torch.zeros_like(state[name])  # what the layers add
    state["decoder.token_embedding.weight"] = torch.from_numpy(tokens)
    state["decoder.positional_embedding"] = torch.from_numpy(positions)
    state["decoder.ln.weight"] = torch.full((SIZE,), 4.0)
    path = tmp_path_factory.mktemp("openai") / "speaks.pt"
    torch.save({"dims": dims, "model_state_dict": state}, path)
    return path


@pytest.fixture(scope="module")
def faster_checkpoint(tmp_path_factory):
    """The same in CTranslate2's format, through its own conversion of transformers' Whisper."""
    from ctranslate2.converters.transformers import WhisperLoader
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    sizes = {"d_model": SIZE, "encoder_layers": 1, "decoder_layers": 1}
    sizes |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    config = WhisperConfig(vocab_size=N_VOCAB, max_source_positions=N_AUDIO, max_target_positions=N_TEXT, **sizes)
    model = WhisperForConditionalGeneration(config).eval()
    byte_tokens, words = small_vocabulary()
    tokens, positions = scripted_weights([words[" bread"], words[" and"], words[" milk"]], language=FRENCH)
    with torch.no_grad():
        for layer in model.model.decoder.layers:
            for part in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
                part.weight.zero_()
                part.bias.zero_()
        model.model.decoder.embed_tokens.weight.copy_(torch.from_numpy(tokens))
        model.model.decoder.embed_positions.weight.copy_(torch.from_numpy(positions))
        model.model.decoder.layer_norm.weight.fill_(4.0)
    loader = WhisperLoader()
    spec = loader.get_model_spec(model)
    spec.register_vocabulary(byte_tokens)
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.alignment_heads = [(0, 0), (0, 1)]
    spec.config.lang_ids = list(range(FIRST_LANGUAGE, FIRST_LANGUAGE + 99))
    spec.validate()
    spec.optimize(quantization=None)
    folder = tmp_path_factory.mktemp("faster")
    spec.save(str(folder))
    write_tokenizer(folder, byte_tokens)
    return folder


def small_vocabulary():
    """Return the names of all tokens in Whisper's order, and the ids of a few words."""
    from tokenizers.pre_tokenizers import ByteLevel
    from whisper.tokenizer import LANGUAGES

    letters = sorted(ByteLevel.alphabet())
    names = [*letters, "Ġbread", "Ġand", "Ġmilk"]
    ids = {" bread": len(letters), " and": len(letters) + 1, " milk": len(letters) + 2}
    names += [f"unused{k}" for k in range(EOT - 1 - len(names))]
    names.append("")  # the last word of the multilingual vocabulary, by which CTranslate2 knows it
    names += ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in list(LANGUAGES)[:99])]
    names += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    names += ["<|notimestamps|>", *(f"<|{k * 0.02:.2f}|>" for k in range(1501))]
    assert len(names) == N_VOCAB
    assert names.index("<|fr|>") == FRENCH
    return names, ids


def write_tokenizer(folder, names):
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    plain = {name: k for k, name in enumerate(names[:EOT])}
    tokenizer = Tokenizer(models.BPE(vocab=plain, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names[EOT:FIRST_TIME]])
    tokenizer.add_tokens([AddedToken(name, special=False) for name in names[FIRST_TIME:]])
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(params=["openai-whisper", "faster-whisper"])
def recogniser_name(request):
    return request.param


@pytest.fixture
def checkpoint(request, recogniser_name):
    return request.getfixturevalue("openai_checkpoint" if recogniser_name == "openai-whisper" else "faster_checkpoint")


def opened(name, checkpoint, **options):
    return open_recogniser(name, str(checkpoint), device="cpu", **{"keep_fillers": False} | options)


def test_real_classes_decode_words_with_times_inside_the_speech(recogniser_name, checkpoint):
    heard = opened(recogniser_name, checkpoint).transcribe(SAID)
    assert heard.text == "bread and milk"
    assert [word.text for word in heard.words] == ["bread", "and", "milk"]
    assert heard.chunks[0].text == "bread and milk"
    starts = [word.start_s for word in heard.words]
    assert starts == sorted(starts)
    assert all(0.75 <= word.start_s <= word.stop_s <= 4.25 for word in heard.words)


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(np.zeros(5 * RATE_HZ, np.float32), id="silence"),
        pytest.param(np.random.default_rng(1).normal(size=5 * RATE_HZ).astype(np.float32) * 0.1, id="noise"),
        pytest.param(melody(6.0), id="music"),
        pytest.param(np.full(5 * RATE_HZ, 0.4, np.float32), id="constant offset"),
        pytest.param(np.full(RATE_HZ, np.nan, np.float32), id="no numbers"),
        pytest.param(np.zeros(0, np.float32), id="nothing"),
        pytest.param(SAID[RATE_HZ : RATE_HZ + 800], id="a twentieth of a second"),
    ],
)
def test_what_is_no_speech_gives_no_text_though_the_model_would_say_something(recogniser_name, checkpoint, sound):
    assert opened(recogniser_name, checkpoint).transcribe(sound) == Transcript("")


def test_language_is_the_likeliest_of_those_allowed(recogniser_name, checkpoint):
    assert opened(recogniser_name, checkpoint).transcribe(SAID).language == "fr"
    assert opened(recogniser_name, checkpoint, languages=("en",)).transcribe(SAID).language == "en"
    assert opened(recogniser_name, checkpoint).transcribe(SAID, language="en").language == "en"


def test_every_language_that_the_model_knows_can_be_asked_for_and_no_other(recogniser_name, checkpoint):
    assert opened(recogniser_name, checkpoint).transcribe(SAID, language="german").language == "de"
    with pytest.raises(ConfigError, match="does not know the language 'tlh'") as caught:
        opened(recogniser_name, checkpoint).transcribe(SAID, language="tlh")
    assert " de, " in caught.value.remedy


def test_english_and_french_are_told_apart_by_what_is_said_first(recogniser_name, checkpoint, monkeypatch):
    """Stands in for a model that knows both, which no package carries: it takes high voices for French."""
    recogniser, heard = opened(recogniser_name, checkpoint, languages=("en", "fr")), []

    def high_is_french(samples):
        heard.append(samples)
        spectrum = np.abs(np.fft.rfft(samples))
        hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
        is_high = spectrum[(hz > 80) & (hz < 140)].max() < 0.2 * spectrum[(hz > 180) & (hz < 240)].max()
        return {"fr": float(is_high), "en": float(not is_high), "de": 2.0}

    monkeypatch.setattr(recogniser, "_language_probabilities", high_is_french)
    low, high = (with_room(np.concatenate([SILENCE, speech_like(40, f0_hz=f0_hz), SILENCE])) for f0_hz in (110, 210))
    assert recogniser.transcribe(low).language == "en"
    assert recogniser.transcribe(high).language == "fr"
    assert all(len(samples) <= 30 * RATE_HZ for samples in heard)
    assert all(np.abs(samples[: RATE_HZ // 2]).max() > 0.01 for samples in heard), "speech, not the silence before it"


def test_every_stretch_of_speech_is_heard_and_pauses_are_not(recogniser_name, checkpoint):
    """The model says its three words once for each stretch that it is given."""
    long_pause = np.zeros(6 * RATE_HZ)
    sound = with_room(np.concatenate([speech_like(2.5), long_pause, speech_like(2.5)]))
    heard = opened(recogniser_name, checkpoint).transcribe(sound)
    assert heard.text == "bread and milk bread and milk"
    assert [round(word.start_s) < 3 for word in heard.words] == [True] * 3 + [False] * 3
    assert all(word.start_s >= 8.3 for word in heard.words[3:])


def test_a_text_with_fillers_is_shown_to_the_model_before_every_stretch(recogniser_name, checkpoint, monkeypatch):
    """The script sits at fixed positions, so that a text before it pushes the model past its end: no words."""
    sound = with_room(np.concatenate([speech_like(2.5), np.zeros(6 * RATE_HZ), speech_like(2.5)]))
    assert opened(recogniser_name, checkpoint, keep_fillers=True).transcribe(sound).words == ()
    monkeypatch.setattr(recognition, "FILLER_PROMPTS", {})
    assert len(opened(recogniser_name, checkpoint, keep_fillers=True).transcribe(sound).words) == 6


def test_two_different_ways_of_hearing_are_marked_differently(recogniser_name, checkpoint):
    plain, verbatim = (opened(recogniser_name, checkpoint, keep_fillers=keep).source for keep in (False, True))
    assert plain.startswith(recogniser_name)
    assert Path(checkpoint).name in plain
    assert str(Path(checkpoint).parent) not in plain
    assert verbatim == f"{plain} fillers"


class Runs:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_wants_to_run_code_is_refused(tmp_path):
    path = tmp_path / "evil.pt"
    torch.save({"dims": Runs(tmp_path / "ran"), "model_state_dict": {}}, path)
    with pytest.raises(PrerequisiteError, match=r"evil\.pt is no checkpoint of a Whisper model"):
        OpenAIWhisper(str(path), device="cpu").transcribe(SAID, "en")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", pickle.dumps({"dims": 1}, protocol=2)], ids=["empty", "text", "dict"]
)
def test_a_broken_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(PrerequisiteError, match=r"broken\.pt is no checkpoint") as caught:
        OpenAIWhisper(str(path), device="cpu").transcribe(SAID, "en")
    assert "--model" in caught.value.remedy


def test_a_model_folder_without_its_parts_is_named_and_nothing_is_fetched(tmp_path):
    with pytest.raises(PrerequisiteError, match=r"no model\.bin and no tokenizer\.json"):
        FasterWhisper(str(tmp_path), device="cpu").transcribe(SAID, "en")
    (tmp_path / "model.bin").write_bytes(b"\0" * 64)
    (tmp_path / "tokenizer.json").write_text(json.dumps({}))
    with pytest.raises(PrerequisiteError, match="is no CTranslate2 model"):
        FasterWhisper(str(tmp_path), device="cpu").transcribe(SAID, "en")


def test_a_named_model_is_not_fetched_unless_asked(recogniser_name, tmp_path, monkeypatch):
    """Sockets are blocked in these tests: an attempt to fetch would end in another error."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PrerequisiteError) as caught:
        open_recogniser(recogniser_name, device="cpu").transcribe(SAID, "en")
    assert "large-v3" in caught.value.problem
    assert "--download" in caught.value.remedy


def test_a_download_that_fails_is_not_answered_with_the_option_that_was_given(recogniser_name, tmp_path, monkeypatch):
    def offline(*_args, **_kinds):
        raise OSError("no network")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("whisper.load_model", offline)
    monkeypatch.setattr("faster_whisper.WhisperModel", offline)
    with pytest.raises(PrerequisiteError, match=r"large-v3 .*downloaded") as caught:
        open_recogniser(recogniser_name, device="cpu", download=True).load()
    assert "network" in caught.value.remedy
    assert "--download" not in caught.value.remedy


def test_unknown_names_say_what_there_is(recogniser_name):
    with pytest.raises(ConfigError, match="no-such-model is neither"):
        open_recogniser(recogniser_name, "no-such-model", device="cpu").transcribe(SAID, "en")
    with pytest.raises(ConfigError) as caught:
        open_recogniser("whispr")
    assert "openai-whisper" in caught.value.remedy


class Counting(recognition.Recogniser):
    """Says one word a recording, and counts how often it is asked."""

    name = "faster-whisper"
    package = "faster-whisper"
    n_asked = 0

    def load(self):
        pass

    def _language_probabilities(self, samples):
        return {"en": 0.2, "fr": 0.3, "de": 0.5}

    def _pieces(self, samples, clips, language, prompt):
        self.n_asked += 1
        yield recognition.Piece(((" twenty", 1.2, 1.4), ("-five", 1.4, 1.9), (" stray", 8.0, 8.4), (" ", 1.9, 2.0)))
        yield recognition.Piece(((" early", 0.2, 2.0), (" bad", float("nan"), 1.0), (" late", 3.7, 9.0)))


def test_words_are_kept_where_somebody_speaks_and_put_together():
    sound = np.concatenate([SAID, np.zeros(10 * RATE_HZ, np.float32)])
    ((start_s, stop_s),) = speech_spans(sound, RATE_HZ)
    heard = Counting("m").transcribe(sound)
    assert heard.text == "twenty-five early late"
    assert heard.language == "de"
    assert Counting("m", languages=("en", "fr")).transcribe(sound).language == "fr"  # not among those to choose from
    assert [(word.start_s, word.stop_s) for word in heard.words] == [(1.2, 1.9), (1.2, 2.0), (3.7, stop_s)]
    assert start_s == pytest.approx(1.0, abs=0.1)


def test_the_same_sound_is_heard_once_and_other_sound_or_options_again(tmp_path):
    recogniser = Counting("m")
    first = transcribe_cached(recogniser, SAID, cache=tmp_path)
    again = transcribe_cached(recogniser, SAID.copy(), cache=tmp_path)
    assert recogniser.n_asked == 1
    assert (again.text, again.language, again.words) == (first.text, first.language, first.words)
    transcribe_cached(recogniser, SAID * 0.5, cache=tmp_path)
    transcribe_cached(recogniser, SAID, cache=tmp_path, language="en")
    transcribe_cached(Counting("m", keep_fillers=False), SAID, cache=tmp_path)
    assert recogniser.n_asked == 3
    assert len(list(tmp_path.iterdir())) == 4


def test_an_empty_transcript_is_remembered_too_and_a_torn_file_is_written_anew(tmp_path):
    recogniser = Counting("m")
    assert transcribe_cached(recogniser, SILENCE, cache=tmp_path) == Transcript("")
    assert transcribe_cached(recogniser, SILENCE, cache=tmp_path) == Transcript("")
    (path,) = tmp_path.iterdir()
    path.write_text('{"text": "half')
    assert transcribe_cached(recogniser, SILENCE, cache=tmp_path) == Transcript("")
    assert json.loads(path.read_text())["words"] == []
