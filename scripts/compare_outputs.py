"""Show that a change moved no reported number: python scripts/compare_outputs.py record CHECKOUT OUT, then compare.

`record CHECKOUT OUT --public DIR --words FILE --features DIR` runs a fixed list of commands of the package at CHECKOUT
(about 130, in some minutes on one core) and keeps their exit codes, what they printed and the files they wrote;
`compare OLD NEW` prints what differs between two such folders and ends with exit code 1 where anything does.
Nothing is downloaded: $BAH_CACHE has to hold both models of `bah-mllm models list`. DIR of --public has split files in
BAH's layout, FILE of --words is in Switchboard's form, and DIR of --features comes from
`bah-mllm features --visual tiny --audio vggish --random-weights`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMANDS = Path(__file__).with_name("compare_outputs.txt")
LONGEST_COMMAND_S = 900
COPIED = {".json", ".jsonl", ".md", ".csv", ".tex", ".toml", ".txt"}
PASSED_OVER = (".lock", ".log", "checkpoint.pt", ".skops")  # these hold times, or addresses in memory
# What identifies a row of predictions; where rows have none of these, they are compared in their order.
ROW_KEYS = ("system", "video_id", "variant", "level", "start_frame", "stop_frame", "window_frames", "hop_frames")
# Fields of JSON that are of one machine, moment or installation.
MASKED_FIELDS = {"created", "updated", "seconds", "packages", "versions", "commit", "model_sha256"}
# Parts of printed lines that are so: dates, times and what they are shares of, free memory.
MASKED = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.+Z]+|(?<=time: ).*|(?<=seconds) +loading .*|(?<=estimate) +about .*|[\d.]+ s in all.*"
    r"|[\d.]+ s of video in .*|[\d.,]+ s, at most .* left|[\d.]+ [GM]iB free"
)
PROGRESS = re.compile(r"^\S.* of [\d,]+ .*(/s|left)$|\d+%\|")


def main(arguments: list[str] | None = None) -> int:
    """Record or compare; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record", help="run every command with the package at CHECKOUT")
    recording.add_argument("checkout", type=Path)
    recording.add_argument("out", type=Path)
    for name in ("public", "words", "features"):
        recording.add_argument(f"--{name}", type=Path, required=True)
    recording.add_argument("--only", default="", help="regular expression on the names of commands, for trials")
    comparing = verbs.add_parser("compare", help="tell how two records differ")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    options = parser.parse_args(arguments)
    if options.verb == "compare":
        return compare(options.old, options.new)
    inputs = {name: str(getattr(options, name).resolve()) for name in ("public", "words", "features")}
    return record(options.checkout.resolve(), options.out.resolve(), inputs, only=options.only)


