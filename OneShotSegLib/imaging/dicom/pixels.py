"""Pixels of DICOM slices in the values that their rescaling gives."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.dicom.headers import quiet_pydicom
from OneShotSegLib.imaging.dicom.slices import Slice
from OneShotSegLib.imaging.itk_reading import quiet_itk
from OneShotSegLib.imaging.utf8_names import readable

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
WHOLE_TYPES = (np.int16, np.int32)
INVERTED = "MONOCHROME1"
JPEG = "1.2.840.10008.1.2.4."
DECODED = ("1.2.840.10008.1.2.5", *(f"{JPEG}{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91, 92, 93)))
"""Transfer syntaxes that GDCM decodes: RLE, JPEG, JPEG-LS, JPEG 2000."""
NATIVE = tuple(f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2", ".1.99"))
UNDEFINED_LENGTH = 0xFFFFFFFF
GE_BIG_ENDIAN = "1.2.840.113619.5.2"
"""GE's own: implicit, little-endian headers, big-endian pixels."""


class BrokenPixelsError(InputError):
    """Pixels that GDCM cannot read."""


class PixelReader:
    """Reads slices; of a multi-frame file, which is read as a whole, it keeps the last.

    Args:
        name: What sentences begin with.
    """

    def __init__(self, name: object) -> None:
        self.name = name
        self._file: Path | None = None
        self._frames: NDArray[Any] = np.zeros((0, 0, 0))

    def read(self, one: Slice) -> NDArray[Any]:
        """The rescaled pixels of a slice, shape (rows, columns).

        Raises:
            InputError: If they are truncated, damaged, in a compression that nobody knows, or colours.
        """
        pixels = self._single(one) if one.frame is None else _rescaled(self._frame(one), one)
        if pixels.shape != one.size:
            raise self._broken(one.file)
        return pixels

    def _single(self, one: Slice) -> NDArray[Any]:
        if one.file.stat().st_size < one.stored_bytes:  # GDCM fills up what a truncated file lacks
            raise self._broken(one.file)
        if one.photometric == INVERTED:
            # How it is to be shown; ITK turns the values themselves around for it.
            return self._by_itself(one)
        try:
            return self._decoded(one.file, one.file)
        except BrokenPixelsError:
            return self._by_itself(one)

    def _by_itself(self, one: Slice) -> NDArray[Any]:
        """The rescaled pixels of a file of one slice, without the rest of its header, which GDCM cannot always read."""
        frames = self._all_frames(one)
        if len(frames) != 1:
            raise self._broken(one.file)
        return _rescaled(frames[0], one)

    def _decoded(self, path: Path, shown: Path) -> NDArray[Any]:
        """A file of one slice, decoded and rescaled by GDCM."""
        import SimpleITK as sitk  # noqa: N813

        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        try:
            with quiet_itk(), readable(path) as name:
                reader.SetFileName(str(name))
                image = reader.Execute()
        except RuntimeError as error:
            raise BrokenPixelsError(str(self._broken(shown))) from error
        if image.GetNumberOfComponentsPerPixel() != 1:
            raise InputError(
                f"{self.name}: {shown.name}: expected one value a pixel, found {image.GetNumberOfComponentsPerPixel()} "
                "(a colour image)."
            )
        array = np.asarray(sitk.GetArrayFromImage(image))
        if array.ndim == 3 and len(array) == 1:
            array = array.reshape(array.shape[1:])
        return array

    def _frame(self, one: Slice) -> NDArray[Any]:
        if self._file != one.file:
            self._frames, self._file = self._all_frames(one), one.file
        assert one.frame is not None
        if self._frames.ndim != 3 or one.frame >= len(self._frames):
            raise self._broken(one.file)
        frame: NDArray[Any] = self._frames[one.frame]
        return frame

    @quiet_pydicom()
    def _all_frames(self, one: Slice) -> NDArray[Any]:
        """The stored values of a multi-frame file, shape (frames, rows, columns)."""
        from pydicom import dcmread

        try:
            data = dcmread(one.file, force=True)
            self._check_syntax(data, one.file)
            if not _is_encapsulated(data):
                return _stored(data)
            with tempfile.TemporaryDirectory() as folder:
                return np.stack([self._decoded(path, one.file) for path in _single_files(data, Path(folder))])
        except InputError:
            raise
        except Exception as error:  # pydicom raises whatever a damaged byte leads to
            raise self._broken(one.file) from error

    def _check_syntax(self, data: Dataset, path: Path) -> None:
        """Refuse pixels that nobody here decodes, in true words."""
        from pydicom.uid import UID

        syntax = str(data.file_meta.get("TransferSyntaxUID", ""))
        if "PixelData" not in data and ("FloatPixelData" in data or "DoubleFloatPixelData" in data):
            raise InputError(f"{self.name}: {path.name}: expected whole numbers as pixels, found fractions.")
        if _is_encapsulated(data) and syntax not in DECODED:
            named = UID(syntax).name or "no transfer syntax is named"
            raise InputError(
                f"{self.name}: {path.name}: expected pixels without compression or in RLE, JPEG, JPEG-LS or JPEG 2000, "
                f"found others ({named})."
            )

    def _broken(self, path: Path) -> InputError:
        return InputError(f"{self.name}: {path.name}: expected a readable image, found a broken or truncated file.")


