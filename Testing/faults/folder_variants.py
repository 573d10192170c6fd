"""One CT in folders, among other things."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from variant import Entries, Write, left_out, mended, refused, whole_numbers

from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.volume import Volume
from Testing.helpers.dicom_series import write_series


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


FOLDERS: Entries = {
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
