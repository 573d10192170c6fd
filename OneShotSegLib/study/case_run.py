"""One case, from its CT to its files; whatever happens, it ends as a result or as one sentence why not."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from itertools import count

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import LabelMap, write_label_map
from OneShotSegLib.imaging.resampling import paint_points
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.pipeline import STEPS
from OneShotSegLib.steps.scribbles import Structures
from OneShotSegLib.study.case_state import begin, check_is_there, end, record_failure
from OneShotSegLib.study.engine import Engine
from OneShotSegLib.study.events import Listener
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from OneShotSegLib.study.notices import noticed
from OneShotSegLib.study.quality import CaseQuality, write_quality
from OneShotSegLib.study.segmented import Segmented


def run_case(engine: Engine, paths: StudyPaths, case: str, read: Callable[[], Volume], listener: Listener) -> bool:
    """Do one case, and tell a listener.

    Args:
        engine: Support and networks.
        paths: The study, whose folder must be there.
        case: The case's name.
        read: Gives the query.
        listener: Told "case_started", "step", "notice", and "case_done" or "case_failed".

    Returns:
        Whether it is done; if not, its failed.json says why.
    """
    return do_case(paths, case, lambda files: _segment(engine, files, read(), listener), listener)


def do_case(paths: StudyPaths, case: str, work: Callable[[CasePaths], CaseQuality], listener: Listener) -> bool:
    """Do a piece of work as one case of a study, and tell a listener; see `run_case`.

    Args:
        paths: The study, whose folder must be there.
        case: The case's name.
        work: Writes the case's results, its quality last.
        listener: Told how it goes.

    Returns:
        Whether it is done; if not, its failed.json says why.
    """
    listener("case_started", case=case)
    files = paths.case(case)
    started = time.perf_counter()
    try:
        begin(paths, files)
        with noticed(listener, case=case):
            quality = work(files)
    except InputError as error:
        return _failed(files, listener, str(error))
    except OSError as error:
        place = error.filename or files.folder
        return _failed(files, listener, f"{place}: {error.strerror or error}.", traceback.format_exc())
    except Exception as error:  # whatever it is, the other cases go on
        sentence = f"An unexpected error stopped this case ({type(error).__name__}: {error})."
        return _failed(files, listener, sentence, traceback.format_exc())
    finally:
        end(files)
    listener("case_done", **done_fields(quality), seconds=round(time.perf_counter() - started, 3))
    return True


def done_fields(quality: CaseQuality) -> dict[str, object]:
    """What the "case_done" event says of a result."""
    structures = {structure.name: structure.score for structure in quality.structures}
    return {"case": quality.case, "score": quality.score, "structures": structures}


def _segment(engine: Engine, files: CasePaths, ct: Volume, listener: Listener) -> CaseQuality:
    number, steps = count(), len(STEPS) * engine.voters + 1

    def on_step(step: str) -> None:
        listener("step", case=files.name, step=step, fraction=round(next(number) / steps, 3))

    segmented = engine.segment(files.name, ct, on_step)
    on_step("write")
    _write(engine.structures, segmented, ct, files)
    return segmented.quality


def _write(structures: Structures, segmented: Segmented, ct: Volume, files: CasePaths) -> None:
    check_is_there(files.study)
    write_label_map(LabelMap(segmented.mask, structures.foreground), files.pseudo_mask)
    kept = segmented.scribbles
    painted = ct.with_array(paint_points(ct, kept.positions, kept.labels))
    write_label_map(LabelMap(painted, (*structures.foreground, structures.background)), files.scribbles)
    check_is_there(files.study)
    write_quality(segmented.quality, files.quality)


def _failed(files: CasePaths, listener: Listener, sentence: str, details: str = "") -> bool:
    record_failure(files, sentence, details)
    listener("case_failed", case=files.name, error=sentence)
    return False
