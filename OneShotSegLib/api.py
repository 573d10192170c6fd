"""The Python interface: a few calls and classes, all of them re-exported by ``OneShotSegLib``.

Everything else in the package is private: it may change without notice.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation import Evaluation
from OneShotSegLib.evaluation import evaluate as _evaluate
from OneShotSegLib.events import Emit, ignore_events
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.grids import check_grid
from OneShotSegLib.imaging.input_search import search
from OneShotSegLib.imaging.itk import from_itk
from OneShotSegLib.imaging.labelmaps import LabelMap, label_map_of, read_label_map
from OneShotSegLib.imaging.rtstruct import read_labels_of
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.method.scribbles import on_support
from OneShotSegLib.method.settings import Method
from OneShotSegLib.method.support import ScribbledCT
from OneShotSegLib.networks.device import choose_device
from OneShotSegLib.networks.weights_selection import choose_weights
from OneShotSegLib.runner.batch import BatchResult
from OneShotSegLib.runner.methods import method_named
from OneShotSegLib.runner.propagation import propagate_batch as _propagate_batch
from OneShotSegLib.runner.regrowth import regrow_case
from OneShotSegLib.runner.request import NONE, REVIEWED, PropagationRequest
from OneShotSegLib.runner.support_advice import SuggestedSupport
from OneShotSegLib.runner.support_advice import suggest_support as _suggest_support
from OneShotSegLib.runner.taking_back import take_back as _take_back
from OneShotSegLib.study.description import StudyCase, StudyDescription, name_cases
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import StudyResult, read_mask, study_results
from OneShotSegLib.study.review import ReviewLedger
from OneShotSegLib.study.revisions import Revision
from OneShotSegLib.study.segmentation import Segmentation
from OneShotSegLib.timer import OnStep, ignore_steps
from OneShotSegLib.troubles import file_sentence

log = logging.getLogger(__name__)

AnyPath = str | os.PathLike[str]


class CaseOfBatch(NamedTuple):
    """One case of `OneShotSegmenter.segment_batch`.

    Attributes:
        case: Its name.
        ct: Where its CT lies.
        segmentation: What was found; None if the case failed.
        error: Why it failed, in one sentence; '' if it did not.
    """

    case: str
    ct: Path
    segmentation: Segmentation | None
    error: str = ""


class OneShotSegmenter:
    """Segments CTs after one scribbled support CT or several; loads networks and supports once.

    Args:
        supports: ``(ct, scribbles)`` for one support, or a sequence of such pairs. A CT is a path, a `Volume` or a
            SimpleITK image, in HU; scribbles are a path, a `LabelMap`, a label array of the CT's shape [z, y, x] in
            the form of a `Volume`, or a SimpleITK image. The segment named "Background" is the background stroke.
        weights: Name of shipped weights, their folder, or "auto" for the shipped ones that know the scan best.
        device: "auto", "cpu", "cuda" or "cuda:N".
        method: "default", "paper", or settings of your own.
        background_label: Value of the background stroke where no segment is named so.

    Raises:
        InputError: If anything of this cannot be used; one sentence says what was expected and what was found.
    """

    def __init__(
        self,
        supports: tuple[Any, Any] | Sequence[tuple[Any, Any]],
        *,
        weights: AnyPath = "auto",
        device: str = "auto",
        method: str | Method = "default",
        background_label: int | None = None,
    ) -> None:
        pairs = [_support(ct, scribbles, background_label) for ct, scribbles in _pairs(supports)]
        where, settings = choose_device(device), method_named(method)
        folder = choose_weights(os.fspath(weights), pairs[0].ct, where, settings.registration.enabled)
        self._engine = Engine(pairs, folder, settings, where)

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of the structures, in the order of their label values in the scribbles."""
        return tuple(segment.name for segment in self._engine.structures.foreground)

    def segment(self, ct: Any, *, case: str = "", on_step: OnStep = ignore_steps) -> Segmentation:
        """Segment one CT.

        Args:
            ct: A path, a `Volume` or a SimpleITK image, in HU.
            case: Name of the case in the result; by default that of the file.
            on_step: Called with each step's name as it begins.

        Raises:
            InputError: If it cannot be a CT, or shows another part of the body.
        """
        return self._engine.segment(case or _name_of(ct), _ct(ct), on_step)

    def segment_batch(self, cts: AnyPath | Iterable[AnyPath]) -> Iterator[CaseOfBatch]:
        """Segment many CTs, one after another, each as it is asked for; a case that fails does not end the others.

        Args:
            cts: Files, DICOM folders, or folders of them; one or several. What is not used of them is logged.

        Raises:
            InputError: If a path is not there, or a folder holds no CT.
        """
        found = search(_paths(cts))
        for left_out in found.left_out:
            log.warning("Not used: %s.", left_out)
        for entry in name_cases(found.cts):
            path = Path(entry.source)
            try:
                yield CaseOfBatch(entry.case, path, self.segment(path, case=entry.case))
            except InputError as error:
                yield CaseOfBatch(entry.case, path, None, str(error))
            except OSError as error:  # a share that went away: the other cases may be there
                yield CaseOfBatch(entry.case, path, None, file_sentence(error, path))


