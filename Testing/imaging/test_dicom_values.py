"""The values of DICOM slices: HU whatever a header says beside the point, refused where they are something else."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import UID, RLELossless, generate_uid

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.input_search import search
from OneShotSegLib.imaging.volume import Volume
from Testing.helpers.dicom_series import write_series

Edit = Callable[[Dataset, int], object]
CT = Volume.create(np.random.default_rng(0).integers(-1000, 2000, (6, 12, 10)).astype(np.int16), (3.0, 1.5, 1.5))


def written(folder: Path, edit: Edit | None = None, after: Callable[[Dataset], object] | None = None) -> Path:
    """The CT as a series whose headers, or whole files, were changed."""
    write_series(folder, CT, "P", edit=edit)
    for path in sorted(folder.iterdir()) if after else ():
        data = pydicom.dcmread(path)
        assert after is not None
        after(data)
        data.save_as(path, enforce_file_format=False, **encoding(data))
    return folder


def encoding(data: Dataset) -> dict[str, bool]:
    known = data.file_meta.get("TransferSyntaxUID")
    return {} if known is not None and known.is_transfer_syntax else {"implicit_vr": False, "little_endian": True}


def setting(**values: Any) -> Edit:
    return lambda data, _plane: [setattr(data, keyword, value) for keyword, value in values.items()]


def pixels(data: Dataset) -> np.ndarray:
    return np.frombuffer(data.PixelData, "<i2").reshape(data.Rows, data.Columns).astype(np.int32)


def stored(data: Dataset, values: np.ndarray, slope: float = 1, intercept: float = 0, bits: int = 16) -> None:
    data.PixelData, data.PixelRepresentation = values.astype("<u2").tobytes(), 0
    data.RescaleSlope, data.RescaleIntercept = slope, intercept
    data.BitsStored, data.HighBit = bits, bits - 1


def inverted_display(data: Dataset, _plane: int) -> None:
    data.PhotometricInterpretation = "MONOCHROME1"


def negative_slope(data: Dataset, _plane: int) -> None:
    data.PhotometricInterpretation = "MONOCHROME1"
    stored(data, 3071 - pixels(data), slope=-1, intercept=3071)


def unused_bits(data: Dataset, _plane: int) -> None:
    values = pixels(data) + 1024
    values[2:5] |= 0x8000  # an overlay of old scanners
    stored(data, values, intercept=-1024, bits=12)


def negative_of_12_bits(data: Dataset, _plane: int) -> None:
    data.PixelData = (np.clip(pixels(data), -2048, 2047) & 0x0FFF).astype("<u2").tobytes()
    data.BitsStored, data.HighBit = 12, 11


def class_of_a_vendor(data: Dataset, _plane: int) -> None:
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = UID("1.3.12.2.1107.5.9.1")
    stored(data, pixels(data) + 1024, intercept=-1024)


def class_of_mr(data: Dataset, _plane: int) -> None:
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4")
    stored(data, (pixels(data) + 1024) // 2, slope=2, intercept=-1024)


READ: dict[str, tuple[Edit | None, Callable[[Dataset], object] | None]] = {
    "to be shown inverted": (inverted_display, None),
    "stored inverted, with a slope of -1": (negative_slope, None),
    "to be shown inverted, compressed": (
        inverted_display,
        lambda d: d.compress(RLELossless, generate_instance_uid=False),
    ),
    "other bits in the unused ones": (unused_bits, None),
    "negative numbers of 12 bits": (negative_of_12_bits, None),
    "a vendor's own class": (class_of_a_vendor, None),
    "a vendor's own class, compressed": (
        class_of_a_vendor,
        lambda d: d.compress(RLELossless, generate_instance_uid=False),
    ),
    "a transfer syntax that nobody knows": (
        None,
        lambda d: setattr(d.file_meta, "TransferSyntaxUID", UID("1.2.840.999.1")),
    ),
    "no transfer syntax": (None, lambda d: delattr(d.file_meta, "TransferSyntaxUID")),
    "unit not specified": (setting(RescaleType="US"), None),
    "several energies": (setting(RescaleType="HU_MOD"), None),
    "a number lost in a few slices": (
        lambda data, plane: None if plane in (1, 4) else setattr(data, "AcquisitionNumber", 1),
        None,
    ),
}


@pytest.mark.parametrize(("edit", "after"), READ.values(), ids=READ)
def test_these_are_read_in_hu_without_a_word(
    edit: Edit | None, after: Callable[[Dataset], object] | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = read_volume(written(tmp_path / "ct", edit, after))
    assert np.abs(found.array - CT.array).max() <= (1 if edit is class_of_mr else 0)
    assert found.same_grid(CT)
    assert not [record for record in caplog.records if record.name.startswith("OneShotSegLib")]


def test_a_slope_counts_in_a_file_of_another_class(tmp_path: Path) -> None:
    found = read_volume(written(tmp_path / "ct", class_of_mr)).array
    assert np.abs(found - CT.array).max() <= 1


REFUSED: dict[str, tuple[Edit, str]] = {
    **{
        unit: (setting(RescaleType=unit), f"RescaleType {unit}") for unit in ("MGML", "Z_EFF", "ED", "EDW", "OD", "PCT")
    },
    "a table of values": (setting(ModalityLUTSequence=[Dataset()]), "ModalityLUTSequence"),
    "a map of iodine": (setting(ImageType=["DERIVED", "PRIMARY", "AXIAL", "DE_IODINE"]), "ImageType DE_IODINE"),
    "a map of perfusion": (setting(ImageType=["DERIVED", "PRIMARY", "PERFUSION"]), "ImageType PERFUSION"),
    "two descriptions in turn": (
        lambda data, plane: setattr(data, "SeriesDescription", ("Arterial", "Venous")[plane % 2]),
        "SeriesDescription Arterial, Venous",
    ),
}


@pytest.mark.parametrize(("edit", "says"), REFUSED.values(), ids=REFUSED)
def test_values_of_another_kind_are_refused(edit: Edit, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected .* found .*\.$") as caught:
        read_volume(written(tmp_path / "ct", edit))
    assert says in str(caught.value)


SAID: dict[str, tuple[Edit, str]] = {
    "projections": (setting(ImageType=["DERIVED", "SECONDARY", "MIP"]), "ImageType MIP"),
    "projections by another word": (setting(ImageType=["DERIVED", "PRIMARY", "PROJECTION IMAGE"]), "projections of"),
    "a unit of no standard": (setting(RescaleType="normalized"), "'normalized'"),
}


@pytest.mark.parametrize(("edit", "says"), SAID.values(), ids=SAID)
def test_what_may_be_no_hu_is_said(edit: Edit, says: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="OneShotSegLib"):
        found = read_volume(written(tmp_path / "ct", edit))
    assert np.array_equal(found.array, CT.array)
    assert any(says in record.getMessage() for record in caplog.records)


def encapsulated(syntax: str) -> Callable[[Dataset], object]:
    def change(data: Dataset) -> None:
        data.PixelData = encapsulate([data.PixelData])
        data["PixelData"].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = UID(syntax)

    return change


def fractions(data: Dataset) -> None:
    data.FloatPixelData = pixels(data).astype("<f4").tobytes()
    del data.PixelData


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (encapsulated("1.2.840.10008.1.2.4.201"), "High-Throughput JPEG 2000"),
        (encapsulated("1.2.840.10008.1.2.4.100"), "MPEG2"),
        (fractions, "fractions"),
    ],
)
def test_pixels_that_nothing_decodes_are_named_as_what_they_are(
    after: Callable[[Dataset], object], says: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        read_volume(written(tmp_path / "ct", after=after))
    assert says in str(caught.value)
    assert "broken" not in str(caught.value)


@pytest.mark.parametrize("keyword", ["SeriesInstanceUID", "SOPInstanceUID"])
def test_files_without_the_uids_of_a_slice_are_not_called_damaged(keyword: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "ct", lambda data, _plane: delattr(data, keyword))
    with pytest.raises(InputError, match=f"a DICOM file without {keyword}") as caught:
        search([folder])
    assert "damaged" not in str(caught.value)


def raw(tag: int, kind: str, text: bytes) -> Edit:
    """An element as a file has it, whatever its standard says."""

    def edit(data: Dataset, _plane: int) -> None:
        data._dict[Tag(tag)] = RawDataElement(Tag(tag), kind, len(text), text, 0, False, True)

    return edit


ODD: dict[str, Edit] = {
    "instance numbers that are none": raw(0x00200013, "IS", b"ab"),
    "a number of frames with a point": raw(0x00280008, "IS", b"1.0 "),
    "an unknown character set": raw(0x00080005, "CS", b"ISO_IR 999"),
    "names in another one": raw(0x0008103E, "LO", b"Sch\xe4del "),
    "a UID of letters": raw(0x0020000E, "UI", b"ANON-1"),
    "a UID of 72 signs": raw(0x0020000E, "UI", b"1." + b"2" * 70),
    "numbers that are too long": raw(0x00280030, "DS", b"1.50000000000000000000\\1.50000000000000000000 "),
}


@pytest.mark.parametrize("edit", ODD.values(), ids=ODD)
def test_nothing_of_pydicom_reaches_the_user(edit: Edit, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = written(tmp_path / "ct", edit)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        (ct,) = search([folder]).cts
        volume = read_volume(ct.path)
    assert np.array_equal(volume.array, CT.array)
    assert not found


def test_a_file_that_is_cut_off_is_called_damaged(tmp_path: Path) -> None:
    folder = written(tmp_path / "ct", lambda data, _plane: setattr(data, "StudyInstanceUID", generate_uid()))
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:420])
    with pytest.raises(InputError, match="a damaged DICOM file"):
        search([folder])
