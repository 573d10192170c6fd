"""What labels mean in one support and in several: structures are matched by name, whatever their values."""

from __future__ import annotations

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, label_map_of
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.structures import Structures, common_structures, structures_of, with_common_values


def segment(value: int, name: str) -> Segment:
    return Segment(value=value, name=name, color=(0.5, 0.5, 0.5))


GLAND, CORD, BACKGROUND = segment(1, "Gland"), segment(2, "Cord"), segment(9, "Background")


def scribbles(*segments: Segment) -> LabelMap:
    """A map in which the first voxels have the segments' values, one each."""
    array = np.zeros((1, 1, 8), np.uint8)
    array[0, 0, : len(segments)] = [one.value for one in segments]
    return LabelMap(Volume.create(array, (1, 1, 1)), segments)


def described(labels: LabelMap) -> dict[str, int]:
    """Name to the value that its voxel has."""
    values = labels.volume.array[0, 0, : len(labels.segments)]
    assert [one.value for one in labels.segments] == values.tolist()
    return {one.name: one.value for one in labels.segments}


def test_supports_add_up_their_structures_by_value() -> None:
    common = common_structures([Structures((CORD,), BACKGROUND), Structures((GLAND, CORD), BACKGROUND)])
    assert common == Structures((GLAND, CORD), BACKGROUND)


def test_a_structure_has_the_first_supports_value_in_all_of_them() -> None:
    second = scribbles(segment(2, "gland "), segment(1, "CORD"), segment(7, "background"))
    first, found = with_common_values([scribbles(GLAND, CORD, BACKGROUND), second])
    assert described(first) == {"Gland": 1, "Cord": 2, "Background": 9}
    assert described(found) == {"gland ": 1, "CORD": 2, "background": 9}


def test_a_new_structure_whose_value_is_taken_gets_a_free_one() -> None:
    _, second, third = with_common_values(
        [
            scribbles(GLAND, CORD, BACKGROUND),
            scribbles(segment(1, "Liver"), segment(9, "Spleen"), segment(4, "Background")),
            scribbles(segment(5, "liver"), segment(3, "Gland"), BACKGROUND),
        ]
    )
    assert described(second) == {"Liver": 3, "Spleen": 4, "Background": 9}
    assert described(third) == {"liver": 3, "Gland": 1, "Background": 9}


def test_one_support_stays_as_it_is() -> None:
    only = scribbles(GLAND, BACKGROUND)
    assert with_common_values([only]) == (only,)


def test_scribbles_without_names_are_matched_by_value() -> None:
    plain = label_map_of(scribbles(segment(1, ""), segment(5, ""), segment(9, "")).volume).with_background(9)
    first, second = with_common_values([scribbles(GLAND, CORD, BACKGROUND), plain])
    assert described(second) == {"Gland": 1, "Structure 5": 5, "Background": 9}
    names = [one.name for one in common_structures([structures_of(first), structures_of(second)]).foreground]
    assert names == ["Gland", "Cord", "Structure 5"]


def test_values_without_names_are_refused_where_the_named_supports_disagree() -> None:
    plain = label_map_of(scribbles(segment(1, ""), segment(9, "")).volume).with_background(9)
    swapped = scribbles(segment(2, "Gland"), segment(1, "Cord"), BACKGROUND)
    with pytest.raises(InputError, match="Support 3: expected names for its label values"):
        with_common_values([scribbles(GLAND, CORD, BACKGROUND), swapped, plain])


def test_one_name_twice_is_refused_in_one_sentence() -> None:
    twice = scribbles(GLAND, segment(3, "gland"), BACKGROUND)
    with pytest.raises(InputError, match="found several named 'Gland'"):
        structures_of(twice)
    with pytest.raises(InputError, match="Support 2: expected each structure once, found several of the name 'Gland'"):
        with_common_values([scribbles(GLAND, BACKGROUND), twice])
