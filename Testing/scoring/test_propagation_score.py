"""The score that needs no reference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from OneShotSegLib import phantom
from OneShotSegLib.fusion import fused_quality
from OneShotSegLib.fusion.candidates import ScoredCandidate
from OneShotSegLib.fusion.combination import combine
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.pipeline import segment_query
from OneShotSegLib.method.placement import Placement
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.structures import common_structures
from OneShotSegLib.method.support import Support
from OneShotSegLib.networks.prnet import PRNet
from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.scoring.overlap import core_dice, dice
from OneShotSegLib.scoring.paired_organs import UnlikeSides
from OneShotSegLib.scoring.propagation import (
    agreement,
    cycle_distances,
    score_candidate,
    state_of,
    structure_score,
    warnings_of,
)
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, read_quality, write_quality
from OneShotSegLib.timer import StepTimer, ignore_steps
from Testing.helpers.phantom_support import COARSENESS

GOOD = StructureQuality(
    value=1,
    name="Heart",
    state="found",
    score=0.0,
    similarity=0.9,
    kept=1.0,
    cycle_mm=1.0,
    volume_ml=20.0,
    volume_ratio=1.0,
    in_view=1.0,
    agreement=0.9,
    core_dice=0.85,
    certainty=0.8,
)


@pytest.mark.parametrize(
    "worse",
    [
        {"similarity": 0.1},
        {"cycle_mm": 30.0},
        {"volume_ratio": 0.2},
        {"volume_ratio": 5.0},
        {"agreement": 0.1},
        {"core_dice": 0.2},
    ],
)
def test_every_worse_measure_lowers_the_score(worse: dict[str, Any]) -> None:
    assert structure_score(replace(GOOD, **worse)) < structure_score(GOOD)


def test_the_score_stays_between_0_and_1() -> None:
    awful = replace(GOOD, similarity=0, kept=0, cycle_mm=1e6, volume_ratio=None, agreement=0, core_dice=0, certainty=0)
    assert 0 <= structure_score(awful) < 0.2
    assert 0.7 < structure_score(GOOD) <= 1


def test_quality_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    quality = CaseQuality(case="case", score=0.8, structures=(GOOD,), seconds={"expand": 1.2}, warnings=("a warning",))
    write_quality(quality, tmp_path / "quality.json")
    assert read_quality(tmp_path / "quality.json") == quality


def test_the_structure_to_look_at_first_is_the_worst() -> None:
    bad = replace(GOOD, value=2, score=0.1)
    assert CaseQuality(case="case", score=0.5, structures=(GOOD.with_score(0.9), bad)).worst == bad


def test_dice_of_two_empty_masks_is_0() -> None:
    empty = np.zeros((2, 2, 2), bool)
    assert dice(empty, empty) == 0
    assert dice(~empty, ~empty) == 1


def test_the_way_back_needs_no_patch_that_the_way_there_did_not_need(
    phantom_weights: Weights, phantom_support: Support, monkeypatch: pytest.MonkeyPatch
) -> None:
    itself = segment_query(phantom_support, phantom_support.prepared.ct, phantom_weights, DEFAULT)
    located = itself.propagation.located
    assert located is not None
    once = replace(itself, propagation=replace(itself.propagation, located=None))
    looked = cycle_distances(once, phantom_weights)
    monkeypatch.setattr(PRNet, "locate", lambda *_: pytest.fail("a patch went through the network again"))
    known = cycle_distances(itself, phantom_weights)
    assert set(known) == set(looked) == set(phantom_support.scribbles.points.labels.tolist())
    assert max(known.values()) < 30  # the coarse network is right about the support itself
    away = replace(located, positions=located.positions + 100.0)
    moved = replace(itself, propagation=replace(itself.propagation, located=away))
    assert min(cycle_distances(moved, phantom_weights).values()) > 100


def agreement_of(mask: np.ndarray) -> float:
    """Agreement where the query lies 6 mm to the side of the support and holds this mask of structure 1."""
    own = np.zeros((10, 12, 14), np.uint8)
    own[3:7, 4:8, 4:8] = 1
    grid = Volume.create(own, (2.5, 3, 3))
    moved = AffineMap(np.zeros(3), np.eye(3), np.array([0.0, 0.0, 6.0]))
    support = SimpleNamespace(expansion=SimpleNamespace(labels=grid))
    candidate: Any = SimpleNamespace(
        support=support, refined=grid.with_array(mask), placement=Placement(affine=moved, displacement=None)
    )
    return agreement(candidate, 1)


def test_agreement_is_the_dice_with_the_support_s_own_mask_propagated() -> None:
    same = np.zeros((10, 12, 14), np.uint8)
    same[3:7, 4:8, 6:10] = 1
    assert agreement_of(same) == pytest.approx(1.0)
    half = same.copy()
    half[:, :, 8:] = 0
    assert agreement_of(half) == pytest.approx(2 * 0.5 / 1.5)
    assert agreement_of(np.where(same, 2, 0)) == 0.0


@pytest.mark.parametrize(
    ("in_view", "volume_ratio", "state"),
    [(1.0, 1.0, "found"), (0.5, 0.6, "partial"), (0.2, 0.2, "absent"), (1.0, 0.05, "absent"), (1.0, 0.0, "absent")],
)
def test_what_is_out_of_view_or_nearly_without_volume_is_absent(
    in_view: float, volume_ratio: float, state: str
) -> None:
    assert state_of(in_view, volume_ratio) == state


@pytest.mark.parametrize(
    ("in_view", "why"), [(0.2, "20% of its scribbles are in view"), (1.0, "hardly anything of it was found (0.4 ml)")]
)
def test_a_structure_absent_comes_with_the_reason(in_view: float, why: str) -> None:
    absent = replace(GOOD, state="absent", in_view=in_view, volume_ml=0.4)
    assert warnings_of([absent]) == [f"Heart is held to be absent: {why}."]


@pytest.mark.parametrize(
    ("is_missing", "sentence"),
    [
        (True, "Heart is held to be absent: fatty tissue lies in its place, 46 HU from what Other is of."),
        (False, "Heart and Other differ by 46 HU: is one of them diseased?"),
    ],
)
def test_a_structure_unlike_its_other_side_comes_with_the_difference(is_missing: bool, sentence: str) -> None:
    sides = [
        UnlikeSides(
            suspect=Segment(value=1, name="Heart", color=(1, 0, 0)),
            other=Segment(value=2, name="Other", color=(1, 0, 0)),
            difference_hu=46.2,
            is_missing=is_missing,
        )
    ]
    assert warnings_of([replace(GOOD, state="absent" if is_missing else "found")], sides) == [sentence]


@pytest.mark.parametrize("at", [0, 3])
def test_core_dice_is_the_dice_with_the_core_wherever_the_mask_lies(at: int) -> None:
    mask = np.zeros((12, 12, 12), bool)
    mask[at : at + 6, 3:9, 3:9] = True
    core = int((distance_transform_edt(mask, sampling=(2, 2, 2)) > 3.01).sum())
    assert core_dice(mask, np.array([2.0, 2.0, 2.0])) == pytest.approx(2 * core / (core + 216))
    assert core_dice(np.zeros_like(mask), np.array([2.0, 2.0, 2.0])) == 0.0


def test_a_resected_parotid_is_absent_and_nothing_else(
    phantom_weights: Weights, phantom_support: Support, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = phantom.make_patient(5, coarseness=COARSENESS)
    candidate = segment_query(phantom_support, patient.ct, phantom_weights, DEFAULT)
    score = score_candidate("without", candidate, phantom_weights)
    scored = ScoredCandidate(candidate, score.quality, score.sides)
    structures = common_structures([phantom_support.structures])
    fused = combine(
        "without", candidate.prepared, [scored], [], structures, phantom_weights, DEFAULT, StepTimer(ignore_steps)
    )
    left_to_fusion = score_candidate("without", candidate, phantom_weights, hold_missing=False)
    assert all(one.state != "absent" for one in left_to_fusion.quality.structures)
    undecided = ScoredCandidate(candidate, left_to_fusion.quality, left_to_fusion.sides)
    decided = combine(
        "without", candidate.prepared, [undecided], [], structures, phantom_weights, DEFAULT, StepTimer(ignore_steps)
    )
    for quality in (score.quality, fused.quality, decided.quality):
        absent = [structure.name for structure in quality.structures if structure.state == "absent"]
        assert absent == [structure.name for structure in patient.absent] == ["RightParotid"]
        assert len(quality.warnings) == 1
        assert "fatty tissue lies in its place" in quality.warnings[0]
    # The same fat where the surroundings do not match: the mask may lie beside the organ, no reason to drop it.
    monkeypatch.setattr(fused_quality, "_mean_around", lambda values, mask, spacing: 0.3)
    doubtful = combine(
        "without", candidate.prepared, [undecided], [], structures, phantom_weights, DEFAULT, StepTimer(ignore_steps)
    )
    assert all(one.state != "absent" for one in doubtful.quality.structures)
    assert "RightParotid and LeftParotid differ by" in doubtful.quality.warnings[0]
