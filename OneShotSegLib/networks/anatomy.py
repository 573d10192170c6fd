"""What a segmentation network has seen of its structures: how large they are, and how they lie to one another.

A network answers for any CT. Where a CT shows another part of the body, its masks are of other sizes and lie about; its
own confidence does not tell (docs/decisions/016-region.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.networks.checkpoint_checks import is_number, is_whole, require

FEWEST_VOXELS = 8
LEAST_CASES = 3


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a structure lies in one CT.

    Attributes:
        centre: Medians of its voxels' places, mm [z, y, x] from any point of the CT, along the patient's axes.
        volume_ml: Its volume.
    """

    centre: tuple[float, float, float]
    volume_ml: float


@dataclass(frozen=True, kw_only=True)
class SeenVolume:
    """The volume of a structure in the cases that show it whole.

    Attributes:
        structure: Its place among the network's structures.
        low: The smallest, ml.
        high: The largest, ml.
    """

    structure: int
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class SeenOffset:
    """The way from one structure's centre to another's in the cases that show both whole.

    Attributes:
        structures: Their places among the network's structures.
        way: Its median along each axis, mm [z, y, x].
        spread: The greatest distance of a case from it, mm.
    """

    structures: tuple[int, int]
    way: tuple[float, float, float]
    spread: float


@dataclass(frozen=True, kw_only=True)
class SeenAnatomy:
    """What the cases of a training have in common.

    Attributes:
        volumes: Of each structure that enough cases show whole.
        offsets: Of each pair of such structures.
        whole: How many structures a case shows whole: the median.
    """

    volumes: tuple[SeenVolume, ...] = ()
    offsets: tuple[SeenOffset, ...] = ()
    whole: int = 0

    @property
    def highest(self) -> int:
        """The highest place of a structure that it speaks of; -1 for none."""
        places = [seen.structure for seen in self.volumes] + [n for seen in self.offsets for n in seen.structures]
        return max(places, default=-1)

    @classmethod
    def of(cls, cases: Iterable[Sequence[Placement | None]]) -> SeenAnatomy:
        """What the placements of the structures in several cases have in common."""
        found = list(cases)
        count = max(map(len, found), default=0)
        volumes, offsets = [], []
        for structure in range(count):
            sizes = [one.volume_ml for case in found if (one := case[structure]) is not None]
            if len(sizes) >= LEAST_CASES:
                volumes.append(SeenVolume(structure=structure, low=round(min(sizes), 4), high=round(max(sizes), 4)))
        for first, second in combinations(range(count), 2):
            ways = np.array([_way(a, b) for case in found if (a := case[first]) and (b := case[second])])
            if len(ways) >= LEAST_CASES:
                z, y, x = (round(float(value), 2) for value in np.median(ways, axis=0))
                spread = float(np.linalg.norm(ways - (z, y, x), axis=1).max())
                offsets.append(SeenOffset(structures=(first, second), way=(z, y, x), spread=round(spread, 2)))
        whole = [count_whole(case) for case in found]
        return cls(volumes=tuple(volumes), offsets=tuple(offsets), whole=int(np.median(whole)) if whole else 0)

    @classmethod
    def from_json(cls, content: Any) -> SeenAnatomy:
        """What `dataclasses.asdict` made of one, after JSON.

        Raises:
            KeyError, TypeError, ValueError: If it is something else.
        """
        volumes = tuple(SeenVolume(**entry) for entry in content["volumes"])
        offsets = tuple(
            SeenOffset(structures=_pair(e["structures"]), way=_triple(e["way"]), spread=e["spread"])
            for e in content["offsets"]
        )
        numbers = [n for v in volumes for n in (v.low, v.high)]
        numbers += [n for o in offsets for n in (*o.way, o.spread)]
        require(all(map(is_number, numbers)), "numbers in what was seen of the anatomy", numbers)
        places = [v.structure for v in volumes] + [n for o in offsets for n in o.structures]
        require(all(is_whole(place, 0, 255) for place in places), "structures in what was seen of the anatomy", places)
        require(is_whole(content["whole"], 0, 255), "a number of structures", content["whole"])
        return cls(volumes=volumes, offsets=offsets, whole=content["whole"])

    def distance_mm(self, case: Sequence[Placement | None]) -> float | None:
        """By how much structures lie elsewhere to one another than in the cases seen: median over the pairs, mm.

        None where no pair of structures that is known to lie somewhere is there whole.
        """
        found = []
        for offset in self.offsets:
            a, b = (case[number] for number in offset.structures)
            if a is not None and b is not None:
                away = float(np.linalg.norm(np.subtract(_way(a, b), offset.way)))
                found.append(max(0.0, away - offset.spread))
        return float(np.median(found)) if found else None

    def volume_factor(self, case: Sequence[Placement | None]) -> float | None:
        """By what factor structures are larger or smaller than in any case seen: median over them; 1 for none.

        None where no structure of a known volume is there whole.
        """
        found = []
        for seen in self.volumes:
            one = case[seen.structure]
            if one is not None:
                found.append(max(1.0, one.volume_ml / max(seen.high, 1e-6), seen.low / max(one.volume_ml, 1e-6)))
        return float(np.median(found)) if found else None


def placements(channels: NDArray[Any], spacing: ArrayLike, count: int) -> list[Placement | None]:
    """Where structures lie in a CT.

    Args:
        channels: Channel of each voxel, shape (D, H, W) along the patient's axes; structures are 1, 2, ...
        spacing: Voxel size, mm [z, y, x].
        count: Number of structures.

    Returns:
        For each structure its placement; None if it is not there, or cut by the first or last slice.
    """
    steps = np.asarray(spacing, dtype=np.float64)
    voxel_ml = float(np.prod(steps)) / 1000
    found: list[Placement | None] = []
    for channel in range(1, count + 1):
        places = np.argwhere(channels == channel)
        whole = len(places) >= FEWEST_VOXELS and places[0, 0] > 0 and places[-1, 0] < len(channels) - 1
        if not whole:
            found.append(None)
            continue
        z, y, x = np.median(places, axis=0) * steps
        found.append(Placement(centre=(float(z), float(y), float(x)), volume_ml=len(places) * voxel_ml))
    return found


def count_whole(case: Sequence[Placement | None]) -> int:
    """How many structures a case shows whole."""
    return sum(placement is not None for placement in case)


def _way(first: Placement, second: Placement) -> NDArray[np.float64]:
    return np.subtract(second.centre, first.centre)


def _pair(values: Sequence[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    z, y, x = values
    return z, y, x
