"""Single-atlas registration with SimpleITK: where each point of a query lies in the support.

Mattes mutual information throughout. First a shift along the body is searched, for the fields of view differ by more
than an optimiser bridges; a rigid, an affine and a B-spline map start from there. Only tissue of the query counts, not
the padding around it or the couch, and after the rigid map only the surroundings of the strokes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from scipy import ndimage

from OneShotSegLib.imaging.boxes import bounding_box, grown
from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.labels import present_labels
from OneShotSegLib.imaging.resampling import resample, working_grid
from OneShotSegLib.imaging.volume import Vector, Volume

SKIN_HU = -300.0
SEED = 1  # 0 would mean the clock


@dataclass(frozen=True, kw_only=True)
class LinearSettings:
    """How the rigid and the affine map are found.

    Attributes:
        search_mm: Voxel size of the grid on which the first shift is searched.
        largest_mm: Largest shift along the body that is tried.
        step_mm: From one shift to the next.
        shrink: Shrink factor of each level.
        samples: Share of a level's voxels that are sampled.
        iterations: Most iterations of a level.
    """

    search_mm: float = 8.0
    largest_mm: float = 100.0
    step_mm: float = 10.0
    shrink: tuple[int, ...] = (4, 2)
    samples: tuple[float, ...] = (1.0, 0.5)
    iterations: int = 100


@dataclass(frozen=True, kw_only=True)
class SplineSettings:
    """How the B-spline is found.

    Attributes:
        control_mm: Distance of the control points on the first level.
        finer: How many times finer they lie on each level.
        shrink: Shrink factor of each level.
        samples: Share of a level's voxels that are sampled.
        iterations: Most iterations of a level.
        tolerance: Relative change of the metric in five iterations at which a level ends.
    """

    control_mm: float = 80.0
    finer: tuple[int, ...] = (1, 2, 3)
    shrink: tuple[int, ...] = (4, 2, 2)
    samples: tuple[float, ...] = (1.0, 0.5, 0.5)
    iterations: int = 30
    tolerance: float = 1e-5


@dataclass(frozen=True, kw_only=True)
class RegistrationSettings:
    """How a query is registered to the support.

    Attributes:
        window: HU that count; what lies beyond is clipped.
        grid_mm: Voxel size at which the scans are compared; shrink factors are of that.
        bins: Bins of the joint histogram along each axis.
        rim_mm: How far the sampled region goes beyond the skin.
        margin_mm: How far it goes beyond the strokes.
        linear: The rigid and the affine map.
        spline: What follows.
    """

    window: tuple[float, float] = (-250.0, 750.0)
    grid_mm: float = 3.0
    bins: int = 20
    rim_mm: float = 8.0
    margin_mm: float = 40.0
    linear: LinearSettings = LinearSettings()
    spline: SplineSettings = SplineSettings()


@dataclass(frozen=True, eq=False)
class Scan:
    """A CT ready to be registered.

    Attributes:
        image: HU, clipped.
        region: 1 where it is compared: the body with a rim, or a part of that.
    """

    image: sitk.Image
    region: sitk.Image

    @classmethod
    def of(cls, ct: Volume, settings: RegistrationSettings) -> Scan:
        """Clip a CT in HU and find its body."""
        beyond = ndimage.distance_transform_edt(~find_body(ct), sampling=ct.spacing)
        clipped = np.clip(ct.array.astype(np.float32), *settings.window)
        own = cls(to_itk(ct.with_array(clipped)), to_itk(ct.with_array(beyond <= settings.rim_mm)))
        return own.on_grid(settings.grid_mm)

    def on_grid(self, spacing_mm: float) -> Scan:
        """The same on an axis-aligned grid of cubes."""
        image, region = from_itk(self.image), from_itk(self.region)
        grid = working_grid(image, (spacing_mm,) * 3)
        there = resample(image, grid, fill=float(image.array.min()))
        return Scan(to_itk(there), to_itk(resample(region, grid, order=0)))

    def within(self, region: sitk.Image, to_region: sitk.Transform) -> Scan:
        """The same, compared only where a map leads into another image's region."""
        here = sitk.Resample(region, self.region, to_region, sitk.sitkNearestNeighbor, 0)
        return Scan(self.image, sitk.And(self.region, here))

    @property
    def centre(self) -> Vector:
        """The mean position of the region, mm [z, y, x]."""
        region = from_itk(self.region)
        return region.to_world(np.argwhere(region.array > 0).mean(axis=0))

    def cropped(self) -> sitk.Image:
        """The part of the image that just holds the region."""
        statistics = sitk.LabelShapeStatisticsImageFilter()
        statistics.Execute(self.region)
        *start, width, height, depth = statistics.GetBoundingBox(1)
        return sitk.RegionOfInterest(self.image, (width, height, depth), start)


def find_body(ct: Volume) -> NDArray[np.bool_]:
    """The largest piece of tissue, its cavities filled slice by slice: couch and mask stay out."""
    pieces, count = ndimage.label(ndimage.binary_opening(ct.array > SKIN_HU))
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])) if count else ct.array > SKIN_HU
    return np.stack([ndimage.binary_fill_holes(plane) for plane in largest])


