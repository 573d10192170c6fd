"""Reviewed cases as supports: read when needed, a few kept, placed once and then from the cache."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.inference import mask_supports
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.inference.placement_cache import PlacementCache
from OneShotSegLib.method.settings import FusionSettings
from OneShotSegLib.method.support import MaskedCT, ScribbledCT
from OneShotSegLib.study.segmentation import Segmentation
from Testing.helpers.tiny_batch import QUICK, TinyBatch

pytestmark = pytest.mark.usefixtures("brief_scores")
QUERY = "query"


@dataclass
class Source:
    """A reviewed case that counts how often it is read."""

    masked: MaskedCT
    fingerprint: str = "f"
    ct_fingerprint: str = ""
    reads: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def name(self) -> str:
        return self.masked.name

    def read(self) -> MaskedCT:
        self.reads.append(self.name)
        if self.error:
            raise InputError(self.error)
        return self.masked


@pytest.fixture(scope="module")
def support(tiny: TinyBatch) -> ScribbledCT:
    return ScribbledCT(read_volume(tiny.files.support), read_label_map(tiny.files.scribbles))


@pytest.fixture(scope="module")
def masked(tiny: TinyBatch) -> MaskedCT:
    """The first query with its true masks."""
    ct = read_volume(tiny.files.queries[0])
    labels = read_label_map(tiny.files.references / "phantom_01.seg.nrrd")
    return MaskedCT(name="reviewed", ct=ct, mask=labels)


@pytest.fixture
def placements(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts how often a support is placed."""
    done: list[int] = []
    place = vars(mask_supports)["place"]

    def counted(*arguments: object) -> object:
        done.append(1)
        return place(*arguments)

    monkeypatch.setattr(mask_supports, "place", counted)
    return done


def segmented(
    support: ScribbledCT, tiny: TinyBatch, *sources: Source, cache: PlacementCache | None = None, name: str = QUERY
) -> Segmentation:
    engine = Engine([support], tiny.weights, QUICK, masks=sources, cache=cache)
    return engine.segment(name, read_volume(tiny.files.queries[1]))


def test_a_mask_changes_the_result_and_a_case_is_no_support_of_its_own(
    support: ScribbledCT, tiny: TinyBatch, masked: MaskedCT
) -> None:
    source = Source(masked)
    alone = segmented(support, tiny)
    assert np.array_equal(segmented(support, tiny, source, name="reviewed").array, alone.array)
    assert not source.reads
    assert not np.array_equal(segmented(support, tiny, source).array, alone.array)
    assert source.reads == ["reviewed"]  # once for its mask and its placement


def test_a_placement_is_found_again_as_long_as_nothing_changed(
    support: ScribbledCT, tiny: TinyBatch, masked: MaskedCT, tmp_path: Path, placements: list[int]
) -> None:
    cache = PlacementCache(tmp_path)
    first = segmented(support, tiny, Source(masked), cache=cache)
    again = segmented(support, tiny, Source(masked), cache=cache)
    assert len(placements) == 1
    assert np.array_equal(first.array, again.array)
    segmented(support, tiny, Source(masked, fingerprint="another mask"), cache=cache)
    assert len(placements) == 2
    segmented(support, tiny, Source(masked, fingerprint=""), cache=cache)
    segmented(support, tiny, Source(masked, fingerprint=""), cache=cache)
    assert len(placements) == 4