def propagate(
    support: Any,
    scribbles: Any,
    query: Any,
    *,
    weights: AnyPath = "auto",
    device: str = "auto",
    method: str | Method = "default",
    background_label: int | None = None,
    on_step: OnStep = ignore_steps,
) -> Segmentation:
    """Propagate the scribbles of one CT to another and grow them into masks.

    For more than one query, make a `OneShotSegmenter` once, or keep a study with `propagate_batch`.

    Args:
        support: The scribbled CT: a path, a `Volume` or a SimpleITK image, in HU.
        scribbles: Its scribbles; see `OneShotSegmenter`.
        query: The CT to segment, like ``support``.
        weights: Name of shipped weights, their folder, or "auto".
        device: "auto", "cpu", "cuda" or "cuda:N".
        method: "default", "paper", or settings of your own.
        background_label: Value of the background stroke where no segment is named so.
        on_step: Called with each step's name as it begins.

    Raises:
        InputError: If anything of this cannot be used.
    """
    segmenter = OneShotSegmenter(
        (support, scribbles), weights=weights, device=device, method=method, background_label=background_label
    )
    return segmenter.segment(query, on_step=on_step)


def propagate_batch(
    *,
    supports: Sequence[tuple[AnyPath, AnyPath]] | tuple[AnyPath, AnyPath],
    queries: AnyPath | Iterable[AnyPath],
    output: AnyPath,
    reviewed: str | Iterable[str] = REVIEWED,
    on_event: Emit = ignore_events,
    **options: Any,
) -> BatchResult:
    """Propagate to a whole batch and keep the results in a study folder, as ``oneshotseg propagate`` does.

    Cases that are done already are left as they are, so that a run that was cut off goes on. If supports, strokes,
    settings or weights are other ones than the study's, or cases were reviewed since, the study becomes a new revision:
    the cases that nobody decided on are recomputed, and `Study.take_back` returns to the revision before.

    Args:
        supports: ``(ct, scribbles)`` for one support, or a sequence of such pairs; all are paths.
        queries: CTs, or folders of them.
        output: The study folder.
        reviewed: Which accepted and corrected cases of the study are supports too, with their whole masks: "reviewed"
            for all of them, "none", or names of cases.
        on_event: Told how it goes on, event by event; see `OneShotSegLib.events`.
        options: More of `PropagationRequest`: weights, device, method, background_label, retry_failed, workers,
            scheduler, series, support_cases, network.

    Raises:
        InputError: If anything of this cannot be used; then nothing was written.
        OSError: If the study folder cannot be written to.
    """
    pairs = _pairs(supports)
    request = PropagationRequest(
        supports=[Path(ct) for ct, _ in pairs],
        scribbles=[Path(scribbles) for _, scribbles in pairs],
        queries=_paths(queries),
        output=Path(output),
        reviewed=reviewed if isinstance(reviewed, str) else ",".join(reviewed) or NONE,
        **options,
    )
    return _propagate_batch(request, on_event)