class Atlas:
    """The support, to which queries are registered.

    Args:
        ct: The support in HU.
        strokes: The structures' strokes (or masks) on its grid, background left out: what their box and a margin
            around it do not hold need not fit.
        settings: Of the registration.
    """

    def __init__(self, ct: Volume, strokes: Volume, settings: RegistrationSettings) -> None:
        self.settings = settings
        self.scan = Scan.of(ct, settings)
        self.surroundings = to_itk(strokes.with_array(_box_around(strokes, settings.margin_mm)))

    def affine(self, query: Scan) -> sitk.AffineTransform:
        """The affine map from a query to the support."""
        rigid = self._shift(query)
        self._descend(query, rigid)
        affine = sitk.AffineTransform(3)
        affine.SetCenter(rigid.GetCenter())
        affine.SetMatrix(rigid.GetMatrix())
        affine.SetTranslation(rigid.GetTranslation())
        self._descend(self.near_strokes(query, rigid), affine)
        return affine

    def near_strokes(self, query: Scan, to_support: sitk.Transform) -> Scan:
        """A query, compared only where a map leads into the surroundings of the support's strokes."""
        return query.within(self.surroundings, to_support)

    def spline(self, query: Scan, affine: sitk.Transform) -> sitk.Transform:
        """The map from a query to the support that goes on from an affine one with a B-spline."""
        settings = self.settings.spline
        near = self.near_strokes(query, affine)
        part = near.cropped()
        extents = np.multiply(part.GetSize(), part.GetSpacing())
        cells = [max(round(extent / settings.control_mm), 1) for extent in extents]
        spline = sitk.BSplineTransformInitializer(part, cells)
        method = self._method(near, settings.shrink, settings.samples)
        method.SetOptimizerAsLBFGS2(
            solutionAccuracy=1e-6,
            numberOfIterations=settings.iterations,
            deltaConvergenceDistance=5,
            deltaConvergenceTolerance=settings.tolerance,
        )
        method.SetMovingInitialTransform(affine)
        method.SetInitialTransformAsBSpline(spline, inPlace=True, scaleFactors=settings.finer)
        method.Execute(near.image, self.scan.image)
        return sitk.CompositeTransform([affine, spline])  # the last one acts first

    def _shift(self, query: Scan) -> sitk.Euler3DTransform:
        """The shift along the body at which both scans are most similar, their bodies' centres on one line."""
        settings = self.settings.linear
        fixed, moving = query.on_grid(settings.search_mm), self.scan.on_grid(settings.search_mm)
        method = self._method(fixed)
        tried = []
        for along in np.arange(-settings.largest_mm, settings.largest_mm + settings.step_mm / 2, settings.step_mm):
            shift = sitk.Euler3DTransform()
            shift.SetCenter(fixed.centre[::-1].tolist())
            shift.SetTranslation((moving.centre - fixed.centre + np.array([along, 0.0, 0.0]))[::-1].tolist())
            method.SetInitialTransform(shift)
            tried.append((method.MetricEvaluate(fixed.image, moving.image), shift))
        return min(tried, key=lambda pair: pair[0])[1]

    def _descend(self, query: Scan, linear: sitk.Transform) -> None:
        """Optimise a linear map in place."""
        settings = self.settings.linear
        method = self._method(query, settings.shrink, settings.samples)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=2.0, minStep=0.02, numberOfIterations=settings.iterations, gradientMagnitudeTolerance=1e-6
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(linear, inPlace=True)
        method.Execute(query.image, self.scan.image)

    def _method(
        self, query: Scan, shrink: tuple[int, ...] = (1,), samples: tuple[float, ...] = (1.0,)
    ) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(self.settings.bins)
        method.SetMetricFixedMask(query.region)
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentagePerLevel(samples, SEED)
        method.SetShrinkFactorsPerLevel(shrink)
        method.SetSmoothingSigmasPerLevel([float(factor) for factor in shrink])
        method.SetInterpolator(sitk.sitkLinear)
        return method


def _box_around(labels: Volume, margin_mm: float) -> NDArray[np.uint8]:
    box = bounding_box(labels.array > 0)
    assert box is not None  # a support has strokes
    held = np.zeros(labels.shape, np.uint8)
    held[grown(box, np.ceil(margin_mm / labels.spacing), labels.shape)] = 1
    return held


def warp_labels(labels: Volume, query: Volume, to_support: sitk.Transform) -> Volume:
    """A label map of the support on a query's grid: each voxel gets the label with the greatest share of it.

    Args:
        labels: Label map on any grid of the support.
        query: Where it is wanted; the voxels are not used.
        to_support: From the query's positions to the support's.
    """
    values = present_labels(labels.array)
    shares = warp_shares(labels, values, query, to_support)
    return query.with_array(np.array([0, *values], np.uint8)[np.argmax(shares, axis=0)])


def warp_shares(
    labels: Volume, values: Sequence[int], query: Volume, to_support: sitk.Transform
) -> NDArray[np.float32]:
    """The share of each label in each voxel of a query, shape (1 + values, D, H, W); the first is of no label."""
    grid = to_itk(query.with_array(np.zeros(query.shape, np.uint8)))
    shares = [np.zeros(query.shape, np.float32)]
    for value in values:
        mask = to_itk(labels.with_array((labels.array == value).astype(np.float32)))
        shares.append(sitk.GetArrayFromImage(sitk.Resample(mask, grid, to_support, sitk.sitkLinear, 0.0)))
    shares[0] = 1 - np.sum(shares, axis=0)
    return np.stack(shares)
