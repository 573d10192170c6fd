"""Several supports for one query: what is fused, and how far the candidates agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from OneShotSegLib.fusion.candidates import ScoredCandidate, fuse
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.method.pipeline import segment_query
from OneShotSegLib.method.settings import FusionSettings, Method
from OneShotSegLib.method.support import ScribbledCT
from OneShotSegLib.scoring.propagation import score_candidate
from OneShotSegLib.study.segmentation import Segmentation
from Testing.helpers.tiny_batch import QUICK, TinyBatch

pytestmark = pytest.mark.usefixtures("brief_scores")
CASE = "query"


@pytest.fixture(scope="module")
def support(tiny: TinyBatch) -> ScribbledCT:
    return ScribbledCT(read_volume(tiny.files.support), read_label_map(tiny.files.scribbles))


def without(support: ScribbledCT, value: int) -> ScribbledCT:
    """The same support without one structure."""
    labels = support.scribbles
    rest = np.where(labels.volume.array == value, 0, labels.volume.array).astype(np.uint8)
    segments = tuple(segment for segment in labels.segments if segment.value != value)
    return ScribbledCT(support.ct, replace(labels, volume=labels.volume.with_array(rest), segments=segments))


def segmented(supports: list[ScribbledCT], tiny: TinyBatch, method: Method = QUICK) -> Segmentation:
    return Engine(supports, tiny.weights, method).segment(CASE, read_volume(tiny.files.queries[0]))


def test_one_support_given_twice_agrees_with_itself(support: ScribbledCT, tiny: TinyBatch) -> None:
    by_scores = replace(QUICK, fusion=FusionSettings(enabled=False))
    alone, twice = segmented([support], tiny, by_scores), segmented([support, support], tiny, by_scores)
    there = [structure for structure in twice.quality.structures if structure.state != "absent"]
    assert there
    assert min(structure.consensus or 0 for structure in there) > 0.9
    assert all(structure.consensus is None for structure in alone.quality.structures)
    both = (alone.array > 0) & (twice.array > 0)
    assert both.sum() > 0.9 * (alone.array > 0).sum()
    assert (alone.array == twice.array)[both].mean() > 0.95


def test_a_structure_that_only_one_support_has_is_there(support: ScribbledCT, tiny: TinyBatch) -> None:
    found = segmented([without(support, 7), support], tiny)
    by_value = {structure.value: structure for structure in found.quality.structures}
    assert set(by_value) == set(range(1, 8))
    assert (7 in found.array) == (by_value[7].state != "absent")


def test_a_warning_of_two_candidates_comes_once_and_their_seconds_are_added(
    support: ScribbledCT, tiny: TinyBatch
) -> None:
    engine = Engine([support], tiny.weights, QUICK)
    prepared = engine.models.supports[0]
    candidate = segment_query(prepared, read_volume(tiny.files.queries[0]), engine.weights, QUICK)
    quality = replace(score_candidate(CASE, candidate, engine.weights).quality, warnings=("One.", "Two."))
    fused = fuse([ScoredCandidate(candidate, quality)] * 2, engine.structures, QUICK.smooth_mm)
    assert fused.quality.warnings == ("One.", "Two.")
    assert fused.quality.seconds == {step: 2 * seconds for step, seconds in candidate.seconds.items()}
