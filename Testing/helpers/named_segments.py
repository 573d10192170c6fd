"""Slicer segmentations written as another program might: any value, layer and name for each segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Painted:
    """One segment.

    Attributes:
        name: Its name.
        value: Its value within its layer.
        mask: Its voxels, bool, shape (D, H, W).
        layer: The layer that it lies in.
    """

    name: str
    value: int
    mask: NDArray[np.bool_]
    layer: int = 0


def write_segmentation(
    path: Path,
    segments: Sequence[Painted],
    nameless: Mapping[int, tuple[int, int, int]] | None = None,
    like: Path | None = None,
) -> None:
    """Write segments in their order.

    Args:
        path: The file, ``.seg.nrrd``.
        segments: What to write.
        nameless: Values of single voxels in the first layer that no segment names.
        like: An image whose geometry the file gets.
    """
    layers = np.zeros((*segments[0].mask.shape, 1 + max(segment.layer for segment in segments)), np.uint8)
    for segment in segments:
        layers[segment.mask, segment.layer] = segment.value
    for value, voxel in (nameless or {}).items():
        layers[(*voxel, 0)] = value
    is_layered = layers.shape[-1] > 1
    image = sitk.GetImageFromArray(layers if is_layered else layers[..., 0], isVector=is_layered)
    if like is not None:
        image.CopyInformation(sitk.ReadImage(str(like)))
    for number, segment in enumerate(segments):
        fields = {"ID": f"Segment_{number + 1}", "Name": segment.name, "LabelValue": str(segment.value)}
        for key, text in {**fields, "Layer": str(segment.layer), "Color": "0.5 0.5 0.2"}.items():
            image.SetMetaData(f"Segment{number}_{key}", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), True)
