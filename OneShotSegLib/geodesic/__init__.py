"""Exact geodesic distances through an image, and the published raster scan; imports no other room of the library.

``distances`` has the functions to call, ``costs`` the rules for a step, ``kernels`` the compiled loops. ``raster_scan``
is for the paper's settings alone: an approximation that depends on the order of the voxels.

Images are [z, y, x] or [channel, z, y, x], spacings mm [z, y, x].
"""

from OneShotSegLib.geodesic.costs import FastGeodisCost, GeodisTKCost, IntensityCost, StepCost
from OneShotSegLib.geodesic.distances import (
    ClassDistances,
    GeodesicMap,
    NearestTwo,
    class_distances,
    geodesic_distances,
    nearest_two,
    with_neighbours,
)
from OneShotSegLib.geodesic.raster_scan import raster_scan_distance

__all__ = [
    "ClassDistances",
    "FastGeodisCost",
    "GeodesicMap",
    "GeodisTKCost",
    "IntensityCost",
    "NearestTwo",
    "StepCost",
    "class_distances",
    "geodesic_distances",
    "nearest_two",
    "raster_scan_distance",
    "with_neighbours",
]
