"""Several label maps of one scan become one: each voxel gets the label with the most say there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from OneShotSegLib.imaging.resampling import around, label_reaches, label_share, within
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume


@dataclass(frozen=True, eq=False)
class Ballot:
    """A voter's label map.

    Attributes:
        labels: On any grid; values below 1 are unlabelled.
        say: For each label that the voter knows, how much it counts, over 0. Of other labels it has no opinion.
    """

    labels: Volume | SoftLabels
    say: Mapping[int, float]


def vote(ballots: Sequence[Ballot], grid: Volume, smooth_mm: float = 0.0) -> Volume:
    """Merge label maps: a label's share of a voxel is the weighted mean over those who know the label.

    Args:
        ballots: At least one.
        grid: Where the result lies, shape (D, H, W); its voxels are not used.
        smooth_mm: As in ``resample_labels``.

    Returns:
        The labels with the greatest share of each voxel, 0 where none of them has more than the rest; (D, H, W), uint8.
    """
    reaches = [label_reaches(ballot.labels, grid, smooth_mm) for ballot in ballots]
    values = sorted(
        {value for ballot, mine in zip(ballots, reaches, strict=True) for value in mine if value in ballot.say}
    )
    result = np.zeros(grid.shape, dtype=np.uint8)
    if not values:
        return grid.with_array(result)
    whole = around([reach.on_grid for mine in reaches for reach in mine.values()])
    best = np.zeros([part.stop - part.start for part in whole], dtype=np.float32)
    labelled, winner = np.zeros_like(best), np.zeros(best.shape, dtype=np.uint8)
    for value in values:
        total = sum(ballot.say.get(value, 0.0) for ballot in ballots)
        share = np.zeros_like(best)
        for ballot, mine in zip(ballots, reaches, strict=True):
            if value in mine and value in ballot.say:
                own = label_share(ballot.labels, value, mine[value], grid, smooth_mm)
                share[within(mine[value].on_grid, whole)] += own * np.float32(ballot.say[value] / total)
        winner[share > best] = value
        np.maximum(best, share, out=best)
        labelled += share
    winner[1 - labelled >= best] = 0
    result[whole] = winner
    return grid.with_array(result)
