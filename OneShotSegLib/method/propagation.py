"""Propagation of scribbles to a query by relative positions (Lei et al., section III-B).

PRNet predicts, from the latent positions of two patches, the offset in mm between them. The coarse network propagates
the support's scribble points from a few starts in the query, then from where they arrived; the fine network can follow
within its shorter range. A robust affine fit after each pass propagates all points, those too that no network saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from OneShotSegLib.imaging.ct import prepare_ct
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.fitting import AffineMap, fit_affine, propagate_residuals
from OneShotSegLib.method.scribbles import ScribblePoints, farthest_points, thin
from OneShotSegLib.networks.batches import in_batches
from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.networks.prnet import relative_position
from OneShotSegLib.networks.weights import Stage, Weights

BODY_LEVEL = 0.1


@dataclass(frozen=True, kw_only=True)
class PropagationSettings:
    """How scribbles are propagated to a query.

    Attributes:
        starts: Query patches from which the first pass starts.
        starts_over_body: Whether the starts are spread over the body; else near the volume's centre, as in the paper.
        reduce: How the predictions from all starts become one: "median" or "mean".
        coarse_passes: Passes of the coarse network.
        fine_passes: Passes of the fine network; 0 where a local alignment comes next, which is more accurate.
        fit: Whether an affine fit follows each pass, which then propagates all points.
        points_per_label: Points of each label that go through the networks, None for all; the fit propagates the rest.
        smooth_mm: Width of the smoothing of residuals that are added to the last fit; 0 to add none.
        smooth_strength: Weight of the affine map against the residuals, in numbers of points.
    """

    starts: int = 24
    starts_over_body: bool = True
    reduce: str = "median"
    coarse_passes: int = 2
    fine_passes: int = 0
    fit: bool = True
    points_per_label: int | None = 24
    smooth_mm: float = 0.0
    smooth_strength: float = 4.0


@dataclass(frozen=True, eq=False)
class LocatedPlaces:
    """Places in a CT with what a network makes of them.

    Attributes:
        positions: Shape (S, 3), mm.
        latent: Their latent positions by the coarse network, shape (S, 3).
    """

    positions: Vector
    latent: Tensor


@dataclass(frozen=True, kw_only=True)
class PreparedCT:
    """A CT on the working grids of both stages.

    Attributes:
        ct: The CT in HU on its own grid.
        coarse: On the coarse working grid.
        fine: On the fine working grid.
        fine_volume: The same as ``fine``, as an array with its grid.
    """

    ct: Volume
    coarse: PatchSource
    fine: PatchSource
    fine_volume: Volume
    _starts: dict[tuple[int, bool, int], LocatedPlaces] = field(default_factory=dict, repr=False, compare=False)

    def starts(self, stage: Stage, count: int, over_body: bool, seed: int) -> LocatedPlaces:
        """Where a first pass starts, computed once for all supports.

        Args:
            stage: The coarse stage, the one that the CT was prepared for.
            count: How many.
            over_body: Spread over the body, or random in it near the volume's centre.
            seed: Of the random ones.
        """
        key = count, over_body, seed
        if key not in self._starts:
            positions = start_positions(self, count, over_body, seed)
            self._starts[key] = LocatedPlaces(positions, locate(stage, self.coarse, positions))
        return self._starts[key]

    def read_coarse(self, positions: Vector) -> Tensor:
        """Intensities of the coarse working grid at mm positions (..., 3); shape (...)."""
        points = torch.as_tensor(
            positions.reshape(1, 1, 1, -1, 3), dtype=torch.float32, device=self.coarse.image.device
        )
        return self.coarse.read(points).reshape(positions.shape[:-1])

    @classmethod
    def prepare(cls, ct: Volume, weights: Weights, device: torch.device | str = "cpu") -> PreparedCT:
        """Resample a CT in HU to both working grids."""
        coarse = prepare_ct(ct, weights.coarse.info.spacing, weights.coarse.info.window)
        fine = prepare_ct(ct, weights.fine.info.spacing, weights.fine.info.window)
        return cls(
            ct=ct,
            coarse=PatchSource.from_volume(coarse, device),
            fine=PatchSource.from_volume(fine, device),
            fine_volume=fine,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedScribbles:
    """The support's scribbles with their latent positions, computed once per study.

    Attributes:
        points: All scribble points.
        chosen: Indices of those that go through the networks, shape (n,).
        coarse: Their latent positions by the coarse network, shape (n, 3).
        fine: Their latent positions by the fine network, shape (n, 3); None where no pass of it is made.
    """

    points: ScribblePoints
    chosen: np.ndarray
    coarse: Tensor
    fine: Tensor | None


@dataclass(frozen=True, eq=False, kw_only=True)
class PropagatedScribbles:
    """Where the scribbles went.

    Attributes:
        points: All scribble points in the query, in the support's order.
        affine: The last fit, support to query; fitted also where the method does not use it.
        residual_mm: Distance of each chosen point's own prediction from the fit, shape (n,).
        after: Positions of all points after each named stage, shape (N, 3), mm; the fit propagates points not chosen.
        located: Where the last coarse pass looked for each chosen point, n places in the query; None where only the
            first was made, which looks at none of them.
    """

    points: ScribblePoints
    affine: AffineMap
    residual_mm: np.ndarray
    after: Mapping[str, Vector] = field(default_factory=dict)
    located: LocatedPlaces | None = None


def locate(stage: Stage, source: PatchSource, positions: Vector) -> Tensor:
    """Latent positions (N, 3) of the patches around mm positions (N, 3)."""
    centres = torch.as_tensor(positions, dtype=torch.float32, device=source.image.device)
    parts = in_batches(lambda part: stage.network.locate(source.cut(part, stage.info.patch_size)), centres)
    return torch.cat(list(parts))


def encode_scribbles(
    support: PreparedCT, points: ScribblePoints, weights: Weights, settings: PropagationSettings
) -> EncodedScribbles:
    """Choose the scribble points that go through the networks and take their latent positions in the support."""
    limit = settings.points_per_label
    chosen = np.arange(len(points)) if limit is None else thin(points, limit)
    positions = points.positions[chosen]
    return EncodedScribbles(
        points=points,
        chosen=chosen,
        coarse=locate(weights.coarse, support.coarse, positions),
        fine=locate(weights.fine, support.fine, positions) if settings.fine_passes else None,
    )


def propagate(
    encoded: EncodedScribbles, query: PreparedCT, weights: Weights, settings: PropagationSettings, seed: int = 0
) -> PropagatedScribbles:
    """Propagate all scribble points to the query.

    Args:
        encoded: The support's scribbles.
        query: The query CT.
        weights: Both stages.
        settings: Of the propagation.
        seed: Seed of the random starts near the centre.
    """
    state = _PropagationState(encoded, settings)
    starts = query.starts(weights.coarse, settings.starts, settings.starts_over_body, seed)
    state.update("coarse", propagate_from_starts(encoded.coarse, weights.coarse, starts, settings.reduce))
    for number in range(1, settings.coarse_passes):
        places = state.chosen_positions
        state.located = LocatedPlaces(places, locate(weights.coarse, query.coarse, places))
        state.update(f"coarse {number + 1}", moved_from(encoded.coarse, weights.coarse, state.located))
    for number in range(settings.fine_passes):
        assert encoded.fine is not None  # it was encoded with the same settings
        moved = propagate_from(encoded.fine, query.fine, weights.fine, state.chosen_positions)
        state.update("fine" if number == 0 else f"fine {number + 1}", moved)
    return state.result()


class _PropagationState:
    """Where the points are from pass to pass, with a fit after each."""

    def __init__(self, encoded: EncodedScribbles, settings: PropagationSettings) -> None:
        self.encoded, self.settings = encoded, settings
        self.source = encoded.points.positions[encoded.chosen]
        self.after: dict[str, Vector] = {}
        self.located: LocatedPlaces | None = None
        self.affine = AffineMap(np.zeros(3), np.eye(3), np.zeros(3))

    def update(self, name: str, moved: Vector) -> None:
        """Take the chosen points' predictions (n, 3) after a pass."""
        self.moved = moved
        # Each fit corrects the one before: with its ridge towards no change it cannot follow part of the points alone.
        correction, self.weights = fit_affine(self.affine(self.source), moved)
        self.affine = self.affine.then(correction)
        propagated = self.affine(self.encoded.points.positions)
        if not self.settings.fit:
            propagated[self.encoded.chosen] = moved
        self.after[name] = propagated

    @property
    def chosen_positions(self) -> Vector:
        """Where the chosen points are now."""
        found: Vector = next(reversed(self.after.values()))[self.encoded.chosen]
        return found

    def result(self) -> PropagatedScribbles:
        """The result, with the smoothed residuals of the last fit if the settings want them."""
        points, settings = self.encoded.points, self.settings
        final = next(reversed(self.after.values()))
        if settings.fit and settings.smooth_mm > 0:
            final = propagate_residuals(
                self.affine,
                self.source,
                self.moved,
                self.weights,
                points.positions,
                settings.smooth_mm,
                settings.smooth_strength,
            )
            self.after["smooth"] = final
        residual = np.linalg.norm(self.affine(self.source) - self.moved, axis=1)
        return PropagatedScribbles(
            points=points.moved(final),
            affine=self.affine,
            residual_mm=residual,
            after=self.after,
            located=self.located,
        )


