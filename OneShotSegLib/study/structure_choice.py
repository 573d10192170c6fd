"""Structures chosen by name or value, as options name them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import Segment, name_key


def chosen_structures(
    structures: Sequence[Segment], names: Iterable[str], alternatives: str = ""
) -> tuple[Segment, ...]:
    """The structures that are named, in their own order.

    Args:
        structures: What there is.
        names: Names (in any case of letters) or values; empty ones are passed over.
        alternatives: What else could have been given, for the message.

    Raises:
        InputError: If there is no such structure.
    """
    known = {s.key: s.value for s in structures} | {str(s.value): s.value for s in structures}
    wanted = [name.strip() for name in names if name.strip()]
    for name in wanted:
        if name_key(name) not in known:
            there = ", ".join(f"{s.name} ({s.value})" for s in structures)
            raise InputError(f"Expected structures of {there}{alternatives}, found {name!r}.")
    values = {known[name_key(name)] for name in wanted}
    return tuple(s for s in structures if s.value in values)
