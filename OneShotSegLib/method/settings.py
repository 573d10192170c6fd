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
    check_region=False,
    smooth_mm=0.0,
)
DEFAULT = Method()
METHODS: dict[str, Method] = {method.name: method for method in (DEFAULT, PAPER)}