def suggest_support(
    cts: AnyPath | Iterable[AnyPath], *, series: Sequence[str] = (), on_event: Emit = ignore_events
) -> tuple[SuggestedSupport, ...]:
    """Say which CT of a batch would be the best one to scribble, as ``oneshotseg suggest-support`` does.

    Needs no labels and no network. Time and memory grow with the number of CTs alone.

    Args:
        cts: Files, DICOM folders, or folders of them; one or several.
        series: Which series to take of a folder that holds several CT series: each a UID, or a part of a description.
        on_event: Told how it goes on, event by event; see `OneShotSegLib.events`.

    Returns:
        The best first, outliers after the others; those that could not be read come last, with rank 0 and the reason.

    Raises:
        InputError: If a path is not there, or nothing is a CT.
    """
    return _suggest_support(_paths(cts), series, on_event)


def regrow(study: AnyPath | Study, case: str, strokes: Any, *, replace: bool = False, reopen: bool = False) -> LabelMap:
    """Let the mask of a case regrow from strokes painted in it, as ``oneshotseg regrow`` does.

    The result is the case's correction (``edited.seg.nrrd``), still to be accepted; nothing farther than 40 mm from a
    new stroke changes. The same strokes again change nothing.

    Args:
        study: The study, or its folder.
        case: The case's name.
        strokes: A path, a `LabelMap`, a `Volume` of label values or a SimpleITK image, on the CT's grid or a part of
            it: what is missing painted as its structure, what is too much as "Background", or as what it is. Segments
            are matched by name, maps without names by the study's values.
        replace: Let them take the place of all strokes that the case has, instead of adding to them.
        reopen: Open the case again if it is accepted, corrected or rejected.

    Returns:
        The mask, on the CT's own grid.

    Raises:
        InputError: If there is no such case, it is decided or has no mask, or the strokes cannot be used; then nothing
            was written.
        OSError: If it could not be written.
    """
    paths = study.paths if isinstance(study, Study) else StudyPaths(Path(study))
    is_file = isinstance(strokes, str | os.PathLike)
    source = Path(strokes) if is_file else Path("strokes")
    labels = None if is_file else _label_map(strokes)
    return regrow_case(paths, case, labels, source, replace=replace, reopen=reopen).mask


def evaluate(
    predictions: AnyPath, *, reference: AnyPath, edited: bool = False, skip_uncontoured: bool = False
) -> Evaluation:
    """Compare the masks of a study, or a folder of label maps, with references of the same case names.

    Args:
        predictions: A study, or a folder of label maps.
        reference: Folder of label maps: ``<case>.nii.gz`` (any suffix) or ``<case>/seg.nii.gz``.
        edited: In a study, evaluate the masks that count after the review.
        skip_uncontoured: Leave out a structure that a reference does not have, instead of counting a false positive.

    Raises:
        InputError: If a folder or file is missing or broken, or no case is in both.
    """
    return _evaluate(Path(reference), Path(predictions), edited, skip_uncontoured)


