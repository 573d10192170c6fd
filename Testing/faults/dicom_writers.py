"""Writers of DICOM series, right and wrong ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, generate_uid
from scipy import ndimage
from variant import Write, whole_numbers

from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.volume import Volume
from Testing.helpers.dicom_series import write_series

AIR_HU = -1000
PER_FRAME = ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "RescaleSlope", "RescaleIntercept")


def series(edit: Callable[[Dataset, int], None] | None = None, **options: Any) -> Write:
    """A DICOM series, slice by slice."""
    return lambda folder, ct: write_series(folder, whole_numbers(ct), "P", edit=edit, **options)


def setting(keyword: str, value: Callable[[int], Any], planes: Callable[[int], bool] = lambda _: True) -> Write:
    """A series in which this element has these values in these planes; None takes it away."""

    def edit(data: Dataset, plane: int) -> None:
        if planes(plane):
            found = value(plane)
            if found is None:
                delattr(data, keyword)
            else:
                setattr(data, keyword, found)

    return series(edit)


def sheared(per_plane: tuple[float, float]) -> Write:
    """Slices that drift sideways by so many mm per plane along rows and columns, as a tilted gantry makes them."""

    def write(folder: Path, ct: Volume) -> None:
        planes = []
        steps = [np.array([0.0, *per_plane]) * plane for plane in range(ct.shape[0])]
        for plane, step in enumerate(steps):
            planes.append(ndimage.shift(ct.array[plane], -step[1:] / ct.spacing[1:], order=1, cval=AIR_HU))
        moved = ct.with_array(np.round(np.stack(planes)).astype(np.int16))

        def edit(data: Dataset, plane: int) -> None:
            place = ct.to_world((plane, 0, 0)) + ct.direction @ steps[plane]
            data.ImagePositionPatient = [f"{v:.6f}" for v in place[::-1]]

        write_series(folder, moved, "P", edit=edit)

    return write


def at_planes(places: Callable[[int], np.ndarray]) -> Write:
    """A series whose slices lie at these places along the normal, in planes of the CT."""

    def write(folder: Path, ct: Volume) -> None:
        found = places(ct.shape[0])
        array = ndimage.map_coordinates(
            ct.array, np.meshgrid(found, *map(np.arange, ct.shape[1:]), indexing="ij"), order=1
        )

        def edit(data: Dataset, plane: int) -> None:
            data.ImagePositionPatient = [f"{v:.6f}" for v in ct.to_world((found[plane], 0, 0))[::-1]]

        there = Volume(
            array=np.round(array).astype(np.int16), spacing=ct.spacing, origin=ct.origin, direction=ct.direction
        )
        write_series(folder, there, "P", edit=edit)

    return write


def uneven(count: int) -> np.ndarray:
    """Planes at gaps of 0.7 to 1.3."""
    planes = np.cumsum(1 + 0.3 * np.sin(np.arange(count)))
    return planes[planes < count - 1]


def oriented(code: str) -> Write:
    """A series whose slices are cut in another orientation; no voxel is changed."""

    def write(folder: Path, ct: Volume) -> None:
        write_series(folder, from_itk(sitk.DICOMOrient(to_itk(whole_numbers(ct)), code)), "P")

    return write


def two_phases(folder: Path, ct: Volume) -> None:
    """Every second slice of a second scan, half a gap apart, in which the patient breathed."""
    moved = ndimage.shift(ct.array, (0, 8 / ct.spacing[1], 0), order=1, cval=AIR_HU)
    array = np.where(np.arange(ct.shape[0])[:, None, None] % 2, moved + 20 * (moved > -300), ct.array)
    write_series(folder, whole_numbers(ct.with_array(array)), "P")


def slice_again(change: int, uid: bool = True) -> Callable[[Path], None]:
    """A slice a second time, with other pixels if there is a change."""

    def write(folder: Path) -> None:
        data = pydicom.dcmread(folder / "010.dcm")
        if uid:
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.PixelData = (data.pixel_array + change).astype("<i2").tobytes()
        data.save_as(folder / "again.dcm")

    return write


def localizer(same_series: bool) -> Callable[[Path], None]:
    """A localizer beside the slices."""

    def write(folder: Path) -> None:
        data = pydicom.dcmread(folder / "010.dcm")
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        if not same_series:
            data.SeriesInstanceUID = generate_uid()
        data.ImageType, data.ImageOrientationPatient = (
            ["ORIGINAL", "PRIMARY", "LOCALIZER"],
            ["1", "0", "0", "0", "0", "-1"],
        )
        data.save_as(folder / "scout.dcm")

    return write


def damaged_beside(folder: Path) -> None:
    """The beginning of a copy of a slice."""
    (folder / "copy.dcm").write_bytes((folder / "010.dcm").read_bytes()[:700])


def without(*names: str) -> Callable[[Path], None]:
    """Some files taken away."""
    return lambda folder: [(folder / name).unlink() for name in names][:0]


def other_modality(modality: str, sop_class: str) -> Callable[[Path], None]:
    """Another DICOM object beside the slices."""

    def write(folder: Path) -> None:
        data = pydicom.dcmread(folder / "010.dcm")
        data.Modality, data.SOPClassUID, data.SeriesInstanceUID = modality, sop_class, generate_uid()
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.file_meta.MediaStorageSOPClassUID = sop_class
        data.save_as(folder / f"{modality}.dcm")

    return write


def second_series(folder: Path) -> None:
    """The same slices as a series of its own."""
    uid = generate_uid()
    for path in sorted(folder.glob("*.dcm")):
        data = pydicom.dcmread(path)
        data.SeriesInstanceUID, data.SeriesDescription = uid, "Bone"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.save_as(folder / f"B{path.name}")


def rewritten(syntax: Any) -> Callable[[Path], None]:
    """Every file in another transfer syntax."""

    def write(folder: Path) -> None:
        for path in folder.glob("*.dcm"):
            data = pydicom.dcmread(path)
            if syntax == "RLE":
                data.compress("1.2.840.10008.1.2.5")
                data.save_as(path)
                continue
            little = syntax != ExplicitVRBigEndian
            data.PixelData = data.pixel_array.astype("<i2" if little else ">i2").tobytes()
            data["PixelData"].VR = "OW"
            data.file_meta.TransferSyntaxUID = syntax
            again = FileDataset(str(path), {}, file_meta=data.file_meta, preamble=bytes(128))
            again.update({element.tag: element for element in data})
            pydicom.dcmwrite(path, again, enforce_file_format=True, **_encoding(syntax))

    return write


def _encoding(syntax: Any) -> dict[str, bool]:
    return {"implicit_vr": syntax == ImplicitVRLittleEndian, "little_endian": syntax != ExplicitVRBigEndian}


def without_preamble(folder: Path) -> None:
    """Files of before DICOM's part 10: no preamble, no meta header."""
    for path in folder.glob("*.dcm"):
        data = pydicom.dcmread(path)
        del data.file_meta, data.preamble
        pydicom.dcmwrite(path.with_suffix(""), data, implicit_vr=True, little_endian=True, enforce_file_format=False)
        path.unlink()


