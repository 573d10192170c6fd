"""The Dice to expect of a fused mask, with an interval, from measures that need no reference.

A ridge regression on cases whose masks are known, and quantiles of its errors in cases that it was not fitted to:
``Testing/benchmarks/score.py`` fits both and prints the numbers below. Reverse classification accuracy (Valindria et
al., IEEE TMI 2017) is in it: ``agreement`` and ``consensus`` compare the mask with the supports' own, propagated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from OneShotSegLib.study.quality import StructureQuality

FEATURES = ("constant", "consensus", "core_dice", "agreement", "certainty")
COEFFICIENTS = (0.224, 0.085, 0.242, 0.212, 0.211)
LEVELS = (0.6, 0.8)
"""Predicted Dice at which the errors below were measured; between them they are interpolated."""
ERRORS_LOW = (-0.213, -0.188)
ERRORS_HIGH = (0.138, 0.117)


class PredictedDice(NamedTuple):
    """What Dice to expect: in nine of ten structures it lies between low and high, 0-1."""

    expected: float
    low: float
    high: float


def features_of(quality: StructureQuality) -> tuple[float, ...]:
    """What the Dice is predicted from, in the order of ``FEATURES``."""
    return 1.0, quality.consensus or 0.0, quality.core_dice, quality.agreement, quality.certainty


def predict_dice(quality: StructureQuality) -> PredictedDice:
    """The Dice to expect of a structure that is present, from its measures."""
    expected = float(np.clip(np.dot(COEFFICIENTS, features_of(quality)), 0.01, 0.99))
    low = expected + float(np.interp(expected, LEVELS, ERRORS_LOW))
    high = expected + float(np.interp(expected, LEVELS, ERRORS_HIGH))
    return PredictedDice(round(expected, 4), round(max(low, 0.0), 4), round(min(high, 1.0), 4))
