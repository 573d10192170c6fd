"""Reading with SimpleITK: its errors and warnings as one sentence, and a check of the header before the voxels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from OneShotSegLib.errors import InputError

MAX_VOXELS = 2**31
Result = TypeVar("Result")


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Silence ITK's own warnings on standard error: what matters is raised as an error."""
    import SimpleITK as sitk  # noqa: N813

    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def execute(read: Callable[[], Result], path: Path) -> Result:
    """The result of a SimpleITK call that reads a path.

    Raises:
        InputError: If the call fails; one sentence, without ITK's stack.
    """
    try:
        return read()
    except RuntimeError as error:
        raise unreadable(path, reason(error)) from error


def unreadable(path: Path, found: str = "a broken or truncated file") -> InputError:
    """The error for a file that cannot be read."""
    return InputError(f"{path}: expected a readable image, found {found}.")


def reason(error: RuntimeError) -> str:
    """What was found instead of an image, from ITK's own words."""
    text = str(error)
    if "Unable to determine ImageIO reader" in text:
        return "a file of an unknown format"
    if "orthonormal" in text:
        return "one whose axes are not at right angles"
    return "a broken or truncated file"


def check_header(path: Path, size: tuple[int, ...], components: int) -> None:
    """Refuse what is no scalar 3D image of a sensible size, before its voxels are read.

    Args:
        path: The file, for messages.
        size: Voxels along each axis; a fourth axis may have one.
        components: Values per voxel.

    Raises:
        InputError: With one sentence.
    """
    extent = size[:3]
    if len(size) not in (3, 4) or (len(size) == 4 and size[3] != 1) or 1 in extent:
        found = " x ".join(str(n) for n in size)
        raise InputError(f"{path}: expected a 3D image, found one of {found} voxels ({len(size)} axes).")
    if components != 1:
        raise InputError(f"{path}: expected one value per voxel, found {components} (a colour or vector image).")
    if math.prod(extent) > MAX_VOXELS:
        found = " x ".join(str(n) for n in extent)
        raise InputError(f"{path}: expected at most 2^31 voxels, found a header of {found}.")
