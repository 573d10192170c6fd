"""Label maps matched by name: values, layers and order make no difference, and what does not match is said."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.label_matching import match_labels, read_matched, with_values_of
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, label_map_of, name_key, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from Testing.helpers.named_segments import Painted, write_segmentation

STRUCTURES = tuple(
    Segment(value=value, name=name, color=(0.5, 0.2, 0.1))
    for value, name in ((1, "Brainstem"), (2, "Cord"), (3, "Drüse links"), (7, "Mandible"))
)
SHAPE = (5, 7, 6)
FILE = Path("edited.seg.nrrd")


def painted() -> np.ndarray:
    """Each structure in a place of its own."""
    array = np.zeros(SHAPE, np.uint8)
    for number, structure in enumerate(STRUCTURES):
        array[number : number + 2, 1 + number : 3 + number, number] = structure.value
    return array


def parts(names: dict[str, str] | None = None) -> list[Painted]:
    """The structures as they would be painted elsewhere, with other names where these are given."""
    return [Painted((names or {}).get(s.name, s.name), s.value, painted() == s.value) for s in STRUCTURES]


def read(path: Path, *segments: Painted) -> tuple[np.ndarray, tuple[str, ...]]:
    write_segmentation(path / FILE.name, segments)
    labels, notes = read_matched(path / FILE.name, STRUCTURES)
    assert [(s.value, s.name) for s in labels.segments] == [(s.value, s.name) for s in STRUCTURES]
    return labels.volume.array, notes


@pytest.mark.parametrize(
    "values",
    [(1, 2, 3, 9), (7, 1, 2, 3), (2, 1, 7, 3), (255, 254, 253, 252)],
    ids=["anew", "turned", "swapped", "high"],
)
@pytest.mark.parametrize("layered", [False, True], ids=["one layer", "layers"])
def test_values_and_layers_make_no_difference(tmp_path: Path, values: tuple[int, ...], layered: bool) -> None:
    others = [
        replace(part, value=1 if layered else value, layer=number if layered else 0)
        for number, (part, value) in enumerate(zip(parts(), values, strict=True))
    ]
    found, notes = read(tmp_path, *reversed(others))
    np.testing.assert_array_equal(found, painted())
    assert notes == ()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.integers(1, 255), min_size=4, max_size=4, unique=True),
    order=st.permutations(range(4)),
    layers=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    seed=st.integers(0, 1000),
)
def test_any_values_layers_order_and_spelling_give_the_same_mask(
    tmp_path: Path, values: list[int], order: list[int], layers: list[int], seed: int
) -> None:
    chance = random.Random(seed)
    respelt = [
        replace(
            part,
            name=f"{' ' * chance.randint(0, 2)}{chance.choice((part.name, part.name.upper(), part.name.lower()))}\t",
            value=value,
            layer=layer,
        )
        for part, value, layer in zip(parts(), values, layers, strict=True)
    ]
    found, notes = read(tmp_path, *(respelt[number] for number in order))
    np.testing.assert_array_equal(found, painted())
    assert notes == ()


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(1, 255), min_size=5, max_size=5, unique=True),
    order=st.permutations(range(5)),
)
def test_values_given_back_lose_nothing(values: list[int], order: list[int]) -> None:
    names = [*(s.name for s in STRUCTURES), "Tumour"]
    array = np.zeros((1, 1, 6), np.uint8)
    array[0, 0, :5] = values
    segments = [Segment(value=v, name=n, color=(0, 0, 0)) for v, n in zip(values, names, strict=True)]
    edited = LabelMap(Volume.create(array, (1, 1, 1)), tuple(segments[number] for number in order))
    found = with_values_of(edited, STRUCTURES)
    by_name = {s.name: s.value for s in found.segments}
    assert [by_name[s.name] for s in STRUCTURES] == [s.value for s in STRUCTURES]
    assert found.volume.array[0, 0].tolist() == [*(by_name[name] for name in names), 0]
    assert len(set(by_name.values())) == 5


def test_names_compare_by_letters_alone() -> None:
    assert name_key(" Dru\u0308se  links ") == name_key("DR\u00dcSE LINKS")
    assert name_key("Cord") != name_key("Cords")


def test_a_renamed_structure_is_said_and_never_guessed(tmp_path: Path) -> None:
    found, notes = read(tmp_path, *parts({"Cord": "Spinal cord"}))
    np.testing.assert_array_equal(found, np.where(painted() == 2, 0, painted()))
    assert notes == (
        "edited.seg.nrrd: it has no structure of these names: 'Cord'.",
        "edited.seg.nrrd: structures that were not asked for, not used: 'Spinal cord'.",
    )


def test_added_and_missing_structures_are_said(tmp_path: Path) -> None:
    extra = np.zeros(SHAPE, bool)
    extra[4, 6, 5] = True
    found, notes = read(tmp_path, *parts()[:-1], Painted("Mandible 2", 7, painted() == 7), Painted("Tumour", 5, extra))
    np.testing.assert_array_equal(found, np.where(painted() == 7, 0, painted()))
    assert "names: 'Mandible'." in notes[0]
    assert "not used: 'Mandible 2', 'Tumour'." in notes[1]


def test_an_empty_segment_is_an_empty_structure_without_a_word(tmp_path: Path) -> None:
    emptied = [replace(part, mask=np.zeros(SHAPE, bool)) if part.name == "Cord" else part for part in parts()]
    found, notes = read(tmp_path, *emptied)
    np.testing.assert_array_equal(found, np.where(painted() == 2, 0, painted()))
    assert notes == ()


def test_a_value_that_no_segment_names_is_said(tmp_path: Path) -> None:
    write_segmentation(tmp_path / FILE.name, parts(), {9: (4, 6, 5)})
    labels, notes = read_matched(tmp_path / FILE.name, STRUCTURES)
    np.testing.assert_array_equal(labels.volume.array, painted())
    assert notes == ("edited.seg.nrrd: value(s) that no segment names, not used: 9.",)


def test_the_background_stroke_is_left_out_without_a_word(tmp_path: Path) -> None:
    found, notes = read(tmp_path, *parts(), Painted(" background", 200, painted() == 0))
    np.testing.assert_array_equal(found, painted())
    assert notes == ()


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ({"Cord": "brainstem "}, "expected each structure once, found several of the name 'Brainstem'"),
        (dict.fromkeys([s.name for s in STRUCTURES], "Liver"), "expected structures of the names 'Brainstem', 'Cord'"),
    ],
    ids=["a name twice", "no name of the study"],
)
def test_what_cannot_be_matched_is_refused_in_one_sentence(
    tmp_path: Path, names: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        read(tmp_path, *parts(names))
    assert "\n" not in str(error.value)


def test_structures_of_one_name_cannot_be_matched() -> None:
    twice = (*STRUCTURES, replace(STRUCTURES[0], value=9, name="BRAINSTEM"))
    own = LabelMap(Volume.create(painted(), (1, 1, 1)), STRUCTURES)
    with pytest.raises(InputError, match="two of them are named 'Brainstem'"):
        match_labels(own, twice, FILE)


def test_a_map_without_names_is_matched_by_value(tmp_path: Path) -> None:
    array = painted()
    array[4, 6, 5] = 9
    write_volume(Volume.create(array, (1, 1, 1)), tmp_path / "a.nii.gz")
    labels, notes = read_matched(tmp_path / "a.nii.gz", STRUCTURES)
    np.testing.assert_array_equal(labels.volume.array, painted())
    assert notes == ("a.nii.gz: value(s) that were not asked for, not used: 9.",)
    assert match_labels(label_map_of(Volume.create(painted(), (1, 1, 1))), STRUCTURES, FILE).notes == ()


def test_what_was_written_with_the_structures_values_is_found_under_an_older_name(tmp_path: Path) -> None:
    for names, count in (({"Cord": "Myelon"}, 1), ({s.name: f"old {s.name}" for s in STRUCTURES}, 1), ({}, 0)):
        write_segmentation(tmp_path / FILE.name, parts(names))
        labels, notes = read_matched(tmp_path / FILE.name, STRUCTURES, same_values=True)
        np.testing.assert_array_equal(labels.volume.array, painted())
        assert len(notes) == count
    other = [replace(part, value=v) for part, v in zip(parts({"Cord": "Myelon"}), (7, 1, 2, 3), strict=True)]
    write_segmentation(tmp_path / FILE.name, other)
    labels, _ = read_matched(tmp_path / FILE.name, STRUCTURES, same_values=True)
    np.testing.assert_array_equal(labels.volume.array, np.where(painted() == 2, 0, painted()))


def test_terminology_of_the_file_is_kept(tmp_path: Path) -> None:
    tagged = tuple(replace(s, tags="Segmentation.Status:completed|", color=(1, 1, 1)) for s in STRUCTURES)
    write_label_map(LabelMap(Volume.create(painted(), (1, 1, 1)), tagged), tmp_path / FILE.name)
    labels, _ = read_matched(tmp_path / FILE.name, STRUCTURES)
    assert {s.tags for s in labels.segments} == {"Segmentation.Status:completed|"}
    assert [s.color for s in labels.segments] == [s.color for s in STRUCTURES]


def test_a_file_knows_which_of_its_values_have_a_name(tmp_path: Path) -> None:
    write_segmentation(tmp_path / FILE.name, parts(), {9: (4, 6, 5)})
    assert read_label_map(tmp_path / FILE.name).unnamed == {9}
    sitk.WriteImage(sitk.GetImageFromArray(painted()), str(tmp_path / "plain.nrrd"))
    plain = read_label_map(tmp_path / "plain.nrrd")
    assert plain.unnamed == {1, 2, 3, 7}
    assert plain.named == ()


def test_segments_without_names_are_matched_by_value_and_that_is_said(tmp_path: Path) -> None:
    entries = [(f"Segment{n}_LabelValue", str(s.value)) for n, s in enumerate(STRUCTURES)]
    write_volume(Volume.create(painted(), (1, 1, 1)), tmp_path / FILE.name, entries)
    labels, notes = read_matched(tmp_path / FILE.name, STRUCTURES)
    assert np.array_equal(labels.volume.array, painted())
    assert notes == ("edited.seg.nrrd: its segments have no names: they were matched by value.",)