def _is_encapsulated(data: Dataset) -> bool:
    """Whether the pixels are compressed, by how they are stored: the transfer syntax may be none that is known."""
    pixels = data.get_item("PixelData") if "PixelData" in data else None
    return getattr(pixels, "length", 0) == UNDEFINED_LENGTH or bool(getattr(pixels, "is_undefined_length", False))


def _stored(data: Dataset) -> NDArray[Any]:
    """The stored values of pixels that are not compressed, shape (frames, rows, columns)."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    syntax = str(data.file_meta.get("TransferSyntaxUID", ""))
    if syntax not in NATIVE:
        implicit, little = data.original_encoding
        data.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        )
    array: NDArray[Any] = data.pixel_array
    if syntax == GE_BIG_ENDIAN:
        array = array.byteswap()
    return array[None] if array.ndim == 2 else array


def _single_files(data: Dataset, folder: Path) -> Iterator[Path]:
    """Each frame of a compressed file as a file of its own, which GDCM can decode whatever the compression is."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate, generate_frames
    from pydicom.uid import UID

    described = ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored")
    count = int(data.get("NumberOfFrames") or 1)
    for number, frame in enumerate(generate_frames(data.PixelData, number_of_frames=count)):
        single, meta = Dataset(), FileMetaDataset()
        for keyword in (*described, "HighBit", "PixelRepresentation"):
            setattr(single, keyword, data.get(keyword))
        if single.PhotometricInterpretation == INVERTED:
            single.PhotometricInterpretation = "MONOCHROME2"
        single.SOPClassUID, single.SOPInstanceUID = UID(CT_CLASS), UID(f"{data.SOPInstanceUID[:58]}.{number + 1}")
        single.Modality = "CT"
        single.PixelData = encapsulate([frame])
        single["PixelData"].VR = "OB"
        single["PixelData"].is_undefined_length = True
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = single.SOPClassUID, single.SOPInstanceUID
        meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
        single.file_meta = meta
        path = folder / f"{number}.dcm"
        single.save_as(path, enforce_file_format=True)
        yield path


def _rescaled(stored: NDArray[Any], one: Slice) -> NDArray[Any]:
    """Stored values of a frame in the values that its rescaling gives; whole numbers stay such."""
    if one.slope is None and one.intercept is None:
        return stored
    slope, intercept = 1.0 if one.slope is None else one.slope, 0.0 if one.intercept is None else one.intercept
    if slope != 1 or not intercept.is_integer():
        return (stored.astype(np.float64) * slope + intercept).astype(np.float64)
    values = stored.astype(np.int64) + int(intercept)
    low, high = int(values.min()), int(values.max())
    for kind in WHOLE_TYPES:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values


def read_stack(slices: Sequence[Slice], reader: PixelReader) -> NDArray[Any]:
    """The pixels of slices of one size, shape (slices, rows, columns), in the type that holds them all."""
    first = reader.read(slices[0])
    array = np.empty((len(slices), *first.shape), dtype=first.dtype)
    array[0] = first
    for number, one in enumerate(slices[1:], 1):
        pixels = reader.read(one)
        kind = np.result_type(array.dtype, pixels.dtype)
        if kind != array.dtype:
            array = array.astype(kind)
        array[number] = pixels
    return array
