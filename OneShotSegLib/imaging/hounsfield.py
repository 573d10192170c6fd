"""Recognises Hounsfield units from the body itself; mends what is certain, refuses the rest.

Padding is set aside first: a value that fills large flat areas is no measurement. What remains must have soft tissue
near 0, fat below it and air near -1000. A sample of the voxels is enough: a large CT takes a fraction of a second.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.intensity import AIR_HU, check_ct
from OneShotSegLib.imaging.phases import two_phases
from OneShotSegLib.imaging.slice_values import mend_slices, slice_axis
from OneShotSegLib.imaging.volume import Volume

log = logging.getLogger(__name__)

SAMPLED_VOXELS = 400_000
FEWEST_VOXELS = 4096
FEWEST_MEASURED = 2000
FEWEST_VALUES = 30
CONSTANT_SHARE = 0.005
CONSTANT_FLATNESS = 0.8
EDGE_SHARE = 0.03
FILL_VOXELS = 1000
SCALE = "the rescale slope seems lost"
LOWEST_FAT, HIGHEST_FAT = -155.0, -75.0
LEAST_APART, MOST_APART = 95.0, 260.0
"""How far soft tissue lies above fat."""
LEAST_BESIDE_CONSTANT_AIR = 75.0
FAT_HU, FEW_FAT = (-150.0, -60.0), 0.02
NO_FAT = "air is one value and there is hardly any fat near -100: nothing tells whether the values are HU."
NOISE, FEW_BELOW = 20.0, 0.01
OFFSETS = (32768.0, 8192.0, 1024.0, 1000.0)
FLOORS = (-1000.0, -1024.0)


def as_hounsfield(volume: Volume, name: str) -> Volume:
    """The CT in HU: the same object where nothing is wrong, else a mended copy, which is logged as a warning.

    Args:
        volume: What should be a CT in HU, any grid.
        name: Its name, for messages.

    Raises:
        InputError: If it is no CT in HU and cannot be mended with certainty, or two scans between one another.
    """
    mended, notes = examine_hounsfield(volume, name)
    for note in notes:
        log.warning("%s", note)
    return mended


def examine_hounsfield(volume: Volume, name: str) -> tuple[Volume, tuple[str, ...]]:
    """Like ``as_hounsfield``, but returns the warnings, one sentence each, instead of logging them.

    Raises:
        InputError: If it is no CT in HU and cannot be mended with certainty.
    """
    notes: list[str] = []
    array, note = mend_slices(volume, name)
    notes += [f"{name}: {note}"] if note else []
    for step in (_fill_nan, _unwrap, _subtract_offset, _fill_padding):
        array, note = step(array, name)
        notes += [f"{name}: {note}"] if note else []
    phases = two_phases(np.moveaxis(array, slice_axis(volume), 0)) if _can_tell(array) else "no"
    if phases == "perhaps":
        alternating = (
            "every second slice differs a little from those on both sides of it: is it one scan, of one phase?"
        )
        return (volume.with_array(array) if notes else volume), (*notes, f"{name}: {alternating}")
    if phases == "yes":
        raise InputError(
            f"{name}: expected one scan, found every second slice unlike those on both sides of it (two phases or "
            "reconstructions in one series?)."
        )
    return (volume.with_array(array) if notes else volume), tuple(notes)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What a sample of the voxels shows.

    Attributes:
        low: The lowest value of all voxels.
        high: The highest value of all voxels.
        voxels: All sampled values.
        measured: Those that are no constant.
        constants: Values of large flat areas, rising.
        fills: Those among them that reach the image's edges.
        edges: The values along the image's twelve edges, without the constants.
    """

    low: float
    high: float
    voxels: NDArray[np.float64]
    measured: NDArray[np.float64]
    constants: tuple[float, ...]
    fills: tuple[float, ...]
    edges: NDArray[np.float64]

    @classmethod
    def at(cls, array: NDArray[Any]) -> _Look:
        step = tuple(_stride(array.shape, axis) for axis in range(3))
        part = array[:: step[0], :: step[1], : -1 : step[2]]
        beside = array[:: step[0], :: step[1], 1 :: step[2]]
        values, inverse, counts = np.unique(part, return_inverse=True, return_counts=True)
        equal = np.bincount(inverse.ravel(), weights=(part == beside).ravel(), minlength=len(values))
        flat = (counts >= CONSTANT_SHARE * part.size) & (equal >= CONSTANT_FLATNESS * counts)
        constants = values[flat]
        edges = _edges(array)
        return cls(
            low=float(array.min()),
            high=float(array.max()),
            voxels=part.ravel().astype(np.float64),
            measured=part[~np.isin(part, constants)].astype(np.float64),
            constants=tuple(float(v) for v in constants),
            fills=tuple(float(v) for v in constants if np.mean(edges == v) >= EDGE_SHARE),
            edges=edges[~np.isin(edges, constants)].astype(np.float64),
        )

    @property
    def is_too_simple(self) -> bool:
        """Whether there are too few measured values to tell anything, as in a drawing of boxes."""
        return len(self.measured) < FEWEST_MEASURED or len(np.unique(self.measured)) < FEWEST_VALUES

    def share(self, low: float, high: float, above: float = -math.inf) -> float:
        """The share of measured values in [low, high) among those that are higher than ``above``."""
        among = np.count_nonzero(self.measured > above)
        inside = (self.measured >= low) & (self.measured < high) & (self.measured > above)
        return float(np.count_nonzero(inside) / max(1, int(among)))

    def has_measured_air(self) -> bool:
        """Whether anything but soft tissue, fat, lung and bone was measured: air near -1000."""
        return self.share(-1100, -900) >= 0.0005

    def has_constant_air(self) -> bool:
        """Whether a constant is that of air, which may be padding as well."""
        return any(-1100 <= v <= -900 for v in self.constants)


