"""Masks as large as the labels that a network learnt from.

A network that is unsure draws large masks: soft Dice is greatest with all voxels likelier than half the Dice that
can be had, and noisy labels leave the network unsure. By how much can be measured without any reference, by the
volume of the labels, which are as often too large as too small where their errors are random.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

LARGEST_OFFSET = 2.5
SMALLEST_PROBABILITY = 1e-3


def size_offsets(cases: Iterable[tuple[Tensor, Tensor, Tensor]], classes: int) -> tuple[float, ...]:
    """What to take from the log probability of each structure, so that it is as large as in the labels.

    Args:
        cases: For each case, class probabilities (classes, d, h, w), labels as channels (d, h, w), and whether
            the labels say nothing of a channel (classes,).
        classes: Channels, the background included.

    Returns:
        An offset for each channel but the background, from -2.5 to 2.5; 0 for one that no label shows.
    """
    margins: list[list[Tensor]] = [[] for _ in range(classes)]
    wanted = [0] * classes
    for probabilities, labels, absent in cases:
        for channel in range(1, classes):
            if not bool(absent[channel]):
                margins[channel].append(_margin(probabilities, channel))
                wanted[channel] += int((labels == channel).sum())
    return tuple(_offset(margins[channel], wanted[channel]) for channel in range(1, classes))


def _margin(probabilities: Tensor, channel: int) -> Tensor:
    """How far a channel's log probability lies above the best other one's, at voxels where it is possible at all."""
    there = probabilities[channel] > SMALLEST_PROBABILITY
    own = probabilities[channel][there]
    others = torch.cat((probabilities[:channel], probabilities[channel + 1 :]))[:, there]
    return (own.log() - others.amax(dim=0).clamp(min=1e-9).log()).cpu()


def _offset(margins: Sequence[Tensor], wanted: int) -> float:
    if wanted == 0:
        return 0.0
    ordered = torch.cat(list(margins)).sort(descending=True).values
    last = float(ordered[wanted - 1]) if wanted <= len(ordered) else -LARGEST_OFFSET
    return round(min(max(last, -LARGEST_OFFSET), LARGEST_OFFSET), 4)
