"""Revisions of a study: what its results were computed from, and how one differs from another.

A run with other supports, strokes, settings or weights begins a new revision. Each result says in its quality.json
which one it is of; a result that the present revision would compute alike is up to date, whatever its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from OneShotSegLib.imaging.labelmaps import name_key

SCRIBBLES, MASK = "scribbles", "mask"
"""The kinds of a support: strokes in a CT, or a reviewed case with its whole mask."""
FIRST = 1
MOST_NAMED = 4
"""Names in one sentence."""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What results were computed from.

    Attributes:
        number: 1 and more; each once in a study, also after one was taken back.
        created: When it was begun, ISO 8601, UTC.
        before: Number of the revision that was the study's until then; 0 for the first.
        supports: Of each support its ``kind`` and ``fingerprint``; of scribbles the CT's absolute path (``ct``), the
            file in the study (``scribbles``) and perhaps the ``series``; of a mask the ``case`` and the file ``mask``.
        labels: The structures that it segments: value, name, colour.
        background_label: Value of the background stroke.
        settings: The method and all its settings.
        weights: Name and description of the networks; under ``candidate`` those of a trained one whose masks are one.
    """

    number: int = FIRST
    created: str = ""
    before: int = 0
    supports: tuple[Mapping[str, str], ...]
    labels: tuple[Mapping[str, Any], ...]
    background_label: int
    settings: Mapping[str, Any]
    weights: Mapping[str, Any]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Revision:
        """A revision as study.json has it.

        Raises:
            KeyError, TypeError: If it has gaps or unknown entries.
        """
        lists = {name: tuple(content[name]) for name in ("supports", "labels")}
        return cls(**{**content, **lists})

    def as_json(self) -> dict[str, Any]:
        """What study.json has of it."""
        return asdict(self)

    @property
    def scribbled(self) -> tuple[Mapping[str, str], ...]:
        """The supports with strokes."""
        return tuple(support for support in self.supports if _kind(support) == SCRIBBLES)

    @property
    def masks(self) -> tuple[Mapping[str, str], ...]:
        """The supports with whole masks."""
        return tuple(support for support in self.supports if _kind(support) == MASK)

    def computes_like(self, other: Revision) -> bool:
        """Whether both compute the same results."""
        return not self.changes_from(other)

    def changes_from(self, other: Revision) -> tuple[str, ...]:
        """What is different in this revision from another, as phrases; nothing if both compute the same."""
        return tuple(
            phrase
            for phrase in (
                *_changed_scribbles(self, other),
                *_changed_masks(self.masks, other.masks),
                _changed_settings(self.settings, other.settings),
                _changed_weights(self.weights, other.weights),
                _changed_network(self.weights.get("candidate") or {}, other.weights.get("candidate") or {}),
            )
            if phrase
        )


def _kind(support: Mapping[str, str]) -> str:
    return support.get("kind", SCRIBBLES)


def _fingerprints(supports: Iterable[Mapping[str, str]]) -> list[str | None]:
    return [support.get("fingerprint") for support in supports]


def _changed_scribbles(new: Revision, old: Revision) -> list[str]:
    if _fingerprints(new.scribbled) == _fingerprints(old.scribbled):
        return []
    more = len(new.scribbled) - len(old.scribbled)
    if more:
        number = f"{abs(more)} scribbled support{'' if abs(more) == 1 else 's'}"
        what = f"{number} more" if more > 0 else f"{number} less"
    elif [support.get("ct") for support in new.scribbled] != [support.get("ct") for support in old.scribbled]:
        what = "another support"
    else:
        what = "other scribbles"
    names = structure_changes(old.labels, new.labels)
    return [f"{what} ({names})" if names else what]


def structure_changes(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> str:
    """Which structures came and went between two label tables, in words; a renamed one did both."""
    before = {name_key(str(entry["name"])): str(entry["name"]) for entry in old}
    after = {name_key(str(entry["name"])): str(entry["name"]) for entry in new}
    added = [name for key, name in after.items() if key not in before]
    removed = [name for key, name in before.items() if key not in after]
    parts = ((added, "added"), (removed, "removed"))
    return ", ".join(f"{_listed(names)} {word}" for names, word in parts if names)


def _changed_masks(new: Sequence[Mapping[str, str]], old: Sequence[Mapping[str, str]]) -> list[str]:
    after = {support.get("case", ""): support.get("fingerprint") for support in new}
    before = {support.get("case", ""): support.get("fingerprint") for support in old}
    added = [case for case in after if case not in before]
    removed = [case for case in before if case not in after]
    changed = [case for case in after if case in before and after[case] != before[case]]
    phrases = (
        (added, "as support with its mask", "as supports with their masks"),
        (removed, "no longer a support", "no longer supports"),
        (changed, "with another mask as support", "with other masks as supports"),
    )
    return [f"{_listed(cases)} {one if len(cases) == 1 else many}" for cases, one, many in phrases if cases]


def _changed_settings(new: Mapping[str, Any], old: Mapping[str, Any]) -> str:
    names = _different(new, old)
    return f"other settings ({_listed(names)})" if names else ""


def _different(new: Mapping[str, Any], old: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Names of the settings that differ, those of a step with the step's name before them."""
    found = []
    for name in dict.fromkeys((*new, *old)):
        here, there = new.get(name), old.get(name)
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            found += _different(here, there, f"{prefix}{name}.")
        elif here != there or (name in new) != (name in old):
            found.append(f"{prefix}{name}")
    return found


def _changed_weights(new: Mapping[str, Any], old: Mapping[str, Any]) -> str:
    if new.get("fingerprint") == old.get("fingerprint"):
        return ""
    return f"other weights ({new.get('name', '?')})"


def _changed_network(new: Mapping[str, Any], old: Mapping[str, Any]) -> str:
    if new.get("fingerprint") == old.get("fingerprint"):
        return ""
    if not new:
        return "without the trained network"
    return f"{'another' if old else 'a'} trained network ({new.get('name', '?')})"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"


def merged_labels(
    known: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], ...]:
    """A study's label table with the structures of a revision: none is removed, and none changes its value or name.

    Args:
        known: The table.
        wanted: The revision's structures, whose values are the table's where it has their names.
    """
    fresh = {entry["value"]: entry for entry in wanted}
    kept = [
        {**entry, "color": fresh[entry["value"]].get("color")} if entry["value"] in fresh else entry for entry in known
    ]
    values = {entry["value"] for entry in known}
    return (*kept, *(entry for entry in wanted if entry["value"] not in values))


def numbered(wanted: Revision, known: Iterable[Revision], before: int) -> Revision:
    """A revision that begins now, with a number that none has yet."""
    number = max((revision.number for revision in known), default=0) + 1
    return replace(wanted, number=number, before=before, created=now())


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
