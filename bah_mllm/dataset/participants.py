"""Who the participants are and what they agreed to, from ``meta_data.yml``."""

from __future__ import annotations

from pathlib import Path

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Participant
from bah_mllm.dataset.yaml_files import load_yaml

__all__ = ["CONSENTS", "FIELDS", "is_answered", "read_entries", "read_participants"]

FIELDS = {
    "Age": "age",
    "Age range": "age_range",
    "Birth country": "birth_country",
    "Canada province": "province",
    "Ethnicity": "ethnicity_detailed",
    "Ethnicity simplified": "ethnicity",
    "Gender": "sex",
    "Is student": "is_student",
}
CONSENTS = ("Use in publications", "Use in challenges")
_YES = frozenset({"yes", "y", "true", "1", "oui"})
_NO = frozenset({"no", "n", "false", "0", "non"})


def read_entries(path: Path) -> dict[str, dict[object, object]]:
    """Return the fields of each participant as written, by the participant's id.

    Raises:
        DataError: The file is no mapping of participants to fields.
    """
    entries = load_yaml(path) or {}
    if not isinstance(entries, dict):
        raise DataError(f"{path.name} holds no mapping.", remedy="Write one entry a participant, keyed by the id.")
    for key, fields in entries.items():
        if not isinstance(fields, dict):
            raise DataError(
                f"{path.name}: the entry of participant {key} is no mapping.",
                remedy="Write the participant's fields as 'Gender: Female' and so on.",
            )
    return {str(key): fields for key, fields in entries.items()}


def is_answered(value: object) -> bool:
    """Return whether a consent is given or refused in a way that can be read; no answer is a refusal."""
    return value is None or str(value).strip().lower() in _YES | _NO


def read_participants(path: Path) -> dict[str, Participant]:
    """Return the participants by id.

    Consent is given only where ``Use in publications`` and ``Use in challenges`` say so; a missing or unknown answer
    is a refusal. The other fields are kept as written; fields without a value are left out.

    Raises:
        DataError: The file is no mapping of participants to fields.
    """
    people = {}
    for participant_id, fields in read_entries(path).items():
        person = Participant(
            participant_id=participant_id,
            may_publish=_is_yes(fields.get(CONSENTS[0])),
            may_challenge=_is_yes(fields.get(CONSENTS[1])),
            metadata={
                name: text for field, name in FIELDS.items() if (text := _as_written(fields.get(field))) is not None
            },
        )
        people[person.participant_id] = person
    return people


def _is_yes(value: object) -> bool:
    return str(value).strip().lower() in _YES


def _as_written(value: object) -> str | None:
    if isinstance(value, bool):  # YAML makes true of a Yes without quotes
        return "Yes" if value else "No"
    return str(value) if isinstance(value, str | int | float) and str(value).strip() else None
