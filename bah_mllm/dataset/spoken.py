"""Files of timed words: Whisper's chunks as BAH ships them, and the plain format of word times.

The plain format is one JSON file a video, ``<video>.words.json``::

    {"text": "...", "language": "en", "source": "...", "words": [{"text": "Well", "start_s": 0.31, "stop_s": 0.52}]}

Times are seconds from the start of the video; words are in order of their starts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from bah_mllm.core.errors import DataError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.reading import Refusal, read_json
from bah_mllm.core.records import Chunk, Transcript, Word
from bah_mllm.dataset.split_files import clean_transcript
from bah_mllm.dataset.yaml_files import load_yaml

__all__ = ["chunked_transcript", "language_code", "read_chunks", "read_words", "repair_chunk_times", "write_words"]

_WHISPER_WINDOW_S = 30.0
_WHISPER_NAMES = (  # the languages of Whisper, large-v3's 100
    "english=en chinese=zh german=de spanish=es russian=ru korean=ko french=fr japanese=ja portuguese=pt "
    "turkish=tr polish=pl catalan=ca dutch=nl arabic=ar swedish=sv italian=it indonesian=id hindi=hi "
    "finnish=fi vietnamese=vi hebrew=he ukrainian=uk greek=el malay=ms czech=cs romanian=ro danish=da "
    "hungarian=hu tamil=ta norwegian=no thai=th urdu=ur croatian=hr bulgarian=bg lithuanian=lt latin=la "
    "maori=mi malayalam=ml welsh=cy slovak=sk telugu=te persian=fa latvian=lv bengali=bn serbian=sr "
    "azerbaijani=az slovenian=sl kannada=kn estonian=et macedonian=mk breton=br basque=eu icelandic=is "
    "armenian=hy nepali=ne mongolian=mn bosnian=bs kazakh=kk albanian=sq swahili=sw galician=gl "
    "marathi=mr punjabi=pa sinhala=si khmer=km shona=sn yoruba=yo somali=so afrikaans=af occitan=oc "
    "georgian=ka belarusian=be tajik=tg sindhi=sd gujarati=gu amharic=am yiddish=yi lao=lo uzbek=uz "
    "faroese=fo haitian_creole=ht pashto=ps turkmen=tk nynorsk=nn maltese=mt sanskrit=sa luxembourgish=lb "
    "myanmar=my tibetan=bo tagalog=tl malagasy=mg assamese=as tatar=tt hawaiian=haw lingala=ln hausa=ha "
    "bashkir=ba javanese=jw sundanese=su cantonese=yue"
)
_LANGUAGES = {name.replace("_", " "): code for name, code in (entry.split("=") for entry in _WHISPER_NAMES.split())}
_LONG_CODES = frozenset(code for code in _LANGUAGES.values() if len(code) > 2)  # without one of two letters

Span = tuple[float | None, float | None]


def language_code(name: object) -> str | None:
    """Return the code of a language as Whisper names it (ISO 639-1, else 639-3), or None where it is unknown.

    >>> language_code("english"), language_code("fr"), language_code("klingon")
    ('en', 'fr', None)
    """
    text = name.strip().lower() if isinstance(name, str) else ""
    is_code = (len(text) == 2 and text.isalpha()) or text in _LONG_CODES
    return text if is_code else _LANGUAGES.get(text)


def repair_chunk_times(spans: Sequence[Span]) -> list[Span]:
    """Return Whisper's chunk times as seconds from the start of the recording.

    Whisper listens to 30 s at a time, and times written without its offset restart at 0 with each of these stretches.
    A chunk that starts before its predecessor ended, and no later than it started (or ends before it ended), opens a
    new stretch: it begins where the last one was heard to end, or, where that end is missing, 30 s after its start.

    Args:
        spans: Start and end of each chunk as written, in seconds; None where missing. A start that is missing is the
            end before it; an end that is missing is the start after it, but the last one stays None.

    Returns:
        As many spans; starts and ends never fall.

    >>> repair_chunk_times([(0.0, 12.0), (12.0, 28.5), (0.0, 4.0), (4.0, None)])
    [(0.0, 12.0), (12.0, 28.5), (28.5, 32.5), (32.5, None)]
    """
    offset_s = 0.0
    repaired: list[Span] = []
    raw_start: float | None = None
    raw_stop: float | None = None
    for start, stop in spans:
        if raw_start is not None and start is not None and _restarts(start, stop, raw_start, raw_stop):
            offset_s += raw_stop if raw_stop is not None else _WHISPER_WINDOW_S
        floor_s = _latest(repaired)
        begin = floor_s if start is None else max(floor_s, start + offset_s)
        repaired.append((begin, None if stop is None else max(begin, stop + offset_s)))
        raw_start, raw_stop = (start if start is not None else raw_stop), stop
    return [
        (start, repaired[index + 1][0] if stop is None and index + 1 < len(repaired) else stop)
        for index, (start, stop) in enumerate(repaired)
    ]


def _restarts(start: float, stop: float | None, last_start: float, last_stop: float | None) -> bool:
    if last_stop is None:
        return start <= last_start
    if start >= last_stop:
        return False
    return start <= last_start or (stop is not None and stop <= last_stop)


def _latest(spans: Sequence[Span]) -> float:
    if not spans:
        return 0.0
    start, stop = spans[-1]
    return stop if stop is not None else start or 0.0


def chunked_transcript(value: object, *, where: str) -> Transcript:
    """Return the transcript in a value of BAH's form ``{text, chunks: [{language, text, timestamp: (start, end)}]}``.

    Args:
        value: What the YAML holds; a plain text is a transcript without times.
        where: File or video, for messages.

    Raises:
        DataError: It has another form, or a time is negative or no number.
    """
    if isinstance(value, str):
        return Transcript(text=clean_transcript(value) or "")
    entries = value.get("chunks") or [] if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(entries, list):
        raise DataError(
            f"{where}: no transcript with a text and chunks.", remedy="Get the transcription again from its source."
        )
    spans: list[Span] = []
    texts: list[str] = []
    languages: list[str | None] = []
    for index, entry in enumerate(entries):
        stamp = entry.get("timestamp") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(stamp, list | tuple | None) or len(stamp or (0, 0)) != 2:
            raise DataError(
                f"{where}: chunk {index} has no text and timestamp (start, end).",
                remedy="Get the transcription again from its source, or correct the chunk.",
            )
        start, stop = stamp or (None, None)
        spans.append((_seconds(start, where=where, index=index), _seconds(stop, where=where, index=index)))
        texts.append(clean_transcript(_text(entry.get("text"), where=f"{where}: chunk {index}")) or "")
        languages.append(language_code(entry.get("language")))
    chunks = tuple(
        Chunk(text, start, stop) for text, (start, stop) in zip(texts, repair_chunk_times(spans), strict=True) if text
    )
    text = clean_transcript(_text(value.get("text"), where=where)) or " ".join(chunk.text for chunk in chunks)
    known = [language for language in languages if language]
    return Transcript(text, max(known, key=known.count) if known else None, chunks)


def _text(value: object, *, where: str) -> str:
    """Return a text, empty where it is missing; a number without quotes is read as it is written."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{where}: the text is no text.", remedy="Write it in quotes.")
    return str(value)


