"""One CT stored in many ways, right and wrong ones: what `inputs.py` runs the command line on."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813
from outcomes import LEFT_OUT, MENDED, REFUSED, USED
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, generate_uid
from scipy import ndimage

from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.itk import to_itk
from OneShotSegLib.imaging.volume import Volume
from Testing.helpers.dicom_series import write_series
from Testing.helpers.intensity_damage import DAMAGES
from Testing.helpers.storing import WAYS_OF_STORING

AIR_HU = -1000
TILTED = "every slice is interpolated twice, when it is tilted and when it is read"
UNEVEN = "every slice is interpolated twice, when it is moved and when it is read"
MISSING = "a slice of 73 is the mean of its neighbours"
OBLIQUE = "all voxels are interpolated; the plain mask itself, on that grid, has 0.89"
OTHER_SPACING = (
    "all voxels are interpolated, to larger ones; the plain mask itself, on that grid, has 0.86, and structures of 25 "
    "and 31 voxels weigh as much as those of 294"
)
AIR_LOST = "the measured air around the body is lost"
ROUNDED = "every second slice is stored in steps of 2 HU"
Write = Callable[[Path, Volume], object]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way of storing.

    Attributes:
        kind: What the table counts it under.
        name: Its name, which is that of its folder.
        write: Writes it into its folder.
        expected: What is to become of it.
        says: A part of what is to be said of it.
        least: The world-space Dice with the plainly stored case that it must have.
        why: Why that is less than 0.99, for the table: its voxels are other ones. Such a variant is done by the default
            settings: the quick ones make more of such differences.
    """

    kind: str
    name: str
    write: Write
    expected: str = USED
    says: str = ""
    least: float = 0.99
    why: str = ""


def refused(says: str) -> dict[str, Any]:
    """What is to become of a variant: it is refused with these words."""
    return {"expected": REFUSED, "says": says}


def mended(says: str = "", least: float = 0.99, why: str = "") -> dict[str, Any]:
    """What is to become of a variant: it is used, and these words are said."""
    return {"expected": MENDED, "says": says, "least": least, "why": why}


def of_other_voxels(least: float, why: str) -> dict[str, Any]:
    """What is less alike in a variant, and the reason."""
    return {"least": least, "why": why}


def left_out(says: str) -> dict[str, Any]:
    """What is to become of a variant: it becomes no case, and these words are said."""
    return {"expected": LEFT_OUT, "says": says}


# DICOM


def series(edit: Callable[[Dataset, int], None] | None = None, **options: Any) -> Write:
    """A DICOM series, slice by slice."""
    return lambda folder, ct: write_series(folder, whole_numbers(ct), "P", edit=edit, **options)


def whole_numbers(ct: Volume) -> Volume:
    """The CT with values that DICOM stores."""
    return ct.with_array(np.round(ct.array).astype(np.int16))


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


def then(first: Write, *others: Callable[[Path], object]) -> Write:
    """A way of storing, and what is done to the files after it."""

    def write(folder: Path, ct: Volume) -> None:
        first(folder, ct)
        for other in others:
            other(folder)

    return write


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
        from OneShotSegLib.imaging.itk import from_itk

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


