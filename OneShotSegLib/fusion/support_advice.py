"""Which CT of a batch would be the best support, before anything is painted: one from the middle, shown whole.

Each CT is compared with the batch's median along the body's axis, never with every other CT, so that time and memory
grow with the number of CTs alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.body_profile import CHANNELS, LEVEL_MM, BodyProfile

Levels = NDArray[np.float64]

FEWEST_TO_COMPARE = 5
"""Of fewer CTs nobody can say which one is unusual."""
CANDIDATES = 3
ROUNDS = 4
STEP = 4
"""Levels from one place to the next that is tried first; then all are around the best of them."""
CORE = 0.75
"""Share of the batch, the nearest to its middle, that the middle is made of: other regions of the body do not count."""
COMMON = 0.5
"""A level belongs to the range that most CTs show if this share of the core does."""
LEAST_OVERLAP = 0.3
FLOORS = np.array((15.0, 15.0, 15.0, 0.03, 0.05, 0.05, 0.02))
"""Least spread of each channel, in its unit: what differs by less is alike."""
MOST_SPREADS = 4.0
MISSING = 2.0
"""What a level costs that a CT does not show, or the middle does not have, in spreads."""
NOTED_SPREADS = 1.5
NOTED_MM = 30.0
UNUSUAL_SPREADS = 2.5
LEAST_UNUSUAL = 1.0
"""A CT that is nearer to the middle than this is no outlier, however close together the others are."""
LEAST_COVERAGE = 0.7
TALLER, SHORTER = 1.3, 0.7
MAD_TO_SD = 1.4826
OTHER_SHAPES = "other shapes along the body"


@dataclass(frozen=True, kw_only=True)
class SupportAdvice:
    """What speaks for and against a CT as a support.

    Attributes:
        distance: From the batch's middle, in spreads of the batch; what it does not show of the common range counts
            too. The smaller the better.
        coverage: Share of the range that most CTs show that this one shows too, 0-1.
        outlier: Why it should not be a support, a phrase; '' if nothing speaks against it.
        why: What tells it from the middle of the batch, a phrase.
    """

    distance: float
    coverage: float
    outlier: str
    why: str

    @property
    def order(self) -> tuple[bool, float]:
        """Sorts the best first, outliers last."""
        return bool(self.outlier), self.distance


def advise(profiles: Sequence[BodyProfile]) -> list[SupportAdvice]:
    """What speaks for and against each CT of a batch as a support, in the order given; one CT or more.

    The advice for a CT does not depend on the order of the others.
    """
    middle = _middle_of([profile.levels.astype(np.float64) for profile in profiles])
    heights = [profile.height_mm for profile in profiles]
    compared = [middle.compare(profile.levels.astype(np.float64)) for profile in profiles]
    distances = np.array([one.distance for one in compared])
    limit = max(float(np.median(distances) + UNUSUAL_SPREADS * _spread(distances)), LEAST_UNUSUAL)
    return [
        SupportAdvice(
            distance=one.distance,
            coverage=one.coverage,
            outlier=_outlier(one, unusual_height(profile.height_mm, heights), limit) if _can_tell(heights) else "",
            why=_why(one),
        )
        for one, profile in zip(compared, profiles, strict=True)
    ]


def unusual_height(height: float, heights: Sequence[float]) -> str:
    """Why a field of view's height is not that of the batch, a phrase; '' if it is, or the batch is too small to tell.

    Args:
        height: Of the CT in question, mm.
        heights: Of the batch, mm.
    """
    if not _can_tell(heights):
        return ""
    middle = float(np.median(heights))
    far = abs(height - middle) > UNUSUAL_SPREADS * _spread(np.asarray(heights))
    if not far or SHORTER * middle <= height <= TALLER * middle:
        return ""
    return f"its field of view is {height:.0f} mm high, most: {middle:.0f} mm"


def _can_tell(batch: Sequence[float]) -> bool:
    return len(batch) >= FEWEST_TO_COMPARE


def _spread(values: NDArray[np.float64]) -> float:
    """The standard deviation, as far as outliers do not matter."""
    return MAD_TO_SD * float(np.median(np.abs(values - np.median(values))))


@dataclass(frozen=True, eq=False)
class _Compared:
    """A CT against the middle.

    Attributes:
        first: Level of the middle at which its profile begins.
        distance: In spreads.
        coverage: Of the common range, 0-1.
        missing: Levels of the common range below and above the field of view.
        own: Means of its channels where both are, shape (7,).
        middle: The same of the middle.
        spreads: By how many spreads the CT has more of each channel than the middle, shape (7,).
    """

    first: int
    distance: float
    coverage: float
    missing: tuple[int, int]
    own: Levels
    middle: Levels
    spreads: Levels


@dataclass(frozen=True, eq=False)
class _Middle:
    """The batch's median profile over the range that most CTs show.

    Attributes:
        levels: Shape (N, 7).
        spread: Shape (N, 7), over 0.
    """

    levels: Levels
    spread: Levels

    def place(self, levels: Levels) -> int:
        """Where a profile lies best: the level of the middle at which it begins.

        What it has more or less of all along does not count: a large body is placed by the same landmarks.
        """
        count, length = len(levels), len(self.levels)
        least = max(1, math.ceil(LEAST_OVERLAP * min(count, length)))
        lowest, highest = least - count, length - least

        def order(first: int) -> tuple[float, int, int]:
            return self._cost_at(first, levels), abs(first), first

        near = min(range(lowest, highest + 1, STEP), key=order)
        return min(range(max(lowest, near - STEP + 1), min(highest, near + STEP - 1) + 1), key=order)

    def _cost_at(self, first: int, levels: Levels) -> float:
        low, high = max(0, first), min(len(self.levels), first + len(levels))
        more = (levels[low - first : high - first] - self.levels[low:high]) / self.spread[low:high]
        return _far(more - more.mean(axis=0)) + MISSING * (len(levels) - (high - low))

    def compare(self, levels: Levels) -> _Compared:
        """What tells a CT from the middle."""
        first, length = self.place(levels), len(self.levels)
        low, high = max(0, first), min(length, first + len(levels))
        part, middle = levels[low - first : high - first], self.levels[low:high]
        more = (part - middle) / self.spread[low:high]
        return _Compared(
            first=first,
            distance=(_far(more) + MISSING * (length - (high - low))) / length,
            coverage=(high - low) / length,
            missing=(low, length - high),
            own=part.mean(axis=0),
            middle=middle.mean(axis=0),
            spreads=more.mean(axis=0),
        )


def _far(spreads: Levels) -> float:
    """How far levels are from the middle in all, by their differences in spreads, shape (N, 7)."""
    return float(np.minimum(np.abs(spreads), MOST_SPREADS).mean(axis=1).sum())


def _middle_of(profiles: Sequence[Levels]) -> _Middle:
    """The middle of a batch: from a CT that looks ordinary, then better from round to round."""
    ordered = sorted(profiles, key=lambda levels: (len(levels), levels.tobytes()))
    starts = [_Middle(ordered[index], np.tile(2 * FLOORS, (len(ordered[index]), 1))) for index in _ordinary(ordered)]
    middle = min(starts, key=lambda start: float(np.median([start.compare(levels).distance for levels in ordered])))
    for _ in range(ROUNDS):
        compared = [middle.compare(levels) for levels in ordered]
        core = np.argsort([one.distance for one in compared], kind="stable")[: math.ceil(CORE * len(ordered))]
        middle = _median([ordered[index] for index in core], [compared[index].first for index in core])
    return middle


def _ordinary(profiles: Sequence[Levels]) -> list[int]:
    """Some CTs whose size and tissues are about those of the batch."""
    table = np.array([[*np.median(levels, axis=0), len(levels)] for levels in profiles])
    middle = np.median(table, axis=0)
    spread = np.maximum(MAD_TO_SD * np.median(np.abs(table - middle), axis=0), [*FLOORS, 3.0])
    far = (np.abs(table - middle) / spread).mean(axis=1)
    return [int(index) for index in np.argsort(far, kind="stable")[:CANDIDATES]]


def _median(profiles: Sequence[Levels], firsts: Sequence[int]) -> _Middle:
    """Median and spread of placed profiles over the range that most of them show."""
    start = min(firsts)
    end = max(first + len(levels) for first, levels in zip(firsts, profiles, strict=True))
    placed = np.full((len(profiles), end - start, len(CHANNELS)), np.nan, dtype=np.float32)
    for row, first, levels in zip(placed, firsts, profiles, strict=True):
        row[first - start : first - start + len(levels)] = levels
    shown = np.isfinite(placed[:, :, 0]).sum(axis=0)
    common = np.flatnonzero(shown >= COMMON * len(profiles))
    # Beyond the ends too few CTs have a level; between them there are some everywhere, but for odd batches.
    placed = placed[:, common[0] : common[-1] + 1] if len(common) else placed[:, shown > 0]
    shown = np.isfinite(placed[:, :, 0]).any(axis=0)
    levels = np.nanmedian(placed[:, shown], axis=0).astype(np.float64)
    deviations = np.abs(placed[:, shown] - levels.astype(np.float32))
    spread = np.maximum(MAD_TO_SD * np.nanmedian(deviations, axis=0), FLOORS)
    return _Middle(levels, spread)


def _outlier(one: _Compared, height: str, limit: float) -> str:
    if height:
        return height
    if one.coverage < LEAST_COVERAGE:
        return f"it shows {one.coverage:.0%} of the range that most show"
    if one.distance > limit:
        return f"it is unlike the others: {', '.join(_differences(one)) or OTHER_SHAPES}"
    return ""


def _why(one: _Compared) -> str:
    """What tells a CT from the middle, in words."""
    parts = [
        f"{levels * LEVEL_MM:.0f} mm less at the {end} end than most"
        for levels, end in zip(one.missing, ("lower", "upper"), strict=True)
        if levels * LEVEL_MM >= NOTED_MM
    ]
    ordinary = "close to the middle of the batch" if one.distance < LEAST_UNUSUAL else OTHER_SHAPES
    return ", ".join([*parts, *_differences(one)]) or ordinary


def _differences(one: _Compared) -> list[str]:
    """The two channels in which a CT is farthest from the middle, as far as they are far, in words."""
    named = [index for index, channel in enumerate(CHANNELS) if channel != "area"]  # width and depth say it
    far = [index for index in named if abs(one.spreads[index]) >= NOTED_SPREADS]
    chosen = sorted(far, key=lambda index: -abs(float(one.spreads[index])))[:2]
    return [_difference(CHANNELS[index], float(one.own[index]), float(one.middle[index])) for index in chosen]


def _difference(channel: str, own: float, middle: float) -> str:
    more = "more" if own > middle else "less"
    if channel in ("width", "depth"):
        return f"{more} {channel} ({own:.0f} mm, most: {middle:.0f} mm)"
    return f"{more} {channel} ({own:.0%}, most: {middle:.0%})"
