"""A study of phantoms, and the page's server on it: without a network in most tests, with a browser in some."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra browser is not installed")
pytest.importorskip("httpx", reason="httpx, which drives the server in tests, is not installed")

from OneShotSegLib.study.layout import StudyPaths
from Testing.browser.client import Page
from Testing.helpers import reviewed_phantoms
from Testing.helpers.shared import made_once

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of three phantoms; to be copied."""

    def make(folder: Path) -> Path:
        reviewed_phantoms.make(folder, 3)
        return folder

    return made_once(tmp_path_factory, "reviewed_phantoms", make)


@pytest.fixture
def study(made: Path, tmp_path: Path) -> StudyPaths:
    """A copy of the study, whose CTs stay where they are."""
    shutil.copytree(made / "study", tmp_path / "study")
    return StudyPaths(tmp_path / "study")


@pytest.fixture
def open_page(study: StudyPaths) -> Iterator[Open]:
    """Opens the page on the study; closed in the end."""
    with ExitStack() as stack:

        def open_(root: Path | None = None, **request: Any) -> Page:
            return stack.enter_context(Page(study=root or study.root, **request))

        yield open_


@pytest.fixture
def page(open_page: Open) -> Page:
    """The page on the study."""
    return open_page()
