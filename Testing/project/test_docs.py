"""The documentation is of the code as it is: links, commands, events, fields of a study, decisions."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest
import yaml

from OneShotSegLib import PUBLIC, events
from OneShotSegLib.method.settings import DEFAULT, Method
from OneShotSegLib.study.layout import STUDY_VERSION
from OneShotSegLib.study.quality import CaseQuality, StructureQuality

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / ".github").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```", re.S)
PATHS = re.compile(r"(?:Testing|OneShotSegLib|OneShotSeg|CMake|tools|Resources)/[\w./-]*\w")


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    assert found, f"expected a section {heading!r}"
    return found[1]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
            yield page, link


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # where its dataclasses look for their types
    spec.loader.exec_module(module)
    return module


def test_every_link_within_the_repository_points_to_a_file_that_is_there() -> None:
    broken = []
    for page, link in links():
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        is_generated = parts.fragment.startswith("OneShotSegLib.")  # an anchor of the Python reference
        if not target.is_file():
            broken.append(f"{page.relative_to(ROOT)}: {link}")
        elif parts.fragment and not is_generated and parts.fragment not in anchors(target):
            broken.append(f"{page.relative_to(ROOT)}: no heading for {link}")
    assert not broken


def test_every_file_of_the_repository_that_a_page_names_is_there() -> None:
    """A page may name what a command makes (``Resources/...`` of a build); of code and tests it names what is there."""
    missing = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in PAGES
        for name in PATHS.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / name).exists() and not name.startswith("OneShotSeg/OneShotSeg")
    ]
    assert not missing


def test_no_page_has_an_address_of_a_repository_that_is_not_there_yet() -> None:
    named = [page.name for page in PAGES if "github.com/OneShotSeg" in page.read_text(encoding="utf-8")]
    assert not named


def test_the_page_of_commands_is_what_the_application_says() -> None:
    reference = script("cli_reference")
    assert text_of("cli.md") == reference.reference(), "run make docs-cli"


def test_every_command_and_option_has_its_place() -> None:
    from OneShotSegLib.cli.app import app

    reference = script("cli_reference")
    page = text_of("cli.md")
    commands = dict(reference.commands(app))
    assert {"oneshotseg propagate", "oneshotseg export zip"} <= set(commands)
    for words, function in commands.items():
        own = section(page, words)
        for parameter in reference.parameters(function):
            names = [parameter.place] if parameter.is_argument else parameter.flags
            assert all(f"`{name}`" in own for name in names), (words, names)


def test_every_event_is_described_with_an_example_that_can_be_read() -> None:
    page = text_of("events.md")
    for kind in events.KINDS:
        own = section(page, kind)
        examples = [line for line in own.splitlines() if line.startswith("{")]
        assert examples, kind
        for line in examples:
            event = events.parse_event(line)
            assert event is not None, line
            assert event.kind == kind
            unknown = [name for name in event.fields if name != "event" and f"| `{name}` |" not in own]
            assert not unknown, (line, unknown)


@pytest.mark.parametrize("kind", [CaseQuality, StructureQuality])
def test_every_measure_is_described(kind: type) -> None:
    own = section(text_of("study-format.md"), "quality.json")
    missing = [entry.name for entry in fields(kind) if f"| `{entry.name}` |" not in own]
    assert not missing


def test_the_format_s_page_is_of_the_present_version_and_names_every_setting() -> None:
    page = text_of("study-format.md")
    assert f"**version {STUDY_VERSION}**" in page
    assert f"| {STUDY_VERSION} |" in section(page, "Versions")
    own = section(page, "study.json")
    for entry in fields(Method):
        value = getattr(DEFAULT, entry.name)
        names = [entry.name, *(inner.name for inner in fields(value))] if hasattr(value, "__dataclass_fields__") else []
        missing = [name for name in (names or [entry.name]) if f"`{name}`" not in own]
        assert not missing


def test_every_public_name_is_in_the_python_reference() -> None:
    page = text_of("api.md")
    missing = [name for name in PUBLIC if f"::: OneShotSegLib.{name}\n" not in page]
    assert not missing


def test_the_readme_shows_one_query_in_three_lines_of_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 1
    assert len([line for line in blocks[0].splitlines() if line.strip()]) == 3
    compile(blocks[0], "README.md", "exec")


def test_every_page_is_in_the_navigation_and_every_decision_in_the_list() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = set(_leaves(navigation))
    assert {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} <= named
    records = sorted(page.name for page in (DOCS / "decisions").glob("[0-9]*.md"))
    assert [int(name[:3]) for name in records] == list(range(1, len(records) + 1))
    listed = text_of("decisions/index.md")
    assert not [name for name in records if f"({name})" not in listed]


def _leaves(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, list):
        for part in entry:
            yield from _leaves(part)
    elif isinstance(entry, dict):
        for part in entry.values():
            yield from _leaves(part)


@pytest.mark.parametrize("record", sorted((DOCS / "decisions").glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_a_decision_has_context_decision_and_consequences(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert text.startswith(f"# {record.name[:3]}: ")
    assert "\nStatus: " in text
    for heading in ("Context", "Decision", "Consequences"):
        section(text, heading)