def cut_off(name: str, length: int) -> Callable[[Path], None]:
    """A file of which only the beginning is left."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:length])


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


PER_FRAME = ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "RescaleSlope", "RescaleIntercept")


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
        for keyword in (
            "PixelSpacing",
            "ImageOrientationPatient",
            "ImagePositionPatient",
            "RescaleSlope",
            "RescaleIntercept",
        ):
            delattr(data, keyword)
        data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], frames
        data.PixelData = np.stack(pixels).astype("<i2").tobytes()
        data.save_as(folder / "enhanced.dcm")

    return write


def no_position(frame: Dataset, _number: int) -> None:
    """A frame that does not say where it lies."""
    del frame.PlanePositionSequence


DICOM: Mapping[str, tuple[str, Write, dict[str, Any]]] = {
    "plain": ("plain series", series(), {}),
    "backwards": ("plain series", series(backwards=True), {}),
    "implicit": ("plain series", then(series(), rewritten(ImplicitVRLittleEndian)), {}),
    "big_endian": ("plain series", then(series(), rewritten(ExplicitVRBigEndian)), {}),
    "rle": ("plain series", then(series(), rewritten("RLE")), {}),
    "no_preamble": ("plain series", then(series(), without_preamble), {}),
    "coronal": ("other orientation", oriented("LIP"), {}),
    "sagittal": ("other orientation", oriented("PIL"), {}),
    "feet_first": ("other orientation", oriented("RPS"), {}),
    "tilt_columns": ("gantry tilt", sheared((0.9, 0.0)), mended("tilted by", 0.78, TILTED)),
    "tilt_back": ("gantry tilt", sheared((-0.6, 0.0)), mended("tilted by", 0.78, TILTED)),
    "tilt_rows": ("gantry tilt", sheared((0.0, 0.75)), mended("tilted by", 0.78, TILTED)),
    "tilt_50_degrees": ("gantry tilt", sheared((5.5, 0.0)), refused("more than a gantry tilts")),
    "uneven": ("uneven gaps", at_planes(uneven), mended("unevenly spaced", 0.9, UNEVEN)),
    "slice_missing": (
        "missing slices",
        then(series(), without("012.dcm")),
        mended("missing (at", 0.92, MISSING),
    ),
    "slices_missing": (
        "missing slices",
        then(series(), without("012.dcm", "013.dcm")),
        refused("a gap of"),
    ),
    "slice_twice": ("doubled slices", then(series(), slice_again(0)), mended("more than once")),
    "file_twice": (
        "doubled slices",
        then(series(), slice_again(0, uid=False)),
        mended("more than once"),
    ),
    "two_at_one_place": (
        "two phases",
        then(series(), slice_again(9)),
        refused("different contents"),
    ),
    "phases_by_number": (
        "two phases",
        setting("AcquisitionNumber", lambda k: k % 2 + 1),
        refused("AcquisitionNumber"),
    ),
    "phases_by_time": (
        "two phases",
        setting("ContentTime", lambda k: f"10{k % 2}000"),
        refused("ContentTime"),
    ),
    "phases_half_a_gap": ("two phases", two_phases, refused("every second slice")),
    "no_spacing": (
        "missing geometry",
        setting("PixelSpacing", lambda _: None),
        refused("PixelSpacing"),
    ),
    "zero_spacing": (
        "missing geometry",
        setting("PixelSpacing", lambda _: ["0", "0"]),
        refused("PixelSpacing"),
    ),
    "no_position": (
        "missing geometry",
        setting("ImagePositionPatient", lambda _: None),
        refused("ImagePositionPatient"),
    ),
    "one_without_position": (
        "missing geometry",
        setting("ImagePositionPatient", lambda _: None, lambda k: k == 4),
        refused("none in 1 of"),
    ),
    "no_orientation": (
        "missing geometry",
        setting("ImageOrientationPatient", lambda _: None),
        refused("ImageOrientationPatient"),
    ),
    "turned_midway": (
        "change midway",
        setting("ImageOrientationPatient", lambda _: ["0.99", "0.14", "0", "-0.14", "0.99", "0"], lambda k: k > 20),
        refused("turned by"),
    ),
    "spacing_midway": (
        "change midway",
        setting("PixelSpacing", lambda _: ["5", "5"], lambda k: k > 20),
        refused("one distance between pixels"),
    ),
    "matrix_midway": ("change midway", series(smaller_matrix), refused("rows and columns")),
    "patient_midway": (
        "change midway",
        setting("PatientID", lambda _: "B", lambda k: k > 20),
        refused("one patient"),
    ),
    "frame_midway": (
        "change midway",
        setting("FrameOfReferenceUID", lambda _: "1.2.3", lambda k: k > 20),
        refused("frame of reference"),
    ),
    "rescale_midway": (
        "change midway",
        series(slopes),
        mended("different rescalings", 0.98, ROUNDED),
    ),
    "rescale_lost_midway": (
        "change midway",
        setting("RescaleIntercept", lambda _: None, lambda k: k > 20),
        refused("RescaleIntercept"),
    ),
    "localizer_within": (
        "localizers and other objects",
        then(series(), localizer(True)),
        mended("localizer"),
    ),
    "localizer_beside": (
        "localizers and other objects",
        then(series(), localizer(False)),
        mended("a localizer"),
    ),
    "dose_beside": (
        "localizers and other objects",
        then(series(), other_modality("RTDOSE", "1.2.840.10008.5.1.4.1.1.481.2")),
        mended("a dose"),
    ),
    "mr_beside": (
        "localizers and other objects",
        then(series(), other_modality("MR", "1.2.840.10008.5.1.4.1.1.4")),
        mended("MR"),
    ),
    "several_series": (
        "several series in a folder",
        then(series(), second_series),
        left_out("2 CT series"),
    ),
    "damaged_beside": ("damaged files", then(series(), damaged_beside), mended("does not lack")),
    "damaged_slice": (
        "damaged files",
        then(series(), cut_off("012.dcm", 600)),
        refused("012.dcm"),
    ),
    "last_slice_empty": (
        "damaged files",
        then(series(), cut_off("072.dcm", 0)),
        refused("072.dcm"),
    ),
    "pixels_cut_off": (
        "damaged files",
        then(series(), cut_off("012.dcm", 2500)),
        refused("012.dcm"),
    ),
    "frames": ("multi-frame", enhanced(np.arange), mended("different rescalings")),
    "frames_backwards": ("multi-frame", enhanced(lambda n: np.arange(n)[::-1]), mended()),
    "frames_interleaved": ("multi-frame", enhanced(lambda n: np.r_[0:n:2, 1:n:2]), mended()),
    "frames_with_a_gap": (
        "multi-frame",
        enhanced(lambda n: np.r_[0:10, 14:n]),
        refused("a gap of"),
    ),
    "frames_without_places": (
        "multi-frame",
        enhanced(np.arange, no_position),
        refused("ImagePositionPatient"),
    ),
}


# Files


def file(suffix: str, change: Callable[[Volume], Volume] = lambda ct: ct) -> Write:
    """One file."""
    return lambda folder, ct: write_volume(change(ct), folder / f"ct{suffix}")


def nifti(*changes: tuple[Any, ...]) -> Write:
    """A NIfTI file with these changes of its header: format, offset, values."""

    def write(folder: Path, ct: Volume) -> None:
        write_volume(whole_numbers(ct), folder / "packed.nii.gz")
        content = bytearray(gzip.decompress((folder / "packed.nii.gz").read_bytes()))
        (folder / "packed.nii.gz").unlink()
        for form, offset, *values in changes:
            struct.pack_into(form, content, offset, *values)
        (folder / "ct.nii").write_bytes(content)

    return write


def in_metres(folder: Path, ct: Volume) -> None:
    """A NIfTI file in metres that says so."""
    scaled = Volume(array=ct.array, spacing=ct.spacing, origin=ct.origin, direction=ct.direction)
    nifti()(folder, scaled)
    content = bytearray((folder / "ct.nii").read_bytes())
    for offset, count in ((80, 3), (268, 3), (280, 12)):
        values = np.array(struct.unpack_from(f"<{count}f", content, offset)) / 1000
        struct.pack_into(f"<{count}f", content, offset, *values)
    content[123] = 1
    (folder / "ct.nii").write_bytes(content)


def scaled_nifti(folder: Path, ct: Volume) -> None:
    """Stored values that the header's slope and intercept make HU."""
    write = nifti(("<2f", 112, 0.5, -1024.0))
    write(folder, ct.with_array((np.round(ct.array) + 1024) * 2))


