"""One CT with values that are no HU any more."""

from __future__ import annotations

import numpy as np
from file_variants import file
from variant import Entries, Write, mended, refused

from Testing.helpers.intensity_damage import DAMAGES

AIR_LOST = "the measured air around the body is lost"


def damage(kind: str, name: str) -> Write:
    """Values that are no HU any more."""
    return file(".nrrd", lambda ct: ct.with_array(DAMAGES[kind][name](ct.array)))


VALUES: Entries = {
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
    "slope_tenth_zero_beside": ("slopes", damage("slope, 0 beside the image", "0.1"), refused("HU")),
    "slope_half_zero_beside": ("slopes", damage("slope, 0 beside the image", "0.5"), refused("HU")),
    "bytes": (
        "slopes",
        file(".nii.gz", lambda ct: ct.with_array((ct.array // 16).clip(-128, 127).astype(np.int8))),
        refused("HU"),
    ),
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
