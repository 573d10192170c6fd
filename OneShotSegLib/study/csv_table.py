"""CSV files that people open in spreadsheets: no cell of them is executed, and our reader gets the text back."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.layout import write_text

# What makes a spreadsheet take a cell for a formula, full-width forms included. Apostrophes before it belong to it,
# so that a text that already begins with '= gets one more and loses one again: reading is unambiguous.
FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
GUARDED = re.compile(r"'" + FORMULA.pattern)
DELIMITERS = ",;\t"
SEPARATOR = re.compile(r'"?sep=([,;\t])"?\r?\n', re.IGNORECASE)
NO_UTF_8 = re.compile(r"\\u(d[89a-f][0-9a-f]{2})")
"""How `write_text` escapes what UTF-8 cannot hold."""


def guard(text: str) -> str:
    """The text as a cell that no spreadsheet executes: an apostrophe goes before what could be a formula."""
    return f"'{text}" if FORMULA.match(text) else text


def unguard(cell: str) -> str:
    """The text that `guard` made the cell of."""
    return cell[1:] if GUARDED.match(cell) else cell


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a CSV file whole or not at all: UTF-8, commas, texts guarded, numbers as they are, None as nothing.

    Bytes of a name that are no UTF-8 are escaped as in JSON (``\\udcfc``), and come back as they were.
    """
    buffer = io.StringIO()
    # The line ends of RFC 4180: with others the writer does not quote a carriage return within a text.
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([guard(column) for column in columns])
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    write_text(path, buffer.getvalue())


def _cell(value: object) -> object:
    return guard(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Table:
    """The content of a CSV file.

    Attributes:
        columns: Their names, in the file's order.
        rows: Line number in the file, and column name to text.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_table(path: Path, required: Sequence[str]) -> Table:
    """Read a CSV file that we wrote, or a spreadsheet saved again.

    Such have a byte order mark, semicolons or tabs, a first line that names the delimiter (sep=;), UTF-16, rows and
    columns without any text at the end or between others.

    Raises:
        InputError: If it is no UTF-8 CSV, lacks a required column, or has a row with more or fewer cells than columns.
    """
    try:
        text = NO_UTF_8.sub(lambda found: chr(int(found[1], 16)), _decoded(path.read_bytes()))
        named = SEPARATOR.match(text)
        header = text[named.end() if named else 0 :].partition("\n")[0]
        delimiter = named[1] if named else max(DELIMITERS, key=header.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
        lines = _without_empty_columns(lines[1:] if named else lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected a CSV table in UTF-8, found a file that cannot be read as one.") from error
    columns = _check_header(path, lines[0][1] if lines else [], required)
    return Table(columns, tuple(_row(path, columns, number, cells) for number, cells in lines[1:]))


def _decoded(content: bytes) -> str:
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf_16 else "utf-8-sig")


def _without_empty_columns(lines: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Without the last columns, as far as they have neither a name nor any text."""
    width = max((len(cells) for _, cells in lines), default=0)
    while width and not any(cells[width - 1 : width] and cells[width - 1].strip() for _, cells in lines):
        width -= 1
    return [(number, cells[:width]) for number, cells in lines]


def _check_header(path: Path, header: Sequence[str], required: Sequence[str]) -> tuple[str, ...]:
    columns = tuple(unguard(cell.strip()) for cell in header)
    missing = [name for name in required if name not in columns]
    if missing:
        raise InputError(f"{path}: expected the columns {', '.join(required)}, found none named {', '.join(missing)}.")
    if len(set(columns)) != len(columns):
        raise InputError(f"{path}: expected each column once, found one twice.")
    return columns


def _row(path: Path, columns: Sequence[str], number: int, cells: Sequence[str]) -> tuple[int, dict[str, str]]:
    if len(cells) != len(columns):
        raise InputError(f"{path}, line {number}: expected {len(columns)} cells, found {len(cells)}.")
    return number, dict(zip(columns, map(unguard, cells), strict=True))