def _seconds(value: object, *, where: str, index: int) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise DataError(
            f"{where}: entry {index} has a time that is no number of seconds from 0.",
            remedy="Write times in seconds from the start of the video.",
        )
    return float(value)


def read_chunks(path: Path) -> Transcript:
    """Return the transcript in a file ``transcription/.../<video>.yml``.

    Raises:
        DataError: It cannot be read or is malformed.
    """
    return chunked_transcript(load_yaml(path), where=path.name)


def read_words(path: Path) -> Transcript:
    """Return the transcript in a file of the plain format.

    Raises:
        DataError: It cannot be read, is no JSON of that form, or a word's times are negative, reversed or out of order.
    """
    value = read_json(path, Refusal(DataError, path.name, "Write the file again with `bah-mllm transcribe`."))
    entries = value.get("words") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(entries, list):
        raise DataError(
            f"{path.name}: no object with a list 'words'.",
            remedy='Write {"text": ..., "words": [{"text": ..., "start_s": 0.3, "stop_s": 0.5}, ...]}.',
        )
    words: list[Word] = []
    for index, entry in enumerate(entries):
        words.append(_word(entry, after_s=words[-1].start_s if words else 0.0, where=path.name, index=index))
    spoken = " ".join(word.text for word in words)
    if not isinstance(value.get("text"), str | None) or not isinstance(value.get("language"), str | None):
        raise DataError(
            f"{path.name}: 'text' or 'language' is no text.", remedy="Write them in quotes, or leave them out."
        )
    notes = value.get("notes")
    return Transcript(
        text=clean_transcript(value.get("text") or "") or spoken,
        language=language_code(value.get("language")),
        words=tuple(words),
        notes=tuple(note for note in notes if isinstance(note, str)) if isinstance(notes, list) else (),
    )


def _word(entry: object, *, after_s: float, where: str, index: int) -> Word:
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
        raise DataError(
            f"{where}: word {index} has no text.", remedy="Give every word text, start_s and stop_s, in seconds."
        )
    start_s = _seconds(entry.get("start_s"), where=where, index=index)
    stop_s = _seconds(entry.get("stop_s"), where=where, index=index)
    if start_s is None or stop_s is None or not after_s <= start_s <= stop_s:
        raise DataError(
            f"{where}: word {index} has the times {start_s} to {stop_s} s, after a word that starts at {after_s} s.",
            remedy="Give words in order, each with start_s <= stop_s, in seconds from the start of the video.",
        )
    return Word(entry["text"].strip(), start_s, stop_s)


def write_words(path: Path, transcript: Transcript, *, source: str) -> None:
    """Write a transcript's timed words in the plain format, whole or not at all.

    Args:
        path: ``<video>.words.json``; its folder is made where missing.
        transcript: With words; its chunks are not written.
        source: Who heard the words: a recogniser and its version, or a person.
    """
    content = {
        "text": transcript.text,
        "language": transcript.language,
        "source": source,
        **({"notes": list(transcript.notes)} if transcript.notes else {}),
        "words": [
            {"text": word.text, "start_s": round(word.start_s, 3), "stop_s": round(word.stop_s, 3)}
            for word in transcript.words
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())
