"""Ways in which the values of a CT stop being HU: each takes HU [z, y, x] and returns the damaged values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Damage = Callable[[NDArray[Any]], NDArray[Any]]


def outside_circle(hu: NDArray[Any]) -> NDArray[np.bool_]:
    """The voxels outside the round field of view."""
    rows, columns = np.indices(hu.shape[1:])
    middle = (hu.shape[1] - 1) / 2, (hu.shape[2] - 1) / 2
    far = np.hypot((rows - middle[0]) / hu.shape[1], (columns - middle[1]) / hu.shape[2]) > 0.5
    return np.broadcast_to(far, hu.shape)


def outside_body(hu: NDArray[Any]) -> NDArray[np.bool_]:
    """All but the body, its cavities included."""
    tissue = ndimage.binary_opening(hu > -400)
    regions, _ = ndimage.label(tissue)
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    body = regions == sizes.argmax()
    return ~np.stack([ndimage.binary_fill_holes(plane) for plane in body])


def _offset(by: int, padding: float | None = None, where: Damage | None = None) -> Damage:
    def damage(hu: NDArray[Any]) -> NDArray[Any]:
        shifted = hu.astype(np.int32) + by
        if padding is not None and where is not None:
            shifted[where(hu)] = padding
        return shifted

    return damage


def _filled(value: float, where: Damage, kind: type = np.float32) -> Damage:
    return lambda hu: np.where(where(hu), value, hu).astype(kind)


def _scaled(slope: float, padding: float | None = None) -> Damage:
    def damage(hu: NDArray[Any]) -> NDArray[Any]:
        return np.where(outside_circle(hu) & (padding is not None), padding or 0, hu * slope).astype(np.float32)

    return damage


def _zero_beside(slope: float) -> Damage:
    """A scale that is lost, and planes of 0 that a rotation left empty."""
    return lambda hu: np.where(_wedge(hu), 0, hu * slope).astype(np.float32)


def body_scaled(slope: float) -> Damage:
    """What is computed of a CT, such as a map of iodine: the body has another scale, all else is air as in a CT."""
    return lambda hu: np.where(hu > -300, np.round(hu * slope), -1024).astype(np.int16)


def _window(low: float, high: float, to: float = 255, padding: float | None = None) -> Damage:
    def damage(hu: NDArray[Any]) -> NDArray[Any]:
        mapped = np.round((np.clip(hu, low, high) - low) / (high - low) * to)
        return mapped.astype(np.int16) if padding is None else np.where(outside_circle(hu), padding, mapped)

    return damage


def _like_mr(hu: NDArray[Any]) -> NDArray[Any]:
    """Fat bright, soft tissue medium, bone and air dark, with the noise of a magnitude image."""
    signal = np.interp(hu, (-900, -150, -100, 0, 60, 200, 700), (0, 800, 1000, 450, 650, 500, 60))
    noise = np.random.default_rng(0).normal(0, 20, (2, *hu.shape))
    return np.round(np.hypot(signal + noise[0], noise[1])).astype(np.int16)


def _like_pet(hu: NDArray[Any]) -> NDArray[Any]:
    uptake = np.random.default_rng(0).gamma(2.0, 1500.0, hu.shape) * ~outside_body(hu)
    return ndimage.gaussian_filter(uptake, 2.0).astype(np.float32)


def _like_dose(hu: NDArray[Any]) -> NDArray[Any]:
    centre = np.asarray(hu.shape) / 2
    far = np.linalg.norm((np.moveaxis(np.indices(hu.shape), 0, -1) - centre) / hu.shape, axis=-1)
    return (7000 * np.exp(-((far / 0.25) ** 2))).astype(np.float32)


def _padded(damage: Damage, padding: float) -> Damage:
    return lambda hu: np.where(outside_circle(hu), padding, damage(hu)).astype(np.float32)


def _some_planes(hu: NDArray[Any]) -> NDArray[np.bool_]:
    at = np.arange(len(hu))
    return np.broadcast_to(((at < len(hu) // 8) | (at >= len(hu) - len(hu) // 8))[:, None, None], hu.shape)


def _wedge(hu: NDArray[Any]) -> NDArray[np.bool_]:
    """What a rotated image leaves empty."""
    ones = np.ones(hu.shape[1:], dtype=np.float32)
    plane = ndimage.rotate(ones, 12, reshape=False, order=0, cval=0) == 0
    return np.broadcast_to(plane, hu.shape)


PADDINGS = (-32768, -3024, -2048, -2000, -1024, -1000, -7777, 3000)
DAMAGES: Mapping[str, Mapping[str, Damage]] = {
    "offset": {f"{by:+d}": _offset(by) for by in (1024, 1000, 8192, 32768, -1024, -1000, 500)},
    "offset 1024, padded circle": {f"{v}": _offset(1024, v, outside_circle) for v in PADDINGS},
    "offset 1000, padded circle": {f"{v}": _offset(1000, v, outside_circle) for v in PADDINGS},
    "offset, all padded outside the body": {
        "1024, -2000": _offset(1024, -2000, outside_body),
        "1024, -1024": _offset(1024, -1024, outside_body),
        "1000, -2000": _offset(1000, -2000, outside_body),
    },
    "read without sign": {"uint16": lambda hu: hu.astype(np.int16).astype(np.uint16)},
    "slope": {f"{s:g}": _scaled(s) for s in (0.1, 0.25, 0.5, 2, 4, 10)},
    "slope, padded circle": {f"{s:g}, -2000": _scaled(s, -2000) for s in (0.1, 0.5, 2, 10)},
    "slope, 0 beside the image": {f"{s:g}": _zero_beside(s) for s in (0.0625, 0.1, 0.25, 0.5)},
    "slope and offset": {
        "(HU+1024)/2": lambda hu: (hu + 1024.0) / 2,
        "2(HU+1024)": lambda hu: 2 * (hu + 1024.0),
        "2(HU+1024)-1024": lambda hu: 2 * (hu + 1024.0) - 1024,
    },
    "8-bit window": {
        "-160..240": _window(-160, 240),
        "-1000..1000": _window(-1000, 1000),
        "0..80": _window(0, 80),
        "-160..240, -1000": _window(-160, 240, padding=-1000),
        "-1000..1000, -1024": _window(-1000, 1000, padding=-1024),
        "-1000..1000, -128..127": lambda hu: _window(-1000, 1000)(hu) - 128,
    },
    "clipped": {
        "-125..275": lambda hu: np.clip(hu, -125, 275),
        "-160..240": lambda hu: np.clip(hu, -160, 240),
        "0..3000": lambda hu: np.clip(hu, 0, 3000),
        "-1000..0": lambda hu: np.clip(hu, -1000, 0),
    },
    "0 HU around the body": {
        "int": _filled(0, outside_body, np.int16),
        "float": _filled(0, outside_body),
        "circle": _filled(0, outside_circle),
        "planes": _filled(0, _some_planes),
        "wedges": _filled(0, _wedge),
    },
    "other fill around the body": {
        "NaN": _filled(np.nan, outside_body),
        "NaN, circle": _filled(np.nan, outside_circle),
        "100": _filled(100, outside_body),
        "-50": _filled(-50, outside_body),
        "1000, circle": _filled(1000, outside_circle),
        "3071, circle": _filled(3071, outside_circle),
        "1000": _filled(1000, outside_body),
    },
    "constant": {
        "0": lambda hu: np.zeros_like(hu),
        "-1000": lambda hu: np.full_like(hu, -1000),
        "nearly": lambda hu: np.where(np.arange(hu.size).reshape(hu.shape) < 5, 100, -1000),
    },
    "normalised": {
        "0-1": lambda hu: (np.clip(hu, -1000, 1000) / 2000 + 0.5).astype(np.float32),
        "-1-1": lambda hu: (np.clip(hu, -1000, 1000) / 1000).astype(np.float32),
        "z-scored": lambda hu: ((hu - hu.mean()) / hu.std()).astype(np.float32),
        "0-1, -1000": _padded(lambda hu: np.clip(hu, -1000, 1000) / 2000 + 0.5, -1000),
        "z-scored, -1000": _padded(lambda hu: (hu - hu.mean()) / hu.std(), -1000),
    },
    "another modality": {
        "MR": _like_mr,
        "MR, -1000": _padded(_like_mr, -1000),
        "PET": _like_pet,
        "PET, -1024": _padded(_like_pet, -1024),
        "dose, cGy": _like_dose,
        "dose, Gy": lambda hu: _like_dose(hu) / 100,
        "dose, cGy, -1000": _padded(_like_dose, -1000),
    },
    "inverted": {
        "-HU": lambda hu: -hu,
        "-HU, -2000": _padded(lambda hu: -hu, -2000),
        "4095-(HU+1024)": lambda hu: 3071 - hu,
        "max+min-HU": lambda hu: hu.max() + hu.min() - hu,
    },
}
"""By kind and variant."""
