"""The settings of all steps: the default, and the paper's own."""

from __future__ import annotations

from dataclasses import dataclass, field

from OneShotSegLib.method.alignment import AlignmentSettings
from OneShotSegLib.method.denoising import DenoisingSettings
from OneShotSegLib.method.expansion import ExpansionSettings
from OneShotSegLib.method.propagation import PropagationSettings
from OneShotSegLib.method.refinement import RefinementSettings
from OneShotSegLib.method.registration import RegistrationSettings
from OneShotSegLib.method.tubular_tracking import TrackingSettings


@dataclass(frozen=True, kw_only=True)
class FusionSettings:
    """How the candidates for a query are fused (`OneShotSegLib.fusion.mask_fusion`); not in the paper.

    Attributes:
        enabled: Whether masks are fused like this; else grown strokes alone, weighted by their scores.
        most_masks: Supports with whole masks that a query is segmented with; of more, those most similar to it.
        similarity_mm: Standard deviation of the Gaussian within which two CTs are compared around a voxel.
        similarity_power: Power of the local correlation with which a candidate is weighted.
        own_mask_weight: Weight of a scribbled support's own grown mask as a candidate, against a reviewed mask's.
        strokes_weight: Weight of what its propagated strokes grow into in the query, likewise.
        few_masks: Beside more reviewed masks than these, both weigh less, so that together they weigh as much as
            beside these.
        network_weight: Weight of a trained network's masks, against a reviewed mask whose image correlates fully.
        seeds_over: Voxels of which a structure has more than this share are its seeds, where many supports have it.
        seeds_over_few: What is added to that, over the number of supports that have it: few agree by chance more often
            than many.
        seeds_over_most: The share is this at most.
        background_under: Voxels of which all structures together have less than this share are background.
        spatial_weight: Cost of 1 mm of path from the seeds in addition to the intensity differences.
    """

    enabled: bool = True

    most_masks: int = 8
    similarity_mm: float = 6.0
    similarity_power: float = 4.0
    own_mask_weight: float = 0.5
    strokes_weight: float = 0.5
    few_masks: int = 3
    network_weight: float = 0.5
    seeds_over: float = 0.65
    seeds_over_few: float = 0.4
    seeds_over_most: float = 0.8
    background_under: float = 0.1
    spatial_weight: float = 0.0

    def least_share(self, supports: int) -> float:
        """The share over which voxels are seeds of a structure that so many supports have, one or more."""
        return min(self.seeds_over + self.seeds_over_few / supports, self.seeds_over_most)

    def beside(self, masks: int) -> float:
        """What the weights of a scribbled support are multiplied by beside so many reviewed masks, 0-1."""
        return self.few_masks / max(masks, self.few_masks)


@dataclass(frozen=True, kw_only=True)
class Method:
    """The settings of all steps.

    Attributes:
        name: "default", "paper" or the user's own.
        tracking: How tubular structures are tracked beyond their strokes in the support; not in the paper.
        propagation: Section III-B.
        registration: How the propagation's fit is improved by the images as a whole; not in the paper.
        alignment: How the propagation's fit is refined locally; not in the paper.
        denoising: Section III-C.
        expansion: Section III-D, first half.
        refinement: Section III-D, second half.
        fusion: How several candidates become one mask; not in the paper.
        check_region: Whether a query that shows another part of the body than the support fails; not in the paper.
        smooth_mm: Width of the smoothing of a mask's borders on the query's own grid, mm; 0 for none.
        seed: Seed of everything random.
    """

    name: str = "default"
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    propagation: PropagationSettings = field(default_factory=PropagationSettings)
    registration: RegistrationSettings = field(default_factory=RegistrationSettings)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    denoising: DenoisingSettings = field(default_factory=DenoisingSettings)
    expansion: ExpansionSettings = field(default_factory=ExpansionSettings)
    refinement: RefinementSettings = field(default_factory=lambda: RefinementSettings(enabled=False))
    fusion: FusionSettings = field(default_factory=FusionSettings)
    check_region: bool = True
    smooth_mm: float = 2.0
    seed: int = 0


PAPER = Method(
    name="paper",
    tracking=TrackingSettings(enabled=False),
    propagation=PropagationSettings(
        starts=5,
        starts_over_body=False,
        reduce="mean",
        coarse_passes=1,
        fine_passes=1,
        fit=False,
        points_per_label=None,
    ),
    registration=RegistrationSettings(enabled=False),
    alignment=AlignmentSettings(enabled=False),
    denoising=DenoisingSettings(threshold=0.1, points_per_label=None),
    expansion=ExpansionSettings(
        exact=False, spacing=None, smooth_mm=0.0, air_is_background=False, limit_extent=False, between_voxels=False
    ),
    refinement=RefinementSettings(),
    fusion=FusionSettings(enabled=False),
    check_region=False,
    smooth_mm=0.0,
)
DEFAULT = Method()
METHODS: dict[str, Method] = {method.name: method for method in (DEFAULT, PAPER)}
