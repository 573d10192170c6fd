"""The packages that OneShotSeg needs, for where no pyproject.toml and no installed package says so: in Slicer.

A test compares them with pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Mapping

NEEDED: tuple[str, ...] = (
    "numpy>=1.26",
    "scipy>=1.11",
    "SimpleITK>=2.3",
    "torch>=2.2",
    "numba>=0.60",
    "safetensors>=0.4.3",
    "typer>=0.12",
    "rich>=13",
    "Jinja2>=3.1",
    "contourpy>=1.2",
    "Pillow>=10",
    "filelock>=3.12",
    "packaging>=23",
    "pydicom>=3",
)
"""For every run."""

OF_SLICER: Mapping[str, tuple[str, ...]] = {
    "dicom": ("highdicom>=0.28",),
    "train": ("monai>=1.4", "matplotlib>=3.8", "tensorboard>=2.14"),
}
"""The extras that the Slicer module offers all of (the extra ``slicer``)."""
