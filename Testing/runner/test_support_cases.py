"""A support as a case of its own: its grown mask is reviewed as any other, and counts once a reviewer has it right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.runner.planning import plan_batch
from OneShotSegLib.runner.propagation import propagate_batch
from OneShotSegLib.scoring.predicted_dice import FEATURES
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import read_quality
from OneShotSegLib.study.review import ReviewLedger
from Testing.helpers.strokes import fewer_strokes
from Testing.helpers.tiny_batch import TinyBatch

pytestmark = pytest.mark.usefixtures("brief_scores")

SUPPORT, QUERY = "phantom_00", "phantom_01"


def test_the_supports_own_mask_is_the_first_case_and_counts_for_the_rest_once_it_is_corrected(
    tiny: TinyBatch, tmp_path: Path
) -> None:
    study = StudyPaths(tmp_path / "study")
    request = tiny.request(study.root, support_cases=True, queries=tiny.files.queries[:1])
    assert [case.case for case in plan_batch(request).cases] == [SUPPORT, QUERY]
    assert propagate_batch(request).done == (SUPPORT, QUERY)
    own, quality = read_label_map(study.case(SUPPORT).pseudo_mask), read_quality(study.case(SUPPORT).quality)
    strokes = read_label_map(tiny.files.scribbles)
    assert own.volume.shape == strokes.volume.shape
    painted = {s.value: s.name for s in strokes.segments if not s.is_background_stroke}
    for segment in own.segments:
        stroke = strokes.volume.array == next(v for v, name in painted.items() if name == segment.name)
        assert (own.volume.array[stroke] == segment.value).mean() > 0.7, segment.name
    assert "support" in quality.warnings[0]
    assert 0 < quality.score < 1
    for structure in quality.structures:
        # A measure that is left out counts as the worst one.
        assert None not in [getattr(structure, name) for name in FEATURES[1:]], structure.name
        assert structure.agreement == structure.consensus == structure.local_correlation == 1.0
    before = read_label_map(study.case(QUERY).pseudo_mask).volume.array

    # Other strokes: its mask is grown anew, as those of all cases that nobody decided on.
    changed = tiny.request(
        study.root,
        support_cases=True,
        queries=tiny.files.queries[:1],
        scribbles=[fewer_strokes(tiny.files.scribbles, tmp_path / "fewer.seg.nrrd")],
    )
    propagate_batch(changed)
    assert read_quality(study.case(SUPPORT).quality).revision == 2

    # Corrected: it is a support with its whole mask, and its grown mask gives way.
    corrected = np.where(own.volume.array == own.segments[0].value, 0, own.volume.array).astype(np.uint8)
    write_label_map(LabelMap(own.volume.with_array(corrected), own.segments), study.case(SUPPORT).edited_mask)
    ledger = ReviewLedger.load(study.review)
    ledger.decide(SUPPORT, "edited")
    ledger.save()
    assert propagate_batch(request).done == (SUPPORT, QUERY)
    present = StudyDescription.read(study).present
    assert [entry["case"] for entry in present.masks] == [SUPPORT]
    after = read_label_map(study.case(QUERY).pseudo_mask).volume.array
    removed = own.segments[0].value
    assert (after == removed).sum() < (before == removed).sum()


def test_without_the_option_the_support_is_no_case(tiny: TinyBatch, tmp_path: Path) -> None:
    study = StudyPaths(tmp_path / "study")
    plan = plan_batch(tiny.request(study.root, queries=tiny.files.queries[:1]))
    assert [case.case for case in plan.cases] == [QUERY]
    assert json.dumps([str(left.path) for left in plan.left_out]) == "[]"
