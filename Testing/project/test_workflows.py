"""The workflows of continuous integration: pinned, with few rights, and as actionlint wants them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
USES = re.compile(r"^\s*(?:- )?uses:\s*(\S+)(.*)$", re.M)
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")

each_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
each_form = pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)


def content(path: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def test_actionlint_finds_nothing() -> None:
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run([actionlint, *map(str, WORKFLOWS)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@each_workflow
def test_every_action_is_pinned_by_the_sha_of_its_commit_and_says_its_version(workflow: Path) -> None:
    found = USES.findall(workflow.read_text(encoding="utf-8"))
    assert found
    for action, rest in found:
        assert PINNED.fullmatch(action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", rest), (action, rest)


def test_one_action_has_one_version_in_all_workflows() -> None:
    pins = {action for path in WORKFLOWS for action, _ in USES.findall(path.read_text(encoding="utf-8"))}
    assert len({action.partition("@")[0] for action in pins}) == len(pins)


@each_workflow
def test_a_workflow_has_the_rights_to_read_alone_and_its_jobs_end(workflow: Path) -> None:
    loaded = content(workflow)
    assert loaded["permissions"] == {"contents": "read"}
    assert "concurrency" in loaded
    for job in loaded["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 90
        granted = job.get("permissions", {})
        assert set(granted) <= {"pages", "id-token"}, granted
        assert not granted or "if" in job, "rights to write only on a push or a tag"


@each_workflow
def test_a_checkout_leaves_no_token_behind(workflow: Path) -> None:
    steps = [step for job in content(workflow)["jobs"].values() for step in job["steps"]]
    for step in steps:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_tests_run_on_three_systems_and_three_pythons() -> None:
    matrix = content(GITHUB / "workflows" / "tests.yml")["jobs"]["tests"]["strategy"]["matrix"]
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "windows", "macos"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]


def test_there_are_forms_for_issues_and_no_blank_one() -> None:
    assert content(GITHUB / "ISSUE_TEMPLATE" / "config.yml")["blank_issues_enabled"] is False
    assert {path.stem for path in FORMS} == {"bug", "feature", "wrong-segmentation"}


@each_form
def test_a_form_is_one_that_can_be_filled_in(form: Path) -> None:
    loaded = content(form)
    assert {"name", "description", "body"} <= set(loaded)
    fields = [entry for entry in loaded["body"] if entry["type"] != "markdown"]
    assert len({entry["id"] for entry in fields}) == len(fields)
    for entry in fields:
        assert entry["type"] in ("input", "textarea", "dropdown", "checkboxes")
        assert entry["attributes"]["label"]
        assert entry["type"] != "dropdown" or len(entry["attributes"]["options"]) > 1
