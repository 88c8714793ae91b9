"""Who the participants are and what they agreed to, from ``meta_data.yml``."""

from __future__ import annotations

from pathlib import Path

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Participant
from bah_mllm.dataset.yaml_files import load_yaml

__all__ = ["read_participants"]

_FIELDS = {
    "Age": "age",
    "Age range": "age_range",
    "Birth country": "birth_country",
    "Canada province": "province",
    "Ethnicity": "ethnicity_detailed",
    "Ethnicity simplified": "ethnicity",
    "Gender": "sex",
    "Is student": "is_student",
}
_YES = frozenset({"yes", "y", "true", "1", "oui"})


def read_participants(path: Path) -> dict[str, Participant]:
    """Return the participants by id.

    Consent is given only where ``Use in publications`` and ``Use in challenges`` say so; a missing or unknown answer
    is a refusal. The other fields are kept as written; fields without a value are left out.

    Raises:
        DataError: The file is no mapping of participants to fields.
    """
    entries = load_yaml(path) or {}
    if not isinstance(entries, dict):
        raise DataError(f"{path.name} holds no mapping.", remedy="Write one entry a participant, keyed by the id.")
    people = {}
    for key, fields in entries.items():
        if not isinstance(fields, dict):
            raise DataError(
                f"{path.name}: the entry of participant {key} is no mapping.",
                remedy="Write the participant's fields as 'Gender: Female' and so on.",
            )
        person = Participant(
            participant_id=str(key),
            may_publish=_is_yes(fields.get("Use in publications")),
            may_challenge=_is_yes(fields.get("Use in challenges")),
            metadata={
                name: text for field, name in _FIELDS.items() if (text := _as_written(fields.get(field))) is not None
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
