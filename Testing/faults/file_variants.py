"""NIfTI, NRRD and MetaImage files of one CT."""

from __future__ import annotations

import bz2
import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from variant import Entries, Write, cut_off, left_out, mended, of_other_voxels, refused, then, whole_numbers

from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.itk import to_itk
from OneShotSegLib.imaging.volume import Volume
from Testing.helpers.storing import WAYS_OF_STORING

OBLIQUE = "all voxels are interpolated; the plain mask itself, on that grid, has 0.89"
OTHER_SPACING = (
    "all voxels are interpolated, to larger ones; the plain mask itself, on that grid, has 0.86, and structures of 25 "
    "and 31 voxels weigh as much as those of 294"
)


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


def named(name: str, compressed: bool) -> Write:
    """A NIfTI file whose name says something else of its compression."""

    def write(folder: Path, ct: Volume) -> None:
        write_volume(whole_numbers(ct), folder / "packed.nii.gz")
        content = (folder / "packed.nii.gz").read_bytes()
        (folder / "packed.nii.gz").unlink()
        (folder / name).write_bytes(content if compressed else gzip.decompress(content))

    return write


def by_bzip2(folder: Path, ct: Volume) -> None:
    """An NRRD file in an encoding that its reader does not have."""
    sitk.WriteImage(to_itk(whole_numbers(ct)), str(folder / "ct.nrrd"), False)
    head, _, voxels = (folder / "ct.nrrd").read_bytes().partition(b"\n\n")
    head = head.replace(b"encoding: raw", b"encoding: bzip2")
    (folder / "ct.nrrd").write_bytes(head + b"\n\n" + bz2.compress(voxels))


def voxels_lost(folder: Path, ct: Volume) -> None:
    """A header whose file of voxels is gone."""
    sitk.WriteImage(to_itk(whole_numbers(ct)), str(folder / "ct.mhd"), False)
    (folder / "ct.raw").unlink()


def voxels_of_any_name(folder: Path, ct: Volume) -> None:
    """A header with a file of voxels that is named as something else."""
    sitk.WriteImage(to_itk(whole_numbers(ct)), str(folder / "ct.mhd"), False)
    (folder / "ct.raw").rename(folder / "voxels.img")
    content = (folder / "ct.mhd").read_text(encoding="utf-8")
    (folder / "ct.mhd").write_text(content.replace("ct.raw", "voxels.img"), encoding="utf-8")


def first_slice(ct: Volume) -> Volume:
    """A part of the CT that is no volume."""
    return Volume(array=ct.array[:1], spacing=ct.spacing, origin=ct.origin, direction=ct.direction)


def two_volumes(folder: Path, ct: Volume) -> None:
    """A NIfTI file of four axes."""
    sitk.WriteImage(sitk.JoinSeries([to_itk(ct), to_itk(ct)]), str(folder / "ct.nii.gz"))


NO_STEP = "space directions: (0,0,0) (0,6,0) (0,0,8.75)"
FILES: Entries = {
    "nii": ("plain files", nifti(), {}),
    "nrrd": ("plain files", file(".nrrd"), {}),
    "mha": ("plain files", file(".mha"), {}),
    "mhd": ("plain files", detached(".mhd"), {}),
    "nhdr": ("plain files", detached(".nhdr"), {}),
    "float64": ("plain files", file(".nii.gz", lambda ct: ct.with_array(ct.array.astype(np.float64))), {}),
    "compressed_nii": ("plain files", named("ct.nii", True), {}),
    "plain_nii_gz": ("plain files", named("ct.nii.gz", False), {}),
    "mixed_case": ("plain files", named("ct.Nii", False), {}),
    "voxels_of_any_name": ("plain files", voxels_of_any_name, {}),
    "bzip2": ("encodings and lost files", by_bzip2, refused("bzip2")),
    "voxels_lost": ("encodings and lost files", voxels_lost, refused("ct.raw")),
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
    "mha_two_positions": (
        "voxel size",
        text_changed(".mha", "CenterOfRotation", "Position = 500 0 0"),
        refused("position"),
    ),
    "mha_no_spacing": (
        "voxel size",
        text_changed(".mha", "ElementSpacing", ""),
        refused("expected"),
    ),
    "slope": ("scale of values", scaled_nifti, {}),
    "slope_0": ("scale of values", nifti(("<2f", 112, 0.0, 0.0)), {}),
    "slope_tiny": ("scale of values", nifti(("<2f", 112, 1e-30, 0.0)), refused("slope of the values")),
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
