"""The Dice to expect of a fused mask, with an interval, from measures that need no reference.

A logistic curve over five measures, fitted to cases of two regions whose masks are known, and quantiles of its errors
in cases that it was not fitted to: ``Testing/benchmarks/score.py`` prints the numbers below. The fit is drawn towards
equal weights, which hold better in other cases than those of a plain regression (Dawes, American Psychologist 1979).
Reverse classification accuracy (Valindria et al., IEEE TMI 2017) is in it: ``agreement`` and ``consensus`` compare the
mask with the supports' own, propagated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from OneShotSegLib.study.quality import StructureQuality

FEATURES = ("constant", "consensus", "core_dice", "agreement", "certainty", "local_correlation")
COEFFICIENTS = (-4.80, 0.79, 1.73, 1.58, 1.85, 3.37)
ENOUGH_CORRELATION = 0.55
"""Images that correlate by more show the same place; by how much more says what contrast a structure has."""
LEVELS = (0.3, 0.6, 0.8)
"""Predicted Dice at which the errors below were measured; between them they are interpolated."""
ERRORS_LOW = (-0.385, -0.279, -0.174)
ERRORS_HIGH = (0.278, 0.203, 0.128)


class PredictedDice(NamedTuple):
    """What Dice to expect: in nine of ten structures it lies between low and high, 0-1."""

    expected: float
    low: float
    high: float


def features_of(quality: StructureQuality) -> tuple[float, ...]:
    """What the Dice is predicted from, in the order of ``FEATURES``."""
    return (
        1.0,
        quality.consensus or 0.0,
        quality.core_dice,
        quality.agreement,
        quality.certainty,
        min(quality.local_correlation or 0.0, ENOUGH_CORRELATION),
    )


def predict_dice(quality: StructureQuality) -> PredictedDice:
    """The Dice to expect of a structure that is present, from its measures."""
    expected = float(np.clip(expit(np.dot(COEFFICIENTS, features_of(quality))), 0.01, 0.99))
    low = expected + float(np.interp(expected, LEVELS, ERRORS_LOW))
    high = expected + float(np.interp(expected, LEVELS, ERRORS_HIGH))
    return PredictedDice(round(expected, 4), round(max(low, 0.0), 4), round(min(high, 1.0), 4))
