import pytest

from OneShotSegLib import phantom
from OneShotSegLib.fusion.support_selection import most_similar, similarity_to_query
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.method.pipeline import prepare_query
from OneShotSegLib.method.propagation import EncodedScribbles, PreparedCT, encode_scribbles
from OneShotSegLib.method.scribbles import points_of
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.networks.weights import Weights, load_weights, resolve_weights


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights(resolve_weights("phantom"))


def prepared(patient: int, weights: Weights) -> tuple[PreparedCT, EncodedScribbles]:
    case = phantom.make_patient(patient, coarseness=2.0)
    ct = prepare_query(case.ct, weights)
    strokes = LabelMap(phantom.scribbles(case), (*case.present, phantom.BACKGROUND))
    return ct, encode_scribbles(ct, points_of(strokes.volume), weights, DEFAULT.propagation)


def test_a_support_is_more_similar_to_itself_than_to_another_patient(weights: Weights) -> None:
    own_ct, own = prepared(0, weights)
    other_ct, other = prepared(2, weights)
    pairs = [(other_ct, other), (own_ct, own)]
    similarities = [similarity_to_query(ct, strokes, own_ct, weights, DEFAULT.propagation) for ct, strokes in pairs]
    assert similarities[1] > similarities[0] + 0.03
    assert most_similar(similarities, 1) == [1]


def test_the_most_similar_come_in_the_order_given() -> None:
    assert most_similar([0.3, 0.9, 0.1, 0.5], 3) == [0, 1, 3]
    assert most_similar([1.0], 3) == [0]
