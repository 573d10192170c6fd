"""``structures.csv``: which value is which structure, next to label maps whose format has no room for names (NIfTI)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import MAX_LABEL, LabelMap, Segment, read_label_map
from OneShotSegLib.study.csv_table import read_table

TABLE = "structures.csv"
COLUMNS = ("value", "name")


def read_named_label_map(path: Path) -> LabelMap:
    """A label map; if it has no names, they are those of ``structures.csv`` in its folder, where our exports have it.

    A value that the table does not name stays without a name.

    Raises:
        InputError: If the label map or the table cannot be read.
    """
    labels = read_label_map(path)
    table = path.parent / TABLE
    return labels if labels.named or not table.is_file() else _named(labels, table)


def _named(labels: LabelMap, table: Path) -> LabelMap:
    names = _names(table)
    segments = {segment.value: segment for segment in labels.segments}
    for value, name in names.items():
        segments[value] = replace(segments.get(value, Segment.numbered(value)), name=name)
    return LabelMap(labels.volume, tuple(segments[value] for value in sorted(segments)), labels.unnamed - names.keys())


def _names(table: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    content = read_table(table, ())
    if not set(COLUMNS) <= set(content.columns):
        return names  # somebody else's table of that name
    for number, row in content.rows:
        text, name = row["value"].strip(), row["name"].strip()
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
        if not 1 <= value <= MAX_LABEL or not name:
            raise InputError(
                f"{table}, line {number}: expected a label value from 1 to {MAX_LABEL} and a name, found {text[:20]!r} "
                f"and {name[:20]!r}."
            )
        if value in names:
            raise InputError(f"{table}, line {number}: expected each value once, found {value} again.")
        names[value] = name
    return names
