"""The rows of the annotators' codebook (paper, Tables 9 to 13), and which of them can be detected without a model.

A code is a modality and a row in lower snake case (``face.smile``). A grade says how far its detector is to be
trusted: A reliable, B usable with care, C weak, X not reliably detectable offline. A code that nothing here detects
stays in the table with the reason, so that a report can list what was not looked for instead of passing over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["CODES", "CONFIDENCE", "CueCode", "Grade", "Modality", "detectable_codes", "undetectable"]

Modality = Literal["face", "body", "audio", "language", "clash", "extra"]
Grade = Literal["A", "B", "C", "X"]

CONFIDENCE: Mapping[str, float] = MappingProxyType({"A": 1.0, "B": 0.7, "C": 0.4, "X": 0.0})
"""Grade to the confidence of an event whose input was fully known."""


@dataclass(frozen=True, slots=True)
class CueCode:
    """One row of the codebook, or one of ours beside it.

    Args:
        code: ``<face|body|audio|language|clash>.<row>``.
        modality: Table of the codebook it belongs to; ``extra`` for signs that the codebook does not name.
        row: Its name in the codebook, or ours for an extra one.
        table: Table of the paper, 9 to 13; None for an extra one.
        grade: How far the best detector here is to be trusted; X where there is none.
        detectable: True where a detector without a language model exists.
        reason_if_not: Why there is none; empty for a detectable code.
        phrase: A few words for a language model, third person: ``smiles``.
        definition: One line on what it is, in our words.
    """

    code: str
    modality: Modality
    row: str
    table: int | None
    grade: Grade
    detectable: bool
    reason_if_not: str
    phrase: str
    definition: str

    def __post_init__(self) -> None:
        if self.detectable == bool(self.reason_if_not) or self.detectable == (self.grade == "X"):
            raise ValueError(f"{self.code}: an undetectable code, and no other, has grade X and a reason")


# One line a code: code | row | grade | phrase | definition. Grades were measured, or judged on real clips.
_FACE = """
face.close_2 | Close 2 | A | closes both eyes | blinks more often than usual, or keeps both eyes shut
face.close_1 | Close 1 | A | closes one eye | one eye shuts while the other stays open: a wink, short or long
face.squint | Squint | B | squints | lids half shut and tense around the eyes
face.frown | Frown | B | frowns | inner brows drawn together and down
face.eyebrow | Eyebrow | A | moves the brows | one or both brows raised or lowered
face.gaze | Gaze | B | averts the gaze | eyes, not the head, turn up, down or aside
face.eye_roll | Eye roll | C | rolls the eyes | eyes sweep up in an arc and come back
face.open | Open | A | opens the eyes wide | lids further apart than usual
face.smile | Smile | A | smiles | mouth corners up on one or both sides, felt or not
face.pout | Pout | B | pouts | lips pushed forward, or mouth corners turned down
face.lip_press | Lip press | B | presses the lips together | lips pressed thin without being pushed forward
face.hanging | Hanging | A | mouth hangs open | mouth stays open without speaking
face.mouth | Mouth | C | moves the mouth | another mouth movement that is not speech
face.wrinkle_chin | Wrinkle Chin | X | wrinkles the chin | chin muscle contracts into folds
face.nose | Nose | X | wrinkles the nose | nostrils, tip or bridge of the nose move
"""
_LANGUAGE = """
language.filler_sound | Filler sound | A | filler sound | a sound that holds the floor while thinking
language.filler_word | Filler word | A | filler word | a word or phrase without content that fills the time
language.hedging | Hedging | B | hedges | wording that leaves open how far the speaker stands by it
language.correction | Correction | C | corrects themselves | takes back what was said and says something else
language.repetition | Repetition | A | repeats | the same words again, for emphasis or in search of the next
language.positive | Positive | X | speaks well of it | says something good about the behaviour or feels good about it
language.negative | Negative | X | speaks badly of it | says something bad about the behaviour or feels bad about it
language.excuse | Excuse | X | gives an excuse | a reason, justification or regret for what was or was not done
language.success | Success | X | reports a success | reached the goal, or a part of it
language.fail | Fail | X | reports a failure | missed the goal, or gave up
language.cap | Cap | X | is able to change | has the body, knowledge or skill for the change
language.no_cap | No cap | X | is unable to change | lacks the body, knowledge or skill for the change
language.mot | Mot | X | wants to change | has plans, wishes, beliefs or habits in favour of the change
language.no_mot | No mot | X | does not want to change | lacks the wish to change, or wishes not to
language.opp | Opp | X | has the opportunity | time, money, place or other people make the change possible
language.no_opp | No opp | X | lacks the opportunity | time, money, place or other people stand in the way
"""
_AUDIO = """
audio.pause | Pause | A | pauses | silence inside the answer, longer than this person's usual gaps
audio.cut_words | Cut words | A | breaks off words | a word stops before its end
audio.slow | Slow | B | speaks slower | fewer syllables a second than usual, without gaps
audio.fast | Fast | B | speaks faster | more syllables a second than usual
audio.volume | Volume | B | changes in loudness | louder or quieter than usual
audio.shaky_voice | Shaky voice | C | voice shakes | tone or rhythm trembles, other than in laughter
audio.breath | Breath | C | breathes audibly | an audible breath in or out
audio.click | Click | X | clicks the tongue | tongue snaps off the palate or the teeth
audio.laugh | Laugh | C | laughs | laughter of any size
audio.stuttering | Stuttering | C | stutters | a sound again and again, or drawn out, until the word comes
"""
_BODY = """
body.look_away | Look away | A | looks away | head turned from where this person usually faces
body.shake | Shake | B | shakes the head | head goes from side to side
body.tilt | Tilt | A | tilts the head | head leans to one side and stays
body.throw | Throw | C | throws the head | head jerks in one direction
body.sigh | Sigh | C | sighs | chest and shoulders rise and fall with a deep breath
body.nod | Nod | B | nods | head goes up and down
body.shrug | Shrug | B | shrugs | one or both shoulders rise
body.hands | Hands | B | moves the hands | hands move or rest elsewhere than usual
body.posture | Posture | B | changes posture | trunk or arms take another position
body.scratch | Scratch | B | touches face or neck | a hand rubs or scratches face, head or neck
body.restless | Restless | C | is restless | rocks, sways or fidgets again and again
"""
_CLASH = """
clash.fl | FL | C | face against words | face and words say different things at the same time
clash.fa | FA | C | face against voice | face and voice say different things at the same time
clash.fb | FB | C | face against body | face and body say different things at the same time
clash.la | LA | C | words against voice | words and voice say different things at the same time
clash.lb | LB | C | words against body | words and body say different things at the same time
clash.ab | AB | C | voice against body | voice and body say different things at the same time
"""
_EXTRA = """
face.blink | Blink | A | blinks | one short closure of both eyes
audio.pitch | Pitch | A | changes in pitch | voice higher or lower than usual
audio.unlexicalised | Unlexicalised | B | a sound without a word | voiced sound that the transcript has no word for
"""
_COM_B_ROWS = ("positive", "negative", "excuse", "success", "fail", "cap", "no_cap", "mot", "no_mot", "opp", "no_opp")
_REASONS = {
    "face.wrinkle_chin": "the face mesh follows contours, not skin, and shows no folds",
    "face.nose": "the face mesh keeps the nose nearly rigid",
    "audio.click": "it cannot be told from clicks of a keyboard or a mouse",
    # Measured on coded interviews about change (AnnoMI): word lists reach an AUC of .57 to .65 for against change.
    **{f"language.{row}": "it is about what is meant, and word lists hardly beat chance" for row in _COM_B_ROWS},
}


def _rows(text: str, modality: Modality, table: int | None) -> dict[str, CueCode]:
    codes = {}
    for line in text.strip().splitlines():
        code, row, grade, phrase, definition = (cell.strip() for cell in line.split("|"))
        codes[code] = CueCode(
            code=code,
            modality=modality,
            row=row,
            table=table,
            grade=grade,  # type: ignore[arg-type]
            detectable=grade != "X",
            reason_if_not=_REASONS.get(code, ""),
            phrase=phrase,
            definition=definition,
        )
    return codes


CODES: Mapping[str, CueCode] = MappingProxyType(
    _rows(_FACE, "face", 9)
    | _rows(_LANGUAGE, "language", 10)
    | _rows(_AUDIO, "audio", 11)
    | _rows(_BODY, "body", 12)
    | _rows(_CLASH, "clash", 13)
    | _rows(_EXTRA, "extra", None)
)
"""Every code, in the order of the codebook; those beside it come last."""


def detectable_codes() -> tuple[str, ...]:
    """Return the codes that some detector emits, in the order of the codebook."""
    return tuple(code for code, entry in CODES.items() if entry.detectable)


def undetectable() -> dict[str, str]:
    """Return the codes that no detector emits, each with the reason."""
    return {code: entry.reason_if_not for code, entry in CODES.items() if not entry.detectable}