def text_changed(suffix: str, old: str, new: str) -> Write:
    """An uncompressed NRRD or MetaImage file, a line of whose header is another one."""

    def write(folder: Path, ct: Volume) -> None:
        sitk.WriteImage(to_itk(whole_numbers(ct)), str(folder / f"ct{suffix}"), False)
        content = (folder / f"ct{suffix}").read_bytes()
        lines = content.split(b"\n")
        for number, line in enumerate(lines[:30]):
            if line.startswith(old.encode()):
                lines[number] = new.encode()
                break
        else:
            raise ValueError(f"no line {old!r}")
        (folder / f"ct{suffix}").write_bytes(b"\n".join(line for k, line in enumerate(lines) if line or k != number))

    return write


def detached(suffix: str) -> Write:
    """A header and a file of voxels."""
    return lambda folder, ct: sitk.WriteImage(to_itk(whole_numbers(ct)), str(folder / f"ct{suffix}"), False)


def stored(name: str) -> Write:
    """Other axes, turned, or other voxels."""
    return file(".nii.gz", WAYS_OF_STORING[name])


def first_slice(ct: Volume) -> Volume:
    """A part of the CT that is no volume."""
    return Volume(array=ct.array[:1], spacing=ct.spacing, origin=ct.origin, direction=ct.direction)


def two_volumes(folder: Path, ct: Volume) -> None:
    """A NIfTI file of four axes."""
    sitk.WriteImage(sitk.JoinSeries([to_itk(ct), to_itk(ct)]), str(folder / "ct.nii.gz"))