def commands(inputs: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield name and arguments of every command of the list, inputs put in."""
    for line in COMMANDS.read_text().splitlines():
        name, colon, words = line.partition(": ")
        if colon and not line.startswith("#"):
            for key, value in inputs.items():
                words = words.replace("{" + key + "}", shlex.quote(value))
            yield name, shlex.split(words)


def record(checkout: Path, out: Path, inputs: dict[str, str], *, only: str = "") -> int:
    """Run the commands one after another in OUT/work, and keep what each said and wrote in OUT/commands/NAME."""
    work = out / "work"
    work.mkdir(parents=True)  # a record is never added to
    write_inputs(work, checkout)
    places = {**inputs, "work": str(work), "checkout": str(checkout), "cache": os.environ.get("BAH_CACHE", "")}
    (out / "places.json").write_text(json.dumps(places, indent=1))
    environment = {**os.environ, "PYTHONPATH": str(checkout), "COLUMNS": "400", "OMP_NUM_THREADS": "1"}
    environment |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "NO_COLOR": "1"}
    environment.pop("BAH_DB", None)
    for name, words in commands(inputs):
        if not re.search(only, name):
            continue
        before, start, kept = stamps(work), time.monotonic(), out / "commands" / name
        kept.mkdir(parents=True)
        with (kept / "stdout").open("wb") as stdout, (kept / "stderr").open("wb") as stderr:
            run = [sys.executable, "-m", "bah_mllm", *words]
            try:
                code = subprocess.run(
                    run, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                    timeout=LONGEST_COMMAND_S, check=False,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                code = -1
        (kept / "exit_code").write_text(f"{code}\n")
        keep_files(work, before, kept)
        sys.stderr.write(f"{name}: exit code {code}, {time.monotonic() - start:.1f} s\n")
    return 0


def write_inputs(work: Path, checkout: Path) -> None:
    """Write a script of the scripted engine, another tool's predictions and a manifest of one video."""
    demo = checkout / "bah_mllm" / "dataset" / "demo_set"
    videos = [line.split(",")[0] for line in (demo / "split" / "test.txt").read_text().splitlines()]
    script = {"rules": [{"video_id": videos[0], "p_positive": 0.9, "reply": "Ambivalent."}], "fail_on": [videos[1]]}
    (work / "script.json").write_text(json.dumps(script))
    rows = [f"{video},{number * 37 % 100 / 100}" for number, video in enumerate(videos, 1)]
    (work / "foreign.csv").write_text("\n".join(["video_id,p", *rows]) + "\n")
    numbered = list(enumerate(videos, 1))
    spans = [f"{v},{k},{k + 40},{(n * 31 + k * 7) % 100 / 100}" for n, v in numbered for k in range(0, 200, 40)]
    (work / "spans.csv").write_text("\n".join(["video_id,start_frame,stop_frame,p", *spans]) + "\n")
    smallest = min((demo / video for video in videos), key=lambda path: path.stat().st_size)
    shutil.copy(smallest, work / "one.mp4")
    (work / "truth.jsonl").write_text('{"video_id": "one.mp4", "code": "voice.pause", "start_s": 2.0, "stop_s": 3.0}\n')
    (work / "one.csv").write_text("path,participant,label,transcript\none.mp4,p1,1,I want to but I will not\n")


def stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return time and size of every file, to see which a command writes."""
    stats = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in stats}


def keep_files(work: Path, before: dict[Path, tuple[int, int]], kept: Path) -> None:
    """Copy text files that are new or changed, Parquet as lines of JSON, and the digests of all others."""
    digests: dict[str, str] = {}
    for path, stamp in sorted(stamps(work).items()):
        if before.get(path) == stamp or path.name.endswith(PASSED_OVER):
            continue
        name = path.relative_to(work)
        target = kept / "files" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            import pyarrow.parquet

            rows = pyarrow.parquet.read_table(path).to_pylist()
            lines = [json.dumps(row, default=str, sort_keys=True) + "\n" for row in rows]
            target.with_name(target.name + ".jsonl").write_text("".join(lines))
        elif path.suffix in COPIED:
            shutil.copy(path, target)
        elif path.suffix == ".npz":
            with zipfile.ZipFile(path) as arrays:  # what kept signals are about has times in it
                members = [member for member in arrays.namelist() if member != "about.npy"]
                digests |= {f"{name}/{member}": hashlib.sha256(arrays.read(member)).hexdigest() for member in members}
        else:
            digests[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
    (kept / "digests").write_text("".join(f"{digest} {name}\n" for name, digest in digests.items()))


def compare(old: Path, new: Path) -> int:
    """Print a line for each command, equal or the first differences, and a count; return 1 where any differs."""
    places = [json.loads((folder / "places.json").read_text()) for folder in (old, new)]
    names = sorted({path.name for folder in (old, new) for path in (folder / "commands").iterdir()})
    n_different = 0
    for name in names:
        found = list(differences_of_command(old / "commands" / name, new / "commands" / name, places))
        n_different += bool(found)
        sys.stdout.write(f"{name}: {'differs' if found else 'equal'}\n")
        sys.stdout.writelines(f"    {line}\n" for line in found)
    sys.stdout.write(f"{len(names) - n_different} of {len(names)} commands equal, {n_different} different\n")
    return 1 if n_different else 0


def differences_of_command(old: Path, new: Path, places: list[dict[str, str]]) -> Iterator[str]:
    """Yield the first difference of every file that a command printed or wrote."""
    for folder, which in ((old, "old"), (new, "new")):
        if not folder.is_dir():
            yield f"not in the {which} record"
            return
    files = {path.relative_to(folder) for folder in (old, new) for path in folder.rglob("*") if path.is_file()}
    for name in sorted(files):
        missing = [which for folder, which in ((old, "old"), (new, "new")) if not (folder / name).is_file()]
        if missing:
            yield f"{name}: not in the {missing[0]} record"
            continue
        a, b = (parsed(folder / name, where) for folder, where in zip((old, new), places, strict=True))
        found = first_difference(a, b)
        if found:
            yield f"{name}{found}"


def parsed(path: Path, places: dict[str, str]) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return a file's content without what may differ: JSON as such, rows by their key, anything else as lines."""
    text = path.read_text(errors="replace")
    for name, place in sorted(places.items(), key=lambda item: -len(item[1])):
        text = text.replace(place, f"<{name}>") if place else text
    if path.name == "digests":
        return {name: digest for digest, _, name in (line.partition(" ") for line in text.splitlines())}
    try:
        if path.suffix == ".jsonl":
            return by_key([json.loads(line) for line in text.splitlines()])
        if path.suffix == ".csv":
            return masked_fields(list(csv.DictReader(text.splitlines())))
        return masked_fields(json.loads(text))
    except json.JSONDecodeError:
        return [masked_line(line) for line in re.split(r"[\r\n]+", text) if not PROGRESS.search(line)]


def by_key(rows: list[Any]) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return rows of predictions as a dictionary from what identifies them, so that their order does not count."""
    keyed: dict[str, Any] = {}
    for row in rows:
        key = " ".join(f"{row[key]}" for key in ROW_KEYS if key in row) if isinstance(row, dict) else ""
        if not key or "video_id" not in row or key in keyed:
            return masked_fields(rows)
        keyed[key] = masked_fields(row)
    return keyed


def masked_fields(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return JSON without the values of fields that may differ, and with masked texts."""
    if isinstance(value, dict):
        return {key: "<masked>" if key in MASKED_FIELDS else masked_fields(one) for key, one in value.items()}
    if isinstance(value, list):
        return [masked_fields(one) for one in value]
    return masked_line(value) if isinstance(value, str) else value


def masked_line(line: str) -> str:
    """Return a printed line without what may differ, and without the widths of columns that depend on it."""
    return re.sub(r"[━─═]+", "-", re.sub(r"\s+", " ", MASKED.sub("<measured>", line))).rstrip()


def first_difference(old: Any, new: Any, where: str = "") -> str | None:  # noqa: ANN401 - whatever JSON holds
    """Return where two values differ first and how, numbers to the last bit; None where they are equal."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in old or key not in new:
                return f"{where} [{key}]: only in the {'new' if key not in old else 'old'} record"
            found = first_difference(old[key], new[key], f"{where} [{key}]")
            if found:
                return found
        return None
    if isinstance(old, list) and isinstance(new, list):
        for number, (a, b) in enumerate(zip(old, new, strict=False)):
            found = first_difference(a, b, f"{where} [{number}]")
            if found:
                return found
        return None if len(old) == len(new) else f"{where}: {len(old)} and {len(new)} entries"
    # as JSON, so that 1 is not 1.0, and not a number equals itself
    return None if json.dumps(old) == json.dumps(new) else f"{where}: {old!r} -> {new!r}"


if __name__ == "__main__":
    sys.exit(main())
