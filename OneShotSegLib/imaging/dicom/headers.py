"""Headers of DICOM files, read without their pixels; whatever is wrong with one ends in a sentence."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from OneShotSegLib.errors import InputError

if TYPE_CHECKING:
    # Elsewhere it is imported where it is used: Slicer's own process imports little at start-up.
    from pydicom.dataset import Dataset

PREAMBLE = 128
DIRECTORY = "1.2.840.10008.1.3.10"
"""What a DICOMDIR says that it is."""
SHORT_NAME = 60
UNDEFINED_LENGTH = 0xFFFFFFFF
FIRST_ELEMENTS = [bytes((8, 0, element, 0)) for element in (0x00, 0x01, 0x05, 0x06, 0x08, 0x12, 0x13, 0x14, 0x16, 0x18)]
"""Of group 8, as little-endian files have them."""
SUFFIXES = (".dcm", ".dicom", ".ima")


DAMAGED = "a damaged DICOM file"
IDENTITY = ("SeriesInstanceUID", "SOPInstanceUID")


class BrokenHeaderError(Exception):
    """A file begins as a DICOM file and cannot be read as one.

    Attributes:
        what: What it is instead, in a phrase.
    """

    def __init__(self, path: Path, what: str = DAMAGED) -> None:
        super().__init__(str(path))
        self.what = what


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence pydicom's own warnings on headers that are not as the standard has them: what matters is said by us."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
        yield


@quiet_pydicom()
def read_header(path: Path, tags: list[str] | None = None) -> Dataset | None:
    """The header of a DICOM file.

    Args:
        path: The file.
        tags: Keywords of what to read of it; everything but the pixels if left out.

    Returns:
        The header; None for a file that is no DICOM file, or a directory of such (DICOMDIR).

    Raises:
        BrokenHeaderError: If the file begins as a DICOM file and is damaged, or has not the UIDs that name a slice.
    """
    from pydicom import dcmread
    from pydicom.datadict import tag_for_keyword

    kind = _kind(path)
    if not kind:
        return None
    try:
        data = dcmread(path, stop_before_pixels=True, specific_tags=list(tags) if tags else None, force=kind == "bare")
        if str(data.file_meta.get("MediaStorageSOPClassUID", "")) == DIRECTORY:
            return None
        lacking = [keyword for keyword in IDENTITY if not data.get(keyword)]
        if not all(map(_is_whole, data.values())):
            raise ValueError("cut off within an element")
    except Exception as error:  # pydicom raises whatever a damaged byte leads to
        raise BrokenHeaderError(path) from error
    if lacking:
        if kind == "bare":
            return None
        # A file that was cut off has nothing that comes after what it lacks.
        is_cut = max(data.keys(), default=0) < (tag_for_keyword(lacking[0]) or 0)
        raise BrokenHeaderError(path, DAMAGED if is_cut else f"a DICOM file without {lacking[0]}")
    return data


def _is_whole(element: object) -> bool:
    """Whether an element is as long as it says: pydicom takes what is left of one that was cut off for all of it."""
    length, value = getattr(element, "length", None), getattr(element, "value", None)
    return length in (None, UNDEFINED_LENGTH) or not isinstance(value, bytes) or len(value) == length


def is_compressed(data: Dataset) -> bool:
    """Whether the pixels of a file, or all of it, are compressed; not where the transfer syntax is none of the known."""
    syntax = data.file_meta.get("TransferSyntaxUID") if hasattr(data, "file_meta") else None
    try:
        return syntax is not None and (syntax.is_compressed or syntax.is_deflated)
    except (ValueError, AttributeError):  # a private UID, or one of something else
        return False


def looks_like_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    return bool(_kind(path))


def is_named_as_dicom(path: Path) -> bool:
    """Whether a file's name says that it is a DICOM file."""
    return path.suffix.lower() in SUFFIXES


def _kind(path: Path) -> str:
    """'whole' for a DICOM file, 'bare' for what may be one without the usual beginning, else ''."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return ""
        with path.open("rb") as file:
            start = file.read(PREAMBLE + 4)
    except OSError:
        return ""
    if start[PREAMBLE:] == b"DICM":
        return "whole"
    # Older files begin with one of the first elements of group 8, or with the group 2 that tells how they are written.
    return "bare" if start[:4] == b"\x02\x00\x00\x00" or start[:4] in FIRST_ELEMENTS else ""


def text(data: Dataset, keyword: str) -> str:
    """An element as text without blanks around it; '' where there is none."""
    value = _value(data, keyword)
    return "" if value is None else str(value).strip()


def texts(data: Dataset, keyword: str) -> tuple[str, ...]:
    """An element of several values as texts; () where there is none."""
    value = _value(data, keyword)
    if value is None or value == "":
        return ()
    parts = [value] if isinstance(value, str) else list(value) if hasattr(value, "__iter__") else [value]
    return tuple(str(part).strip() for part in parts)


def numbers(data: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """An element of so many finite numbers; None where there is none or it is empty.

    Raises:
        InputError: If it is something else; the sentence has no name of a file yet.
    """
    try:
        value = data.get(keyword)
        if value is None or value == "" or (hasattr(value, "__len__") and not len(value)):
            return None
        found = tuple(float(part) for part in (value if hasattr(value, "__iter__") else [value]))
    except Exception as error:  # pydicom converts when asked, and raises whatever the text leads to
        raise InputError(f"expected numbers in {keyword}, found something else.") from error
    if len(found) != count or not all(math.isfinite(part) for part in found):
        shown = ", ".join(f"{part:.4g}" for part in found[:8])
        raise InputError(f"expected {count} number{'s' if count > 1 else ''} in {keyword}, found {shown}.")
    return found


def whole_number(data: Dataset, keyword: str) -> int | None:
    """An element that is one whole number; None where there is none, or something else."""
    try:
        return int(data.get(keyword))
    except Exception:
        return None


def first_item(data: Dataset | None, sequence: str) -> Dataset | None:
    """The first item of a sequence; None where there is none."""
    items = None if data is None else _value(data, sequence)
    try:
        return items[0] if items else None
    except (TypeError, IndexError):
        return None


def _value(data: Dataset, keyword: str) -> Any:
    try:
        return data.get(keyword)
    except Exception:  # as above
        return None


def short(name: str) -> str:
    """A text of a header for a sentence: on one line, and not too long."""
    return " ".join(name.split())[:SHORT_NAME]
