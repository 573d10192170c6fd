"""What several tests share: the real cohort where it is, the phantom cohort everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from OneShotSegLib import phantom
from OneShotSegLib.phantom import CohortFiles
from OneShotSegLib.scoring import propagation as scoring
from Testing.helpers import tiny_batch
from Testing.helpers.tiny_batch import TinyBatch

COHORT = Path(__file__).parents[2] / "shared" / "cohort"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the tests that take minutes too")


def pytest_configure(config: pytest.Config) -> None:
    usual = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
    settings.register_profile("usual", max_examples=20, **usual)
    settings.register_profile("thorough", max_examples=2000, **usual)
    settings.load_profile("thorough" if config.getoption("--run-slow") else "usual")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --run-slow"))


@pytest.fixture(scope="session")
def cohort() -> Path:
    """The real head-and-neck cohort, which lies beside the checkout where it may be used."""
    if not COHORT.is_dir():
        pytest.skip("the real CT cohort (../shared/cohort) is not here")
    return COHORT


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> CohortFiles:
    """Three coarse phantom patients on disk, the first with scribbles."""
    return phantom.write_cohort(tmp_path_factory.mktemp("phantoms"), 3, coarseness=1.4)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyBatch:
    """A batch of three queries that takes about a second a case."""
    return tiny_batch.make(tmp_path_factory.mktemp("tiny"), 3)


@pytest.fixture
def brief_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spend less on the scores, where they are not what is tested."""
    monkeypatch.setattr(scoring, "CYCLE_POINTS_PER_LABEL", 1)
    monkeypatch.setattr(scoring, "CYCLE_STARTS", 4)
