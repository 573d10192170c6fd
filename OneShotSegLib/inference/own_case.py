"""A support as a case of its own: the mask that its strokes grew into in itself, to be reviewed and corrected."""

from __future__ import annotations

from dataclasses import replace

from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.method.expansion import Expansion
from OneShotSegLib.method.structures import Structures
from OneShotSegLib.method.support import ScribbledCT, Support
from OneShotSegLib.scoring.overlap import core_dice
from OneShotSegLib.scoring.predicted_dice import predict_dice
from OneShotSegLib.scoring.propagation import held_absent
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, mean_score
from OneShotSegLib.study.segmentation import Segmentation

NOTE = "A support: its mask grew from its own strokes, and the masks of the other cases follow it. Correct it first."


def own_segmentation(
    case: str, scribbled: ScribbledCT, support: Support, structures: Structures, smooth_mm: float
) -> Segmentation:
    """What a support's strokes grew into in its own CT, as the result of a case.

    Args:
        case: The case's name.
        scribbled: The support as it was read.
        support: The same, prepared.
        structures: All structures of the study; one without strokes in this support is absent.
        smooth_mm: Width of the smoothing of borders on the CT's own grid, mm.
    """
    expansion, ct = support.expansion, scribbled.ct
    scored = tuple(_measured(segment, expansion) for segment in structures.foreground)
    mask = resample_labels(expansion.soft, ct, smooth_mm)
    return Segmentation(
        LabelMap(mask, structures.foreground),
        CaseQuality(case=case, score=mean_score(scored), structures=scored, warnings=(NOTE,)),
        LabelMap(scribbled.scribbles.volume, (*structures.foreground, structures.background)),
        expansion.soft,
    )


def _measured(segment: Segment, expansion: Expansion) -> StructureQuality:
    """The measures of a structure: nothing was propagated, so nothing was lost on the way.

    The score is the one of `predicted_dice`; its interval was not measured on masks of supports, and is left out.
    """
    mask = expansion.labels.array == segment.value
    quality = StructureQuality(value=segment.value, name=segment.name, state="found", score=0.0)
    if not mask.any():
        return held_absent(replace(quality, in_view=0.0))
    measured = replace(
        quality,
        similarity=1.0,
        kept=1.0,
        cycle_mm=0.0,
        volume_ml=round(expansion.volumes_ml[segment.value], 4),
        volume_ratio=1.0,
        in_view=1.0,
        agreement=1.0,
        core_dice=round(core_dice(mask, expansion.labels.spacing), 4),
        certainty=round(float(expansion.certainty[mask].mean()), 4),
        consensus=1.0,
        local_correlation=1.0,
    )
    return replace(measured, score=predict_dice(measured).expected)