def _stride(shape: tuple[int, ...], axis: int) -> int:
    factor = math.cbrt(math.prod(shape) / SAMPLED_VOXELS)
    return max(1, min(int(factor + 0.5), shape[axis] // 16))


def _edges(array: NDArray[Any]) -> NDArray[Any]:
    ends = ((0, 0), (0, -1), (-1, 0), (-1, -1))
    return np.concatenate([np.moveaxis(array, axis, 2)[i, j] for axis in range(3) for i, j in ends])


def _can_tell(array: NDArray[Any]) -> bool:
    return array.size >= FEWEST_VOXELS and min(array.shape) >= 2


# Steps: each takes the array, and returns it (mended) and what it did.


def _fill_nan(array: NDArray[Any], name: str) -> tuple[NDArray[Any], str]:
    if np.issubdtype(array.dtype, np.integer) or (np.isfinite(array.min()) and np.isfinite(array.max())):
        return array, ""
    missing = np.isnan(array)
    if not _can_tell(array) or missing.all() or np.isinf(array).any() or not (_large_regions(missing) == missing).all():
        check_ct(array, name)
    filled = _with_air(array, missing)
    return filled, f"{missing.mean():.0%} of the voxels are not numbers (NaN): they were set to air (-1000 HU)."


def _unwrap(array: NDArray[Any], name: str) -> tuple[NDArray[Any], str]:
    """Negative values that were read without their sign lie 65536 too high."""
    if not _can_tell(array) or array.min() < 0 or not 64000 < array.max() < 65536:
        return array, ""
    wrapped = array > 32767
    if np.count_nonzero(wrapped & (array < 61000)) or np.count_nonzero(array[~wrapped] > 8192):
        return array, ""
    mended = np.where(wrapped, array.astype(np.int32) - 65536, array).astype(np.int16)
    return mended, "negative values lie 65536 above HU, as if read without their sign: 65536 was subtracted."


def _subtract_offset(array: NDArray[Any], name: str) -> tuple[NDArray[Any], str]:
    if not _can_tell(array):
        check_ct(array, name)
        return array, ""
    look = _Look.at(array)
    if look.is_too_simple:
        _check_simple(look, array, name)
        return array, ""
    tissue = _tissue_offset(look)
    if tissue == 0:
        return array, ""
    offset = _exact_offset(look, tissue)
    if tissue is None:
        check_ct(array, name)
        middle = float(np.median(look.measured))
        _refuse(name, f"values around {middle:.4g} and no soft tissue near 0")
    if offset is None:
        _refuse(name, f"soft tissue near {tissue:g}, and the offset cannot be told: the rescale intercept is lost")
    mended = _shifted(array, offset)
    if not _has_body(mended):
        _refuse(name, f"most values near {tissue:g}")
    side = "above" if offset > 0 else "below"
    done = "subtracted" if offset > 0 else "added"
    return mended, f"values lie {abs(offset):g} {side} HU: {abs(offset):g} was {done}."


def _fill_padding(array: NDArray[Any], name: str) -> tuple[NDArray[Any], str]:
    if not _can_tell(array):
        return array, ""
    look = _Look.at(array)
    if look.is_too_simple:
        return array, ""
    _check_tissue(look, name)
    # Bone cut off at the highest value may reach the border as well.
    fills = [v for v in look.fills if v > -500 and (v < look.high or v >= 500)]
    if not fills:
        check_ct(array, name)
        return array, _check_air(look, name)
    _check_fills(look, fills, name)
    _check_air(look, name)
    mask = np.zeros(array.shape, dtype=bool)
    for value in fills:
        mask |= _large_regions(array == value)
    filled = _with_air(array, mask)
    found = " and ".join(f"{v:g}" for v in fills)
    return (
        filled,
        f"the value {found} fills {mask.mean():.0%} of the image around the body: it was set to air (-1000 HU).",
    )


def _with_air(array: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[Any]:
    """The array with air in some voxels, in a type that holds it."""
    kind = array.dtype if array.dtype.kind == "f" else np.result_type(array.dtype, np.int16)
    return np.where(where, kind.type(AIR_HU), array)


def _refuse(name: str, found: str, where: str = "air near -1000, tissue near 0") -> NoReturn:
    raise InputError(f"{name}: expected a CT in HU ({where}), found {found}.")


def _check_simple(look: _Look, array: NDArray[Any], name: str) -> None:
    """A drawing of boxes passes; an image that is one value nearly everywhere does not."""
    check_ct(array, name)
    shares = [float(np.mean(look.voxels == v)) for v in look.constants]
    if shares and max(shares) > 0.9999:
        value = look.constants[int(np.argmax(shares))]
        raise InputError(f"{name}: expected a CT in HU, found one constant value ({value:g}) in nearly all voxels.")


def _tissue_offset(look: _Look) -> float | None:
    """Where soft tissue lies: 0 in HU, else one of the usual offsets; None if nowhere."""
    for offset in OFFSETS:
        # In HU, these would be dense bone: spongy bone outnumbers it, and there is fat or what looks like it.
        if look.share(-250, -40) >= 0.01:
            continue
        tissue = look.share(offset - 150, offset + 150)
        below = look.share(offset - 600, offset - 250)
        if tissue >= 0.05 and tissue > below and look.share(offset - 150, offset + 150, above=offset - 500) >= 0.3:
            return offset
    at_zero = look.share(-150, 150)
    for offset in (-1000.0, -1024.0):
        no_lung = look.share(-2100, -1300) >= 0.01 or at_zero < 0.005
        if look.share(offset - 150, offset + 150) >= 0.3 and at_zero < 0.05 and no_lung and look.low < -1500:
            return offset
    body = at_zero >= 0.01 and look.share(-150, 150, above=-500) >= 0.15
    # Nothing but lung: hardly any vessels, and no air far below.
    lung = at_zero >= 0.001 and look.share(-1050, -650) >= 0.5 and look.share(-math.inf, -1200) < 0.001
    return 0.0 if body or lung else None


def _exact_offset(look: _Look, tissue: float | None) -> float | None:
    """The one offset that explains where the air lies, or None if several do."""
    if tissue is None:
        return None
    rivals = [o for o in (*OFFSETS, -1000.0, -1024.0) if abs(o - tissue) <= 50]
    measured = _air_peak(look, tissue)
    if measured is not None:
        near = [o for o in rivals if abs(measured + 1000 - o) <= 8]
        return near[0] if len(near) == 1 else None
    # Below 0, a constant can as well be padding.
    flat = [o for o in rivals if tissue > 0 and any(v - o in FLOORS for v in look.constants)]
    return flat[0] if len(flat) == 1 else None


def _air_peak(look: _Look, tissue: float) -> float | None:
    """Where measured air lies, if there is much of it and its peak is sharp."""
    around = look.measured[np.abs(look.measured - (tissue - 1000)) <= 100]
    if len(around) < 0.15 * len(look.measured):
        return None
    peak = _mode(around, width=4)
    near = np.count_nonzero(np.abs(around - peak) <= 30)
    # Air that is cut off at its lower end has its peak there: its place says nothing.
    cut = np.count_nonzero((around < peak - 4) & (around >= peak - 24)) < 0.1 * near
    return None if cut or near < 0.15 * len(look.measured) else peak


def _mode(values: NDArray[np.float64], width: float) -> float:
    edges = np.arange(values.min(), values.max() + 2 * width, width)
    counts = np.histogram(values, edges)[0].astype(np.float64)
    at = int(np.convolve(counts, (1, 2, 1), "same").argmax())
    middle = (edges[at] + edges[at + 1]) / 2
    return float(np.median(values[np.abs(values - middle) <= 4 * width]))


def _shifted(array: NDArray[Any], offset: float) -> NDArray[Any]:
    """The array less the offset; padding below all air becomes air."""
    wide = array if np.issubdtype(array.dtype, np.floating) else array.astype(np.int32)
    shifted = np.where(wide < offset - 1200, wide.dtype.type(AIR_HU), wide - wide.dtype.type(offset))
    if wide is not array and abs(shifted.min()) < 32768 and shifted.max() < 32768:
        return shifted.astype(np.int16)
    return shifted


def _has_body(array: NDArray[Any]) -> bool:
    """Whether fat, soft tissue and bone are all where they belong."""
    look = _Look.at(array)
    spans = ((-200.0, -30.0), (10.0, 150.0), (150.0, math.inf))
    fat, soft, bone = (look.share(low, high, above=-300) for low, high in spans)
    return fat >= 0.03 and soft >= 0.1 and bone >= 0.01


def _peaks(look: _Look) -> tuple[float | None, float | None]:
    """The peaks of fat (-260 to -40) and soft tissue (-30 to 250) of the histogram, where they stand out."""
    edges = np.arange(-300.0, 305.0, 5.0)
    kernel = np.exp(-0.5 * (np.arange(-8, 9) * 5 / 12) ** 2)
    counts = np.convolve(np.histogram(look.measured, edges)[0], kernel, "same")
    top = [i for i in range(1, len(counts) - 1) if counts[i - 1] < counts[i] >= counts[i + 1]]
    top = [i for i in top if counts[i] > 0.15 * counts.max()]

    def highest(low: float, high: float) -> float | None:
        inside = [i for i in top if low <= edges[i] + 2.5 <= high]
        return float(edges[max(inside, key=lambda i: counts[i])] + 2.5) if inside else None

    return highest(-260, -40), highest(-30, 250)


def _check_tissue(look: _Look, name: str) -> None:
    """Refuse what has values near 0, but not those of a body."""
    span = f"values from {look.low:g} to {look.high:g}"
    if look.share(-200, -20, above=-300) < 0.001:
        _refuse(name, span if look.low > -500 else f"{span}, none of them those of fat (-200 to -20)")
    around = float(np.median(look.edges)) if len(look.edges) else 0.0
    if around > 300 and look.share(500, math.inf) > 0.3:
        _refuse(name, f"values near {around:.4g} around the body: it seems inverted")
    if look.share(-200, 200, above=-500) < 0.42:
        _refuse(name, f"most of the body not within 200 of 0: {SCALE}")
    beyond = look.share(-math.inf, -1100)
    if beyond >= 0.002 and beyond > 0.25 * look.share(-math.inf, -500):
        _refuse(name, f"measured values down to {look.measured.min():.5g}: {SCALE}")
    tissue = look.voxels[look.voxels > -300]
    clipped = float(np.mean(tissue == look.high)) if len(tissue) else 0.0
    if clipped > 0.3 and look.high < 300:
        _refuse(name, f"{clipped:.0%} of the body clipped at {look.high:g}")


def _check_air(look: _Look, name: str) -> str:
    """Refuse another scale: without measured air, fat and soft tissue must lie as far apart as they do in HU.

    Returns:
        What is to be said where nothing tells the scale; '' for nothing.
    """
    if look.has_measured_air():
        return ""
    fat, soft = _peaks(look)
    apart = math.nan if fat is None or soft is None else soft - fat
    if look.has_constant_air():
        if not math.isnan(apart) and not LEAST_BESIDE_CONSTANT_AIR <= apart <= MOST_APART:
            _refuse(name, f"fat near {fat:g} and soft tissue near {soft:g}: {SCALE}")
        return "" if look.share(*FAT_HU, above=-300) >= FEW_FAT else NO_FAT
    lowest = min([float(np.quantile(look.measured, 0.001)), *(v for v in look.constants if v > -1100)])
    if lowest > -700 and not (fat is not None and fat <= HIGHEST_FAT and apart >= LEAST_APART):
        _refuse(name, f"the lowest tissue or air near {lowest:.4g}: {SCALE}")
    if look.low < -1100 and not (fat is not None and fat >= LOWEST_FAT and apart <= MOST_APART):
        _refuse(name, f"no air near -1000 and no fat near -100: {SCALE}")
    mode = _mode(look.measured, width=4)
    if -700 < mode < -20 and np.mean(np.abs(look.measured - mode) <= 3) > 0.3:
        _refuse(name, f"air near {mode:.4g}: {SCALE}")
    return ""


def _check_fills(look: _Look, fills: list[float], name: str) -> None:
    """Refuse a constant around the body that stands for something else than a missing value."""
    lowest = float(look.measured.min())
    air = any(-1100 <= v <= -900 for v in look.constants) or look.share(-1100, -900) >= 0.1
    for value in fills:
        if value <= lowest or (not air and look.share(-math.inf, value - NOISE) < FEW_BELOW):
            _refuse(name, f"values from {look.low:g} to {look.high:g}, clipped at {value:g}")
        if value >= 500 and not air:
            _refuse(name, f"{value:g} all around the body")


def _large_regions(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected regions that touch the border, or are too large for chance."""
    # Only now: Slicer's own process imports this module, and must not import SciPy at start-up.
    from scipy import ndimage

    regions, count = ndimage.label(mask)
    keep: NDArray[np.bool_] = np.bincount(regions.ravel(), minlength=count + 1) >= FILL_VOXELS
    for axis in range(3):
        for end in (0, -1):
            keep[np.unique(np.take(regions, end, axis=axis))] = True
    keep[0] = False
    large: NDArray[np.bool_] = keep[regions]
    return large
