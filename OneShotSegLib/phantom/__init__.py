"""A procedural head-and-neck CT phantom, the cohort of the demo and the tests; imports imaging and method."""

from OneShotSegLib.method.stroke_simulation import strokes_from_mask
from OneShotSegLib.phantom.cohort import DEFAULT_SEED, PhantomCase, make_cohort, make_patient, scribbles
from OneShotSegLib.phantom.structures import BACKGROUND, STRUCTURES
from OneShotSegLib.phantom.writing import CohortFiles, write_cohort

__all__ = [
    "BACKGROUND",
    "DEFAULT_SEED",
    "STRUCTURES",
    "CohortFiles",
    "PhantomCase",
    "make_cohort",
    "make_patient",
    "scribbles",
    "strokes_from_mask",
    "write_cohort",
]
