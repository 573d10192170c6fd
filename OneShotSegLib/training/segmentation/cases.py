"""Cases of the noisy-label training: CT and labels of a study, resident on the working grid."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, bounding_box, grown, whole_box
from OneShotSegLib.imaging.ct import body_box, prepare_ct
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import Segment, consecutive
from OneShotSegLib.networks.anatomy import SeenAnatomy, placements
from OneShotSegLib.networks.segmentation_checkpoint import SegmentationInfo
from OneShotSegLib.study.case_ct import has_own_ct
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality
from OneShotSegLib.study.results import StudyResult, read_mask, study_results, study_structures

log = logging.getLogger(__name__)

FOCUS_MARGIN_MM = 16.0
MAX_SEEDS = 20_000
LEAST_WEIGHT = 0.3
SPACING_STEP_MM = 0.5
FINEST_MM, COARSEST_MM = 2.0, 4.0


@dataclass(frozen=True, kw_only=True)
class CaseSource:
    """Where a case's CT and labels lie, and how far they can be trusted.

    Attributes:
        name: The case's name.
        ct: Its CT.
        labels: Its label map.
        trusted: Whether a reviewer accepted or corrected the labels; then they never change.
        absent: Values of the structures that the labels say nothing about.
        scores: Quality score of each structure's value, 0-1; missing for those without one.
        series: Series instance UID of the CT, where its folder holds several CT series; else ''.
        structures: What the labels are matched with by name; those that are learnt, if left out.
    """

    name: str
    ct: Path
    labels: Path
    trusted: bool
    absent: tuple[int, ...] = ()
    scores: Mapping[int, float] = field(default_factory=dict)
    series: str = ""
    structures: tuple[Segment, ...] = ()


@dataclass(kw_only=True)
class TrainingCase:
    """A case on the working grid, cropped to the body.

    Attributes:
        name: Its name.
        image: Intensities in 0-1, float32, shape (D, H, W), on the training device.
        labels: Channel of each voxel (0 background), uint8, shape (D, H, W), on the same device; corrections change it.
        spacing: Voxel size, mm [z, y, x], shape (3,), on the CPU.
        trusted: Whether the labels are a reviewer's and never change.
        absent: Whether nothing is known of a channel in this case, bool, shape (classes,).
        weights: How much each channel counts in the loss, shape (classes,).
        focus: The box that holds the structures and what surrounds them.
        seeds: For each channel that is there, voxels of it, shape (N, 3), on the CPU; channel 0 holds body voxels.
        ensemble: Mean of the teacher's predictions so far in the focus box, 0-255, shape (classes, d, h, w); None
            before the first.
        rounds: How many predictions that mean has.
    """

    name: str
    image: Tensor
    labels: Tensor
    spacing: Tensor
    trusted: bool
    absent: Tensor
    weights: Tensor
    focus: Box
    seeds: dict[int, Tensor]
    ensemble: Tensor | None = None
    rounds: int = 0


def study_sources(study: Path) -> tuple[list[CaseSource], tuple[Segment, ...]]:
    """The cases of a study that may be learnt from, and its structures.

    Left out are rejected and failed cases, and, with a warning each, those whose measures cannot be read (which
    structures they lack is not known then) and those whose CT is another one by now.

    Raises:
        InputError: If the folder is no study, or nothing is left.
    """
    paths = StudyPaths(study)
    structures = study_structures(paths)
    sources = [
        CaseSource(
            name=result.case,
            ct=result.ct,
            series=result.series,
            labels=result.mask,
            trusted=result.trusted,
            absent=(*_absent(result.quality), *_rejected(result, structures)),
            scores=_scores(result),
            structures=structures,
        )
        for result in study_results(paths, without_broken_measures=True)
        if result.state != "rejected" and _has_measures(result) and has_own_ct(result)
    ]
    if not sources:
        raise InputError(f"{study}: expected cases that are done and not rejected to learn from, found none.")
    return sources, structures


def _has_measures(result: StudyResult) -> bool:
    """Whether the measures of a case, if it has some, could be read; if not, a warning says that it is left out."""
    if result.quality is None and result.files.is_done:
        log.warning("%s: its quality.json cannot be read: left out of the training.", result.case)
        return False
    return True


def _absent(quality: CaseQuality | None) -> tuple[int, ...]:
    return () if quality is None else tuple(s.value for s in quality.structures if s.state == "absent")


def _rejected(result: StudyResult, structures: Sequence[Segment]) -> tuple[int, ...]:
    """The values of the structures that a reviewer rejected: the mask says nothing of them."""
    return tuple(segment.value for segment in structures if segment.key in result.keys_of("rejected"))


def _scores(result: StudyResult) -> dict[int, float]:
    if result.quality is None or result.trusted:
        return {}
    return {s.value: s.score for s in result.quality.structures if s.state != "absent"}


def choose_spacing(sources: Sequence[CaseSource], look_at: int = 9) -> tuple[float, float, float]:
    """A working spacing for these CTs: their median along each patient axis in steps of 0.5 mm, within 2 to 4 mm.

    Finer voxels than the CTs have cost time and teach nothing; coarser ones lose thin structures.
    """
    step = max(1, len(sources) // look_at)
    spacings = []
    for source in sources[::step]:
        with suppress(InputError, OSError):  # what is wrong with it is said when it is loaded
            ct = read_volume(source.ct, source.series)
            spacings.append(np.abs(ct.direction) @ ct.spacing)
    spacings = spacings or [np.full(3, FINEST_MM)]
    chosen = np.clip(np.round(np.median(spacings, axis=0) / SPACING_STEP_MM) * SPACING_STEP_MM, FINEST_MM, COARSEST_MM)
    z, y, x = (float(value) for value in chosen)
    return z, min(y, x), min(y, x)


def load_cases(
    sources: Iterable[CaseSource], info: SegmentationInfo, device: torch.device | str = "cpu"
) -> list[TrainingCase]:
    """Read cases onto the network's working grid and keep them on the device.

    A case whose CT or labels cannot be used is left out, with a warning.

    Raises:
        InputError: If none can be used.
    """
    sources = list(sources)
    best = _best_scores(sources)
    cases, last = [], None
    for source in sources:
        try:
            cases.append(_load_case(source, info, best, torch.device(device)))
        except InputError as error:
            log.warning("%s: left out of the training: %s", source.name, error)
            last = error
    if last is not None and not cases:
        raise last
    return cases


def anatomy_of(cases: Sequence[TrainingCase], info: SegmentationInfo) -> SeenAnatomy:
    """How large the structures are in these cases, and how they lie to one another."""
    return SeenAnatomy.of(
        [
            None if case.absent[channel] else placement
            for channel, placement in enumerate(
                placements(case.labels.cpu().numpy(), info.spacing, len(info.structures)), 1
            )
        ]
        for case in cases
    )


def _best_scores(sources: Sequence[CaseSource]) -> dict[int, float]:
    """The score that one case in ten reaches, for each structure."""
    found: dict[int, list[float]] = {}
    for source in sources:
        for value, score in source.scores.items():
            found.setdefault(value, []).append(score)
    return {value: float(np.quantile(scores, 0.9)) for value, scores in found.items()}


def _load_case(
    source: CaseSource, info: SegmentationInfo, best: Mapping[int, float], device: torch.device
) -> TrainingCase:
    ct = as_hounsfield(read_volume(source.ct, source.series), str(source.ct))
    prepared = prepare_ct(ct, info.spacing, info.window)
    matched = read_mask(source.labels, source.structures or info.structures)
    for note in matched.notes:
        log.warning("%s: %s", source.name, note)
    channels = consecutive(matched.labels.volume, info.structures)
    labels = resample_labels(channels, prepared).array
    box = body_box(prepared.array)
    image, labels = np.ascontiguousarray(prepared.array[box]), np.ascontiguousarray(labels[box])
    absent = _absent_channels(source, labels, info)
    return TrainingCase(
        name=source.name,
        image=torch.as_tensor(image, device=device),
        labels=torch.as_tensor(labels, device=device),
        spacing=torch.as_tensor(np.asarray(info.spacing, dtype=np.float32)),
        trusted=source.trusted,
        absent=absent.to(device),
        weights=_weights(source, info, best).to(device),
        focus=focus_box(labels, info.spacing),
        seeds=_seeds(image, labels),
    )


def _absent_channels(source: CaseSource, labels: NDArray[Any], info: SegmentationInfo) -> Tensor:
    """Channels of which the labels say nothing: of structures scored as absent, or without a single voxel."""
    there = set(np.unique(labels).tolist())
    known = [channel in there and s.value not in source.absent for channel, s in enumerate(info.structures, 1)]
    return ~torch.tensor([True, *known])


def _weights(source: CaseSource, info: SegmentationInfo, best: Mapping[int, float]) -> Tensor:
    """Each structure's score over what good cases reach, 0.3 to 1; 1 for trusted ones and for the background."""
    weights = [1.0]
    for structure in info.structures:
        top = best.get(structure.value, 0.0)
        score = source.scores.get(structure.value, top)
        weights.append(float(np.clip(score / top, LEAST_WEIGHT, 1.0)) if top > 0 else 1.0)
    return torch.tensor(weights)


def focus_box(labels: NDArray[Any], spacing: Sequence[float]) -> Box:
    """The box of all structures with a margin of 16 mm; everything where there is none."""
    box = bounding_box(labels > 0)
    if box is None:
        return whole_box(labels.shape)
    return grown(box, [round(FOCUS_MARGIN_MM / step) for step in spacing], labels.shape)


def _seeds(image: NDArray[Any], labels: NDArray[Any]) -> dict[int, Tensor]:
    """Voxels around which patches may lie: some of each structure and of the body."""
    masks = {0: image > 0, **{int(channel): labels == channel for channel in np.unique(labels) if channel > 0}}
    seeds = {}
    for channel, mask in masks.items():
        voxels = np.argwhere(mask)
        every = max(1, len(voxels) // MAX_SEEDS)
        if len(voxels):
            seeds[channel] = torch.as_tensor(voxels[::every], dtype=torch.float32)
    return seeds
