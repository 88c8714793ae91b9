"""A tiny data set in BAH's own layout, made up word by word."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

FIRST = "Videos/10001/Visite_1/10001_Question_2_2024-05-01_10-00-00_Video.mp4"
SPACED = "Videos/10001/Visite_1/10001_Question_7_2024-05-01 10-05-00_Video-DESKTOP-AB12CD3.mp4"
SECOND = "Videos/10002/Visite_1/10002_Question_1_2024-05-02_11-00-00_Video.mp4"
THIRD = "Videos/10003/Visite_1/10003_Question_4_2024-05-03_12-00-00_Video.mp4"

ANNOTATIONS = f"""\
{FIRST}:
  all_cues:
  - audio: !!python/tuple
    - Pause
    body: null
  annotator_id: QQ
  certainty_ah:
  - 2
  fr_detailed_ah:
  - - 2
    - 4
  frame_annotation:
  - !!python/tuple
    - {FIRST}/frame-0.jpg
    - 0
  - - {FIRST}/frame-1.jpg
    - 0
  - - {FIRST}/frame-2.jpg
    - 1
  - - {FIRST}/frame-3.jpg
    - 1
  - - {FIRST}/frame-4.jpg
    - 1
  - - {FIRST}/frame-5.jpg
    - 0
  global_ah: 1
  time_detailed_ah:
  - - '00:00:00.080'
    - '00:00:00.200'
  transcript:
    chunks:
    - language: english
      text: ' plums, and pears'
      timestamp: !!python/tuple
      - 0.0
      - 0.25
    text: ' plums, and pears'
{SPACED}:
  fr_detailed_ah:
  - [1, 2]
  frame_annotation: null
  global_ah: 1
{SECOND}:
  frame_annotation: []
  global_ah: 0
{THIRD}:
  global_ah: 1
  time_detailed_ah:
  - ['00:00:01.000', '00:00:02.000']
"""

METADATA = """\
'10001':
  Age: 51
  Age range: 45 - 54 years
  Canada province: Ontario (ON)
  Ethnicity: something long
  Ethnicity simplified: Asian
  Gender: Male
  Is student: 'No'
  Use in challenges: 'Yes'
  Use in publications: 'Yes'
10002:
  Gender: null
  Is student: No
  Use in challenges: true
  Use in publications: perhaps
"""


@pytest.fixture
def names() -> SimpleNamespace:
    """Ids of the videos of ``bah_root``."""
    return SimpleNamespace(first=FIRST, spaced=SPACED, second=SECOND, third=THIRD)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes files below the test's folder, text or bytes, and returns that folder."""

    def write_files(files: dict[str, str | bytes]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path

    return write_files


@pytest.fixture
def bah_root(write: Callable[..., Path]) -> Path:
    stem = Path(FIRST).stem
    return write(
        {
            "split/train.txt": f"{FIRST},1,plums, and pears\n{SPACED},1,quinces\u200b \n",
            "split/val.txt": f"{SECOND},0,apples\n",
            "split/test.txt": f"{THIRD},1,\n",
            "split/class_id.yaml": "With A-H: 1\nNo A-H: 0\n",
            FIRST: b"not really a video",
            SPACED: b"nor this",
            f"transcription/{FIRST}/{stem}.yml": (
                "chunks:\n- language: english\n  text: ' plums,'\n  timestamp: !!python/tuple\n  - 0.0\n  - 28.0\n"
                "- language: english\n  text: ' and pears'\n  timestamp: !!python/tuple\n  - 0.0\n  - null\n"
                "text: ' plums, and pears'\n"
            ),
            "video_annotation_transcript.yaml": ANNOTATIONS,
            "meta_data.yml": METADATA,
        }
    )
