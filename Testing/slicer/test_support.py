"""Scribbles: made, named, coloured and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume

BACKGROUND = Segment(value=255, name="background", color=(0.5, 0.5, 0.5))
MANDIBLE = Segment(value=1, name="Mandible", color=(0.9, 0.8, 0.6))


@pytest.fixture
def ct() -> Volume:
    """A block of tissue with an airway in it, in air."""
    hu = np.full((24, 32, 32), -1000, dtype=np.int16)
    hu[:, 6:26, 6:26] = 40
    hu[:, 14:20, 14:20] = -1000
    return Volume.create(hu)


def strokes(ct: Volume, **places: tuple[slice, ...]) -> LabelMap:
    array = np.zeros(ct.shape, dtype=np.uint8)
    for name, place in places.items():
        array[place] = {"background": 255, "mandible": 1}[name]
    return LabelMap(ct.with_array(array), (BACKGROUND, MANDIBLE))


TISSUE, AIRWAY, OUTSIDE = (np.s_[10, 8, 8:24], np.s_[10, 15:19, 15:19], np.s_[10, 1:4, 1:20])


def texts(findings: Any) -> str:
    return " ".join(finding.text for finding in findings)


def test_good_scribbles_are_left_alone(application: Any, ct: Volume) -> None:
    from OneShotSegLib.interface.scribble_checks import check_scribbles

    assert check_scribbles(strokes(ct, background=OUTSIDE, mandible=TISSUE), ct) == ()


def test_what_is_not_painted_is_named(application: Any, ct: Volume) -> None:
    from OneShotSegLib.interface.scribble_checks import check_scribbles

    findings = check_scribbles(strokes(ct), ct)
    assert "no background stroke" in texts(findings)
    assert "Mandible has no strokes" in texts(findings)
    assert all(finding.forbids for finding in findings)


def test_strokes_in_the_air_around_the_body_are_warned_of_but_not_those_in_an_airway(
    application: Any, ct: Volume
) -> None:
    from OneShotSegLib.interface.scribble_checks import check_scribbles

    outside = check_scribbles(strokes(ct, background=TISSUE, mandible=OUTSIDE), ct)
    assert "outside the body" in texts(outside)
    assert not any(finding.forbids for finding in outside)
    assert check_scribbles(strokes(ct, background=TISSUE, mandible=AIRWAY), ct) == ()


def test_an_image_that_is_no_ct_is_named(application: Any, ct: Volume) -> None:
    from OneShotSegLib.interface.scribble_checks import check_scribbles

    mr = ct.with_array(ct.array - ct.array.min())
    assert "expected a CT in HU" in texts(check_scribbles(strokes(ct, background=OUTSIDE, mandible=TISSUE), mr))


def test_two_segments_of_one_name_are_refused(application: Any, ct: Volume) -> None:
    from OneShotSegLib.interface.scribble_checks import check_scribbles

    good = strokes(ct, background=OUTSIDE, mandible=TISSUE)
    twice = LabelMap(good.volume, (*good.segments, Segment(value=2, name="mandible ", color=(0, 0, 0))))
    assert "Two segments are named Mandible" in texts(check_scribbles(twice, ct))


def test_new_scribbles_take_the_ct_s_geometry_and_count_from_one(scene: Any, ct: Volume) -> None:
    from OneShotSegLib.slicer.mrml.scribble_segments import add_structure, first_structure, new_scribbles
    from OneShotSegLib.slicer.mrml.segmentations import describe_segments, reference_grid
    from OneShotSegLib.slicer.mrml.structures import StructureCatalog
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node

    node = new_scribbles(add_volume_node(ct, "ct"), ["Mandible", "Brainstem"], StructureCatalog())
    add_structure(node, "Thyroid", StructureCatalog())
    described = [(segment.value, segment.name) for segment in describe_segments(node)]
    assert described == [(255, "Background"), (1, "Mandible"), (2, "Brainstem"), (3, "Thyroid")]
    assert first_structure(node) == "Segment_1"
    grid = reference_grid(node)
    assert grid is not None
    assert grid.same_grid(ct)
    with pytest.raises(InputError, match="thyroid already"):
        add_structure(node, "thyroid", StructureCatalog())


def test_slicers_terminology_gives_names_codes_and_colors(application: Any) -> None:
    import slicer

    from OneShotSegLib.slicer.mrml.structures import StructureCatalog

    catalog = StructureCatalog(slicer.modules.terminologies.logic())
    assert "Mandible" in catalog.names
    assert "Left Parotid gland" in catalog.names
    mandible = catalog.describe("mandible", 4)
    assert mandible.value == 4
    assert "SCT^91609006^Mandible" in mandible.tags
    np.testing.assert_allclose(mandible.color, np.array([241, 214, 145]) / 255)
    parotid = catalog.describe("left parotid gland", 5)
    assert "SCT^7771000^Left" in parotid.tags
    np.testing.assert_allclose(parotid.color, np.array([238, 117, 81]) / 255)
    assert catalog.describe("Tumour bed", 1).tags == ""


@pytest.mark.parametrize(
    ("text", "names"), [("", []), (" a , b;c ", ["a", "b", "c"]), ("Left lung", ["Left lung"]), (",;,", [])]
)
def test_names_may_be_typed_with_commas_or_semicolons(application: Any, text: str, names: list[str]) -> None:
    from OneShotSegLib.slicer.mrml.scribble_segments import split_names

    assert split_names(text) == names