class Study:
    """A study folder: its cases, their results and the decisions of its review.

    Args:
        path: The folder.

    Raises:
        InputError: If it is no study that this version can read.
    """

    def __init__(self, path: AnyPath) -> None:
        self.paths = StudyPaths(Path(path))
        self._description = StudyDescription.read(self.paths)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.paths.root

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of the structures, in the label table's order."""
        return tuple(segment.name for segment in self._description.structures)

    @property
    def cases(self) -> tuple[StudyCase, ...]:
        """All cases, done or not, each with its name and where its CT lies."""
        return self._description.cases

    @property
    def revision(self) -> int:
        """Number of the present revision."""
        return self._description.revision

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """What results were computed from, by ascending number; each result's quality says which one it is of.

        A revision has ``number``, ``created``, ``before``, ``supports``, ``labels``, ``background_label``, ``settings``
        and ``weights`` (see the study format), and ``changes_from(other)``, which says in phrases what is different.
        """
        return self._description.revisions

    def take_back(self) -> str:
        """Return to the revision before the present one; the results that the present one replaced come back.

        Cases that were decided since stay as they are.

        Returns:
            What came of it, in one sentence.

        Raises:
            InputError: If the present revision is the first, or a run is at work on the study.
            OSError: If something cannot be written; called again, it goes on.
        """
        done = _take_back(self.paths)
        self._description = StudyDescription.read(self.paths)
        return done.text

    def results(self) -> Mapping[str, StudyResult]:
        """The cases that have a mask, by name: the mask that counts, the decision, the measures.

        Raises:
            InputError: If a file of the study is broken.
        """
        return {result.case: result for result in study_results(self.paths)}

    def mask(self, case: str) -> LabelMap:
        """The mask that counts for a case: the corrected one where there is one, else the pseudo mask.

        Its segments are the study's structures, matched by name; what was not matched is logged as a warning.

        Raises:
            InputError: If there is no such case, it has no mask, or its names are none of the study's.
        """
        results = self.results()
        if case not in results:
            raise InputError(f"{case}: expected a case with a mask ({', '.join(results) or 'none'}), found none.")
        found = read_mask(results[case].mask, self._description.structures)
        for note in found.notes:
            log.warning("%s: %s", case, note)
        return found.labels

    def review(self) -> ReviewLedger:
        """The decisions; `ReviewLedger.decide` and `ReviewLedger.save` make new ones.

        Raises:
            InputError: If the ledger is broken.
        """
        return ReviewLedger.load(self.paths.review)

    def __repr__(self) -> str:
        return f"Study({str(self.path)!r}): {len(self.cases)} cases of {', '.join(self.structures)}"


def _paths(names: AnyPath | Iterable[AnyPath]) -> list[Path]:
    """One path or several, as a list."""
    return [Path(name) for name in ([names] if isinstance(names, str | os.PathLike) else names)]


def _pairs(supports: Any) -> list[tuple[Any, Any]]:
    """One pair or several, as a list of pairs."""
    if isinstance(supports, tuple) and len(supports) == 2 and not isinstance(supports[0], tuple | list):
        return [supports]
    pairs = list(supports) if isinstance(supports, Iterable) else []
    if not pairs or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise InputError("Expected supports as (ct, scribbles), or several such pairs, found something else.")
    return [(ct, scribbles) for ct, scribbles in pairs]


def _support(ct: Any, scribbles: Any, background_label: int | None) -> ScribbledCT:
    volume = _ct(ct)
    if all(isinstance(entry, str | os.PathLike) for entry in (ct, scribbles)):
        labels = read_labels_of(Path(scribbles), Path(ct), volume)
    else:
        labels = _label_map(scribbles)
    return ScribbledCT(volume, on_support(labels, volume).with_background(background_label))


def _ct(image: Any) -> Volume:
    """A CT in any form as a volume in LPS."""
    if isinstance(image, Volume):
        return image
    if isinstance(image, str | os.PathLike):
        return read_volume(Path(image))
    return _from_itk(image)


def _label_map(scribbles: Any) -> LabelMap:
    if isinstance(scribbles, LabelMap):
        return scribbles
    if isinstance(scribbles, str | os.PathLike):
        return read_label_map(Path(scribbles))
    return label_map_of(scribbles if isinstance(scribbles, Volume) else _from_itk(scribbles))


def _from_itk(image: Any) -> Volume:
    import SimpleITK as sitk  # noqa: N813

    if not isinstance(image, sitk.Image):
        raise InputError(f"Expected a path, a Volume or a SimpleITK image, found {type(image).__name__}.")
    if image.GetDimension() != 3:
        raise InputError(f"Expected an image of 3 dimensions, found one of {image.GetDimension()}.")
    volume = from_itk(image)
    check_grid("The image", volume.spacing, volume.origin, volume.direction)
    return volume


def _name_of(ct: Any) -> str:
    return name_cases([Path(ct)])[0].case if isinstance(ct, str | os.PathLike) else "case"