NO_STEP = "space directions: (0,0,0) (0,6,0) (0,0,8.75)"
FILES: Mapping[str, tuple[str, Write, dict[str, Any]]] = {
    "nii": ("plain files", nifti(), {}),
    "nrrd": ("plain files", file(".nrrd"), {}),
    "mha": ("plain files", file(".mha"), {}),
    "mhd": ("plain files", detached(".mhd"), {}),
    "nhdr": ("plain files", detached(".nhdr"), {}),
    "float64": ("plain files", file(".nii.gz", lambda ct: ct.with_array(ct.array.astype(np.float64))), {}),
    "axes_ras": ("other axes", stored("RAS"), {}),
    "axes_permuted": ("other axes", stored("permuted axes"), {}),
    "oblique": ("other axes", stored("oblique"), of_other_voxels(0.7, OBLIQUE)),
    "other_spacing": ("other axes", stored("other spacing"), of_other_voxels(0.57, OTHER_SPACING)),
    "qform_alone": ("NIfTI forms", nifti(("<h", 254, 0)), {}),
    "sform_alone": ("NIfTI forms", nifti(("<h", 252, 0)), {}),
    "no_form": ("NIfTI forms", nifti(("<2h", 252, 0, 0)), refused("qform or sform")),
    "forms_disagree": ("NIfTI forms", nifti(("<f", 292, 77.0)), refused("qform and sform")),
    "forms_sheared": (
        "NIfTI forms",
        nifti(("<h", 252, 0), ("<f", 284, 2.0)),
        left_out("right angles"),
    ),
    "pixdim_0": ("voxel size", nifti(("<f", 88, 0.0)), refused("pixdim")),
    "pixdim_negative": ("voxel size", nifti(("<f", 84, -6.0)), refused("pixdim")),
    "pixdim_nan": ("voxel size", nifti(("<f", 84, float("nan"))), refused("pixdim")),
    "metres": ("voxel size", in_metres, mended("metres")),
    "nrrd_no_space": ("voxel size", text_changed(".nrrd", "space: ", ""), left_out("no space")),
    "nrrd_no_directions": (
        "voxel size",
        text_changed(".nrrd", "space directions", ""),
        refused("voxel size"),
    ),
    "nrrd_zero": (
        "voxel size",
        text_changed(".nrrd", "space directions", NO_STEP),
        refused("0.05 to 50 mm"),
    ),
    "mha_no_spacing": (
        "voxel size",
        text_changed(".mha", "ElementSpacing", ""),
        refused("expected"),
    ),
    "slope": ("scale of values", scaled_nifti, {}),
    "slope_0": ("scale of values", nifti(("<2f", 112, 0.0, 0.0)), {}),
    "slope_infinite": (
        "scale of values",
        nifti(("<2f", 112, float("inf"), 0.0)),
        refused("infinite"),
    ),
    "nan": (
        "voxels that are no numbers",
        file(".nii.gz", lambda ct: ct.with_array(np.where(ct.array < -900, np.nan, ct.array).astype(np.float32))),
        refused("NaN"),
    ),
    "nan_nrrd": (
        "voxels that are no numbers",
        file(".nrrd", lambda ct: ct.with_array(np.where(ct.array < -900, np.nan, ct.array).astype(np.float32))),
        refused("NaN"),
    ),
    "four_axes": ("not one volume", two_volumes, left_out("not one volume")),
    "one_slice": (
        "not one volume",
        file(".nii.gz", first_slice),
        left_out("single slice"),
    ),
    "cut_off_nii": (
        "damaged files",
        then(nifti(), cut_off("ct.nii", 50_000)),
        refused("truncated"),
    ),
    "text_as_nii": (
        "damaged files",
        lambda folder, _ct: (folder / "ct.nii.gz").write_text("no image", encoding="utf-8"),
        left_out("cannot be read"),
    ),
}


# Values


def damage(kind: str, name: str) -> Write:
    """Values that are no HU any more."""
    return file(".nrrd", lambda ct: ct.with_array(DAMAGES[kind][name](ct.array)))


VALUES: Mapping[str, tuple[str, Write, dict[str, Any]]] = {
    "offset_1024": ("offsets", damage("offset", "+1024"), mended("1024")),
    "offset_1024_padded": (
        "offsets",
        damage("offset 1024, padded circle", "-2000"),
        mended("1024", 0.94, AIR_LOST),
    ),
    "offset_below": ("offsets", damage("offset", "-1024"), refused("HU")),
    "sign_lost": ("offsets", damage("read without sign", "uint16"), mended()),
    "slope_half": ("slopes", damage("slope", "0.5"), refused("HU")),
    "slope_4": ("slopes", damage("slope", "4"), refused("HU")),
    "window": (
        "windows and clipped exports",
        damage("8-bit window", "-160..240"),
        refused("expected"),
    ),
    "clipped": ("windows and clipped exports", damage("clipped", "-125..275"), refused("HU")),
    "zero_around": (
        "fill around the body",
        damage("0 HU around the body", "int"),
        mended("set to air", 0.82, AIR_LOST),
    ),
    "zero_circle": (
        "fill around the body",
        damage("0 HU around the body", "circle"),
        mended("set to air", 0.95, AIR_LOST),
    ),
    "constant": ("no CT", damage("constant", "0"), refused("expected")),
    "normalised": ("no CT", damage("normalised", "0-1"), refused("expected")),
    "like_mr": ("no CT", damage("another modality", "MR"), refused("HU")),
    "like_pet": ("no CT", damage("another modality", "PET"), refused("expected")),
    "inverted": ("no CT", damage("inverted", "-HU"), refused("HU")),
}