def test_one_that_cannot_be_read_is_left_out_and_named(
    support: ScribbledCT, tiny: TinyBatch, masked: MaskedCT, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = segmented(support, tiny, Source(masked, error="the CT is gone"))
    assert np.array_equal(found.array, segmented(support, tiny).array)
    assert "reviewed: not used as a support: the CT is gone" in caplog.text


@pytest.mark.parametrize("error", [InputError("the CT is gone"), PermissionError("the mask is locked")])
def test_one_that_is_gone_when_it_is_placed_is_left_out_and_named(
    support: ScribbledCT, tiny: TinyBatch, masked: MaskedCT, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    @dataclass
    class Vanishing(Source):
        """Can be read once."""

        def read(self) -> MaskedCT:
            if self.reads:
                raise error
            return super().read()

    # Of two the more similar one is used: by then the other one was read last.
    inverted = masked.ct.with_array((-masked.ct.array.astype(np.int32) - 900).astype(np.int16))
    sources = [Vanishing(masked), Source(replace(masked, name="unlike", ct=inverted))]
    method = replace(QUICK, fusion=FusionSettings(most_masks=1))
    with caplog.at_level(logging.WARNING):
        engine = Engine([support], tiny.weights, method, masks=sources)
        found = engine.segment(QUERY, read_volume(tiny.files.queries[1]))
    assert np.array_equal(found.array, segmented(support, tiny).array)
    assert f"reviewed: not used as a support: {error}" in caplog.text


def test_an_empty_mask_is_left_out_and_named(
    support: ScribbledCT, tiny: TinyBatch, masked: MaskedCT, caplog: pytest.LogCaptureFixture
) -> None:
    empty = masked.mask.with_volume(masked.mask.volume.with_array(np.zeros_like(masked.mask.volume.array)))
    with caplog.at_level(logging.WARNING):
        segmented(support, tiny, Source(replace(masked, mask=empty)))
    assert "expected a mask with a structure, found an empty one" in caplog.text


def test_of_many_the_most_similar_are_used(
    support: ScribbledCT, tiny: TinyBatch, masked: MaskedCT, placements: list[int]
) -> None:
    few = replace(QUICK, fusion=FusionSettings(most_masks=2))
    inverted = masked.ct.with_array((-masked.ct.array.astype(np.int32) - 900).astype(np.int16))
    sources = [Source(replace(masked, name=f"unlike {n}", ct=inverted)) for n in range(3)]
    sources += [Source(replace(masked, name=f"alike {n}")) for n in range(2)]
    engine = Engine([support], tiny.weights, few, masks=sources)
    assert engine.steps_per_query(QUERY) == engine.steps_per_query("none of them")
    steps: list[str] = []
    engine.segment(QUERY, read_volume(tiny.files.queries[1]), steps.append)
    assert len(placements) == 2
    assert [len(source.reads) > 1 for source in sources] == [False, False, False, True, True]
    assert len(steps) == engine.steps_per_query(QUERY)


def test_a_query_asks_only_the_cases_that_it_is_segmented_with_for_their_cts(
    support: ScribbledCT, tiny: TinyBatch, masked: MaskedCT
) -> None:
    asked: list[str] = []

    class Asked(Source):
        @property
        def ct_fingerprint(self) -> str:
            asked.append(self.name)
            return ""

        @ct_fingerprint.setter
        def ct_fingerprint(self, value: str) -> None:
            pass

    sources = [Asked(replace(masked, name=f"reviewed {number}")) for number in range(4)]
    method = replace(QUICK, fusion=FusionSettings(most_masks=1))
    engine = Engine([support], tiny.weights, method, masks=sources)
    asked.clear()
    engine.segment(QUERY, read_volume(tiny.files.queries[1]))
    assert len(asked) == 1


def test_a_query_that_was_prepared_ahead_gets_the_same_mask(
    support: ScribbledCT, tiny: TinyBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine([support], tiny.weights, QUICK)
    ct, others = read_volume(tiny.files.queries[1]), [read_volume(tiny.files.queries[0]) for _ in range(3)]
    wanted = engine.segment(QUERY, ct)
    for one in (*others, ct):  # those before are never asked for: no more than two are held
        engine.prepare(one)
    monkeypatch.setattr("OneShotSegLib.inference.engine.prepare_query", lambda *_: pytest.fail("prepared again"))
    assert np.array_equal(engine.segment(QUERY, ct).array, wanted.array)
    with pytest.raises(pytest.fail.Exception):
        engine.segment(QUERY, others[0])
