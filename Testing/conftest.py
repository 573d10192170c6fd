"""What several tests share: the real cohort where it is, the phantom cohort everywhere."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

# One thread per worker and per process that a test starts, set before any library reads it: the workers are as many as
# the processors, and sums in one order make results equal to the last bit.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
# What the processes that tests start print is UTF-8, whatever locale the machine has or Qt and VTK set anew.
os.environ.setdefault("PYTHONUTF8", "1")

import pytest
from hypothesis import HealthCheck, settings

from OneShotSegLib import phantom
from OneShotSegLib.method.support import Support
from OneShotSegLib.networks.weights import Weights, load_weights, resolve_weights
from OneShotSegLib.phantom import CohortFiles
from OneShotSegLib.scoring import propagation as scoring
from Testing.helpers import tiny_batch
from Testing.helpers.phantom_support import prepared_phantom
from Testing.helpers.shared import made_once
from Testing.helpers.tiny_batch import TinyBatch

COHORT = Path(__file__).parents[2] / "shared" / "cohort"
MOST_WORKERS = 8


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the tests that take minutes too")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Captured lines with file names that are no UTF-8 cannot be sent from a worker as they are."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """As many workers as this process may use processors, each of which needs up to 2 GB of memory."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST_WORKERS)


def pytest_configure(config: pytest.Config) -> None:
    usual = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
    settings.register_profile("usual", usual, max_examples=20)
    settings.register_profile("thorough", usual, max_examples=2000)
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
    return made_once(tmp_path_factory, "phantoms", lambda folder: phantom.write_cohort(folder, 3, coarseness=1.4))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyBatch:
    """A batch of three queries that takes about a second a case."""
    return made_once(tmp_path_factory, "tiny", lambda folder: tiny_batch.make(folder, 3))


@pytest.fixture(scope="session")
def phantom_weights() -> Weights:
    """The networks trained on phantoms."""
    return load_weights(resolve_weights("phantom"))


@pytest.fixture(scope="session")
def phantom_support(phantom_weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Support:
    """The first phantom patient, prepared as a support with the default settings."""
    return made_once(tmp_path_factory, "phantom_support", lambda folder: prepared_phantom(phantom_weights))


@pytest.fixture
def brief_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spend less on the scores, where they are not what is tested."""
    monkeypatch.setattr(scoring, "CYCLE_POINTS_PER_LABEL", 1)
