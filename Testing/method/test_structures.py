import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.method.structures import Structures, common_structures


def segment(value: int, name: str) -> Segment:
    return Segment(value=value, name=name, color=(0.5, 0.5, 0.5))


GLAND, CORD, BACKGROUND = segment(1, "Gland"), segment(2, "Cord"), segment(9, "Background")


def test_supports_add_up_their_structures_by_value() -> None:
    common = common_structures([Structures((CORD,), BACKGROUND), Structures((GLAND, CORD), BACKGROUND)])
    assert common == Structures((GLAND, CORD), BACKGROUND)


def test_one_value_with_two_names_is_refused() -> None:
    other = Structures((segment(1, "Liver"),), BACKGROUND)
    with pytest.raises(InputError, match="found 1 as Gland and as Liver"):
        common_structures([Structures((GLAND,), BACKGROUND), other])


def test_background_strokes_of_different_value_are_refused() -> None:
    with pytest.raises(InputError, match="found 9 and 8"):
        common_structures([Structures((GLAND,), BACKGROUND), Structures((GLAND,), segment(8, "Background"))])
