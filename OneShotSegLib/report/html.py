"""The report of a study: HTML that needs nothing else, the doubtful cases first, many cases on several pages."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from OneShotSegLib import __version__
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.report.case_figures import CasePictures, draw_case, draw_support
from OneShotSegLib.report.content import CaseContent, EvaluationFigures, StudyContent, css_color, read_content
from OneShotSegLib.study.case_state import check_is_there
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths, write_text
from OneShotSegLib.study.review import STATES

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
BINS = 10
BACKGROUND_COLOR = "rgb(235,235,235)"
MOST_CASES = 100
MOST_BYTES = 40_000_000
CASE_BYTES, STRUCTURE_BYTES = 400_000, 60_000
"""What the pictures of a case, and of each of its structures, take at most."""
Progress = Callable[[int, int], None]


def write_report(study: Path, evaluation: EvaluationFigures | None = None, progress: Progress | None = None) -> Path:
    """Write ``STUDY/report.html`` and, where there are many cases, further pages, each whole or not at all.

    A page is written before the next one's pictures are drawn, so that those of one page are held at a time.

    Args:
        study: The study folder.
        evaluation: Figures against references, shown next to the scores.
        progress: Called with the number of cases drawn and of all.

    Returns:
        The report: its first page.

    Raises:
        InputError: If the folder is no study, or goes away meanwhile. A CT that is gone or a case that failed only
            shows as such.
    """
    content = read_content(study, evaluation)
    pages = pages_of(content)
    for page in pages:
        cards = []
        for number, case in enumerate(page.cases, start=page.first):
            pictures = draw_case(case, content.labels) if case.status == "done" else CasePictures()
            cards.append(Card(number, case, pictures))
            if progress:
                progress(number, len(content.cases))
        support = draw_support(content) if page.number == 1 else CasePictures()
        text = render_report(content, cards, support, evaluation is not None, page, pages)
        # Pictures take a while, in which a share may go away.
        check_is_there(content.paths)
        write_text(content.paths.report_page(page.number), text)
    for old in content.paths.report_pages()[len(pages) :]:
        old.unlink(missing_ok=True)
    return content.paths.report


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the report.

    Attributes:
        number: From 1.
        first: Place of its first case by doubt, from 1.
        cases: Its cases.
    """

    number: int
    first: int
    cases: tuple[CaseContent, ...]

    @property
    def file(self) -> str:
        """The name of its file, for links."""
        return StudyPaths(Path()).report_page(self.number).name

    @property
    def last(self) -> int:
        """Place of its last case by doubt."""
        return self.first + len(self.cases) - 1


def pages_of(content: StudyContent) -> list[Page]:
    """The pages of a study's report, at least one: as many cases on each as stay well under 50 MB."""
    per_page = min(MOST_CASES, max(1, MOST_BYTES // (CASE_BYTES + STRUCTURE_BYTES * len(content.labels))))
    starts = range(0, max(len(content.cases), 1), per_page)
    return [
        Page(number=number, first=start + 1, cases=content.cases[start : start + per_page])
        for number, start in enumerate(starts, start=1)
    ]


@dataclass(frozen=True)
class Card:
    """One case as the report shows it.

    Attributes:
        number: Its place by doubt, from 1.
        case: The case.
        pictures: Its pictures.
    """

    number: int
    case: CaseContent
    pictures: CasePictures

    @property
    def anchor(self) -> str:
        """An identifier for links; a case's name could be anything."""
        return f"case-{self.number}"


def render_report(
    content: StudyContent,
    cards: Iterable[Card],
    support: CasePictures,
    with_figures: bool,
    page: Page,
    pages: Sequence[Page],
) -> str:
    """A page of the report as HTML; everything that comes from the data is escaped."""
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            content=content,
            cards=list(cards),
            page=page,
            pages=pages,
            support=support,
            with_figures=with_figures,
            colors=_colors(content),
            facts=_facts(content),
            bins=histogram(score for case in content.cases if (score := case.score) is not None),
            strips=[Strip.of(content, label) for label in content.labels],
            review_counts=Counter(case.review.state for case in content.cases),
            page_counts=Counter(case.review.state for case in page.cases),
            states=STATES,
            style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
            script=script,
            script_hash=_csp_hash(script),
            version=__version__,
        )
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Always, not by the file's name: case names and comments can hold anything.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = lambda value: f"{value * 100:.0f} %"
    environment.filters["places"] = lambda value, digits=2: "–" if value is None else f"{value:.{digits}f}"
    environment.filters["ending"] = lambda path: "/".join(Path(path).parts[-2:]) if path else ""
    environment.filters["tone"] = _tone
    environment.filters["css"] = css_color
    return environment


def _tone(score: float) -> str:
    """The class of a score's bar: which third it is in."""
    return ("low", "middle", "high")[min(int(score * 3), 2)]


def _csp_hash(script: str) -> str:
    """What the page's content security policy names its only script by, so that no injected one can run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _colors(content: StudyContent) -> dict[int, str]:
    structures = {label.value: css_color(label.color) for label in content.labels}
    return {content.description.background_label: BACKGROUND_COLOR, **structures}


def histogram(scores: Iterable[float]) -> list[int]:
    """How many scores from 0 to 1 are in each tenth; 1 is in the last."""
    counts = Counter(min(max(int(score * BINS), 0), BINS - 1) for score in scores)
    return [counts[place] for place in range(BINS)]


@dataclass(frozen=True, kw_only=True)
class Strip:
    """The scores of one structure over the cases.

    Attributes:
        label: The structure.
        scores: Of the cases where it is not absent.
        median: Their median; None if there is none.
        absent: In how many cases it is absent.
    """

    label: Segment
    scores: tuple[float, ...]
    median: float | None
    absent: int

    @classmethod
    def of(cls, content: StudyContent, label: Segment) -> Strip:
        """The scores of a structure in a study."""
        scores = content.scores_of(label)
        return cls(
            label=label,
            scores=tuple(scores),
            median=median(scores) if scores else None,
            absent=content.absent_count(label),
        )


def _facts(content: StudyContent) -> list[tuple[str, str]]:
    """Names and values for the report's head."""
    description = content.description
    facts = [
        ("Study", content.paths.root.resolve().name),
        ("Support", ", ".join(content.support_names)),
        ("Weights", str(description.weights.get("name", ""))),
        ("Study made", _moment(description.created)),
        ("Report made", _moment(datetime.now(UTC).isoformat())),
        ("OneShotSeg", _version(description)),
    ]
    return [(name, text) for name, text in facts if text]


def _version(description: StudyDescription) -> str:
    """The version that made the study, and that of the report where it is another."""
    made_by = str(description.versions.get("OneShotSeg", ""))
    return f"{made_by}, report by {__version__}" if made_by and made_by != __version__ else __version__


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if moment.tzinfo else f"{moment:%Y-%m-%d %H:%M}"
