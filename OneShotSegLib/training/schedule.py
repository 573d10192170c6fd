"""The learning rate over a training: a linear warm-up, then a half cosine down to zero."""

from __future__ import annotations

import math


def learning_rate(peak: float, step: int, steps: int, warm_up_steps: float) -> float:
    """The learning rate of one optimiser step.

    Args:
        peak: The greatest learning rate.
        step: Optimiser steps done.
        steps: Steps of the whole training.
        warm_up_steps: Steps over which the rate rises.
    """
    warm_up = min(1.0, (step + 1) / warm_up_steps)
    return peak * warm_up * 0.5 * (1 + math.cos(math.pi * step / steps))