def start_positions(query: PreparedCT, count: int, over_body: bool, seed: int) -> Vector:
    """Where the first pass starts: spread over the body, or random in it near the volume's centre; shape (S, 3), mm."""
    source = query.coarse
    image = source.image.cpu().numpy()
    body = np.argwhere(image > BODY_LEVEL)
    if len(body) == 0:
        body = np.argwhere(np.ones_like(image, dtype=bool))
    if not over_body:
        body = _nearest_to_centre(body, image.shape)
    spacing, origin = source.spacing.cpu().numpy(), source.origin.cpu().numpy()
    positions = body * spacing.astype(np.float64) + origin
    if over_body:
        coarse_choice = positions[:: max(1, len(positions) // 5000)]
        found: Vector = coarse_choice[farthest_points(coarse_choice, count)]
        return found
    choice = np.random.default_rng(seed).choice(len(positions), count, replace=len(positions) < count)
    found = positions[choice]
    return found


def _nearest_to_centre(body: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The body voxels within 10 voxels of the centre along each axis, or, where that is air, the 100 nearest ones."""
    offset = np.abs(body - np.asarray(shape) / 2)
    near = body[(offset <= 10).all(axis=1)]
    return near if len(near) else body[np.argsort(np.linalg.norm(offset, axis=1))[:100]]


def propagate_from_starts(support: Tensor, stage: Stage, starts: LocatedPlaces, reduce: str) -> Vector:
    """The place of each of N latent positions, predicted from every start and reduced; shape (N, 3), mm."""
    position_range = torch.tensor(stage.info.position_range, device=support.device)
    offsets = relative_position(support[:, None], starts.latent[None], position_range).cpu().numpy()
    arrivals = starts.positions[None] + offsets
    found: Vector = np.median(arrivals, axis=1) if reduce == "median" else arrivals.mean(axis=1)
    return found


def propagate_from(support: Tensor, query: PatchSource, stage: Stage, positions: Vector) -> Vector:
    """One pass: each point (N, 3) moves by the offset that its patch predicts to its place in the support; mm."""
    return moved_from(support, stage, LocatedPlaces(positions, locate(stage, query, positions)))


def moved_from(support: Tensor, stage: Stage, places: LocatedPlaces) -> Vector:
    """The same from places whose latent positions are known, one for each of N latent positions of the support."""
    position_range = torch.tensor(stage.info.position_range, device=support.device)
    found: Vector = places.positions + relative_position(support, places.latent, position_range).cpu().numpy()
    return found