def slopes(data: Dataset, plane: int) -> None:
    """Every second slice stored with another slope and intercept."""
    if plane % 2:
        stored = np.frombuffer(data.PixelData, "<i2").astype(np.float64)
        data.RescaleSlope, data.RescaleIntercept = 2, -1024
        data.PixelData = np.round((stored + 1024) / 2).astype("<i2").tobytes()


def smaller_matrix(data: Dataset, plane: int) -> None:
    """From one slice on a row is missing."""
    if plane > 20:
        data.PixelData, data.Rows = data.PixelData[: -2 * data.Columns], data.Rows - 1


def enhanced(order: Callable[[int], np.ndarray], edit: Callable[[Dataset, int], None] | None = None) -> Write:
    """One multi-frame file, its frames in this order."""

    def write(folder: Path, ct: Volume) -> None:
        from pydicom.uid import EnhancedCTImageStorage

        write_series(folder, whole_numbers(ct), "P")
        data = pydicom.dcmread(folder / "000.dcm")
        shutil.rmtree(folder)
        folder.mkdir()
        numbers = order(ct.shape[0])
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        data.NumberOfFrames = len(numbers)
        shared, measures, plane = Dataset(), Dataset(), Dataset()
        measures.PixelSpacing, plane.ImageOrientationPatient = data.PixelSpacing, data.ImageOrientationPatient
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
        frames, pixels = [], []
        for number in numbers:
            frame, position, values = Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = [f"{v:.6f}" for v in ct.to_world((number, 0, 0))[::-1]]
            values.RescaleSlope, values.RescaleIntercept = 1, -100 * int(number % 3)
            frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [values]
            pixels.append(whole_numbers(ct).array[number] + 100 * int(number % 3))
            if edit is not None:
                edit(frame, int(number))
            frames.append(frame)
        for keyword in PER_FRAME:
            delattr(data, keyword)
        data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], frames
        data.PixelData = np.stack(pixels).astype("<i2").tobytes()
        data.save_as(folder / "enhanced.dcm")

    return write


def no_position(frame: Dataset, _number: int) -> None:
    """A frame that does not say where it lies."""
    del frame.PlanePositionSequence
