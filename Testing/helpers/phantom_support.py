"""Phantom patients as prepared supports, with the networks trained on them."""

from __future__ import annotations

import numpy as np

from OneShotSegLib import phantom
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.method.settings import DEFAULT, Method
from OneShotSegLib.method.support import Support, prepare_support
from OneShotSegLib.networks.weights import Weights

COARSENESS = 1.4


def prepared_phantom(
    weights: Weights, method: Method = DEFAULT, every: int = 1, coarseness: float = COARSENESS
) -> Support:
    """The first patient as support, with every so many-th voxel of its strokes."""
    case = phantom.make_patient(0, coarseness=coarseness)
    segments = (*case.present, phantom.BACKGROUND)
    strokes = phantom.scribbles(case)
    painted = np.argwhere(strokes.array)
    kept = np.zeros_like(strokes.array)
    kept[tuple(painted[::every].T)] = strokes.array[tuple(painted[::every].T)]
    return prepare_support(case.ct, LabelMap(strokes.with_array(kept), segments), weights, method)
