"""A query of another part of the body fails as a case, one of the support's does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib import phantom
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.support import ScribbledCT
from OneShotSegLib.networks.weights import resolve_weights

ABDOMEN = Path(__file__).parents[3] / "shared" / "cohort-abdomen" / "cases"
COARSENESS = 1.6


@pytest.fixture(scope="module")
def engine() -> Engine:
    case = phantom.make_patient(0, coarseness=COARSENESS)
    scribbles = LabelMap(phantom.scribbles(case), (*case.present, phantom.BACKGROUND))
    return Engine([ScribbledCT(case.ct, scribbles)], resolve_weights("phantom"), DEFAULT)


def test_another_patient_of_the_region_is_segmented(engine: Engine) -> None:
    assert engine.segment("other", phantom.make_patient(1, coarseness=COARSENESS).ct).array.any()


def test_a_body_without_the_supports_anatomy_fails_in_one_sentence(engine: Engine) -> None:
    ct = phantom.make_patient(1, coarseness=COARSENESS).ct
    depth, height, width = np.indices(ct.shape)
    away = np.hypot((height - ct.shape[1] / 2) / ct.shape[1], (width - ct.shape[2] / 2) / ct.shape[2])
    rods = (depth // 7 + width // 9 + height // 8) % 4
    trunk = np.where(away < 0.35, np.array([-90, 40, 60, 300])[rods], -1000).astype(np.int16)
    with pytest.raises(InputError, match="Expected a scan of the support's part of the body, found other tissue"):
        engine.segment("trunk", Volume.create(trunk, ct.spacing, ct.origin, ct.direction))


def test_an_abdomen_for_a_head_and_neck_support_fails(cohort: Path) -> None:
    if not ABDOMEN.is_dir():
        pytest.skip("the abdomen cohort (../shared/cohort-abdomen) is not here")
    support = ScribbledCT(
        read_volume(cohort / "cases" / "pt_4" / "ct.nii.gz"),
        read_label_map(cohort / "scribbles" / "pt_4.nii.gz").with_background(8),
    )
    engine = Engine([support], resolve_weights("headneck"), DEFAULT)
    with pytest.raises(InputError, match="other tissue"):
        engine.segment("case_17", read_volume(ABDOMEN / "case_17" / "ct.nii.gz"))
