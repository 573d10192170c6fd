"""A procedural head-and-neck CT phantom: the embedded cohort of the demo and the tests."""

from OneShotSegLib.phantom.cohort import DEFAULT_SEED, PhantomCase, make_cohort, make_patient, scribbles
from OneShotSegLib.phantom.strokes import strokes_from_mask
from OneShotSegLib.phantom.structures import BACKGROUND, STRUCTURES, Structure

__all__ = [
    "BACKGROUND",
    "DEFAULT_SEED",
    "STRUCTURES",
    "PhantomCase",
    "Structure",
    "make_cohort",
    "make_patient",
    "scribbles",
    "strokes_from_mask",
]