# What lies in folders


def mask_beside(name: str) -> Write:
    """A CT with a mask beside it."""

    def write(folder: Path, ct: Volume) -> None:
        write_volume(ct, folder / "ct.nii.gz")
        write_volume(ct.with_array((ct.array > 200).astype(np.uint8)), folder / name)

    return write


def beside(name: str, content: bytes) -> Write:
    """A CT with another file beside it."""

    def write(folder: Path, ct: Volume) -> None:
        write_volume(ct, folder / "ct.nii.gz")
        (folder / name).write_bytes(content)

    return write


def broken_link(folder: Path, ct: Volume) -> None:
    """A CT with a link to nowhere."""
    write_volume(ct, folder / "ct.nii.gz")
    (folder / "x.nii.gz").symlink_to("/nonexistent/x.nii.gz")


def deep(folder: Path, ct: Volume) -> None:
    """A series far down."""
    write_series(folder / "study 1" / "DICOM" / "series 3", whole_numbers(ct), "P")


def divided(folder: Path, ct: Volume) -> None:
    """A series of which two folders have a half each."""
    write_series(folder / "a", whole_numbers(ct), "P")
    (folder / "b").mkdir()
    for path in sorted((folder / "a").iterdir())[18:]:
        path.rename(folder / "b" / path.name)


def odd_name(folder: Path, ct: Volume) -> None:
    """A file whose name is no UTF-8."""
    write_volume(ct, folder / "ct.nii.gz")
    (folder / "ct.nii.gz").rename(folder / os.fsdecode(b"M\xfcller.nii.gz"))


def legs(folder: Path, ct: Volume) -> None:
    """Another part of a body: two legs of fat and muscle, with a bone in each."""
    _, y, x = np.indices(ct.shape)
    middle = (np.array(ct.shape) - 1) / 2
    hu = np.full(ct.shape, -1000.0)
    for side in (-1, 1):
        away = np.hypot((y - middle[1]) * ct.spacing[1], (x - middle[2]) * ct.spacing[2] - side * 75)
        hu = np.select([away < 12, away < 16, away < 52, away < 65], [50, 1100, 55, -100], hu)
    noise = np.random.default_rng(0).normal(0, 12, ct.shape)
    write_volume(ct.with_array(np.round(hu + noise).astype(np.int16)), folder / "ct.nii.gz")


FOLDERS: Mapping[str, tuple[str, Write, dict[str, Any]]] = {
    "deep": ("folders", deep, {}),
    "mask_beside": ("masks beside CTs", mask_beside("seg.nii.gz"), mended("a label map")),
    "mask_of_any_name": ("masks beside CTs", mask_beside("result.nrrd"), mended("a label map")),
    "segmentation_beside": (
        "masks beside CTs",
        mask_beside("x.seg.nrrd"),
        mended("a segmentation"),
    ),
    "analyze_beside": ("other files", beside("ct.img", bytes(999)), mended("not read")),
    "archive_beside": ("other files", beside("ct.zip", bytes(999)), mended("not read")),
    "text_beside": ("other files", beside("notes.txt", b"x"), mended("another kind")),
    "broken_link": ("other files", broken_link, mended("a broken link")),
    "divided": ("folders", divided, left_out("a part of a series")),
    "odd_name": ("file names", odd_name, {}),
    "legs": ("another region", legs, refused("another region")),
}


def variants() -> list[Variant]:
    """All of them; the first is the plainly stored case."""
    groups = (("2 DICOM", DICOM), ("2 Files", FILES), ("3 Intensities", VALUES), ("4 Inputs", FOLDERS))
    found = [Variant(kind="2 Files: plain files", name="plain", write=file(".nii.gz"))]
    for group, entries in groups:
        for name, (kind, write, options) in entries.items():
            number = {"another region": "6 Region", "file names": "7 Surroundings"}.get(kind, group)
            found.append(
                Variant(kind=f"{number}: {kind}", name=f"{group[0]}{group[2:5].lower()}_{name}", write=write, **options)
            )
    return found
