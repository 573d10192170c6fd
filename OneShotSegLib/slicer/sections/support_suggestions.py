"""Which CT to scribble: the line under the support, from a child process that compares the CTs of the batch."""

from __future__ import annotations

import functools
import html
import shutil
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

import slicer

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Event
from OneShotSegLib.interface.jobs.commands import suggest_support
from OneShotSegLib.interface.jobs.inputs import Export, export_series
from OneShotSegLib.interface.jobs.worker import JobOutcome, Worker
from OneShotSegLib.interface.support_suggestion import SupportSuggestion
from OneShotSegLib.slicer import dicom_database
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.messages import STYLES
from OneShotSegLib.slicer.parameters import BatchSource
from OneShotSegLib.slicer.sections.context import PanelContext, guarded
from OneShotSegLib.slicer.sections.scene_inputs import export_volume, unchanged_file
from OneShotSegLib.study.naming import unique_names

USE = "use"
FEWEST = 2
LINK_ON_LIGHT = "#124a8c"


class SupportSuggestions:
    """The button, and the line.

    Args:
        context: The panel's.
        worker: Runs the comparison.
    """

    def __init__(self, context: PanelContext, worker: Worker) -> None:
        self.context, self._worker = context, worker
        self._found: SupportSuggestion | None = None
        self._nodes: dict[Path, Any] = {}
        self._asked: tuple[str, ...] = ()
        self._exports: deque[Export] = deque()
        self._files: list[Path] = []
        self._folder: Path | None = None
        self._generation = 0
        self._busy = False
        context.ui.suggestButton.connect("clicked(bool)", self.on_suggest)
        context.ui.suggestLabel.connect("linkActivated(QString)", self._on_link)
        self.show()

    @property
    def busy(self) -> bool:
        """Whether CTs are being compared."""
        return self._busy

    @guarded
    def on_suggest(self) -> None:
        """Compare the CTs that are chosen; pressed meanwhile it stops."""
        if self._busy:
            self.stop()
            return
        self.context.require_idle()
        self.context.messages.clear()
        if not self.context.ensure_ready():
            raise InputError(_("The packages that are needed are not installed: press Install under Environment."))
        self._begin()

    def _begin(self) -> None:
        self._nodes, self._files, self._found = {}, [], None
        self._folder = Path(tempfile.mkdtemp(prefix="OneShotSeg-"))
        try:
            self._plan(self._folder)
        except InputError:
            self._remove_files()
            raise
        self._asked, self._busy = self._inputs(), True
        self._generation += 1
        self.show()
        self._write_next(self._generation)

    def _plan(self, folder: Path) -> None:
        """Which files are compared; those of them that are to be made first.

        Raises:
            InputError: If there is nothing to compare.
        """
        parameters, source = self.context.parameters, self.context.parameters.batch_source
        nodes = [parameters.support_volume]
        if source is BatchSource.SCENE:
            nodes += list(parameters.batch_volumes)
        elif source is BatchSource.FOLDER:
            if not Path(parameters.batch_folder.strip() or "/").is_dir() or not parameters.batch_folder.strip():
                raise InputError(_("Choose the folder with the CTs first."))
            self._files.append(Path(parameters.batch_folder.strip()).expanduser())
        else:
            series, _others = dicom_database.selected_series()
            names = dicom_database.series_names(series)
            self._exports = deque(export_series(n, files, folder) for files, n in zip(series, names, strict=True))
        nodes = [node for node in nodes if node is not None]
        for node, name in zip(nodes, unique_names(node.GetName() for node in nodes), strict=True):
            path = unchanged_file(node)
            if path is None:
                self._exports.append(export_volume(node, folder / name))
                path = self._exports[-1].path
            else:
                self._files.append(path)
            self._nodes[path] = node
        self._files += [export.path for export in self._exports]
        if source is not BatchSource.FOLDER and len(self._files) < FEWEST:
            raise InputError(_("Choose at least two CTs under Batch: they are compared with each other."))

    def _inputs(self) -> tuple[str, ...]:
        """What is compared: another choice makes what was said of it out of date."""
        parameters = self.context.parameters
        if parameters is None:
            return ()
        source = parameters.batch_source
        nodes = {node.GetID() for node in (parameters.support_volume, *parameters.batch_volumes) if node is not None}
        scene = sorted(nodes) if source is BatchSource.SCENE else []
        return (source.value, parameters.batch_folder if source is BatchSource.FOLDER else "", *scene)

    def _write_next(self, generation: int) -> None:
        """One file after the other; then the comparison."""
        if generation != self._generation:
            return
        if not self._exports:
            self._worker.start(suggest_support(self._files), self)
            return
        export = self._exports.popleft()
        try:
            write = export.prepare()
        except InputError as error:
            self._not_written(generation, error)
            return
        self.context.background.run(
            write, lambda _none: self._write_next(generation), functools.partial(self._not_written, generation)
        )

    def _not_written(self, generation: int, error: Exception) -> None:
        if generation == self._generation:
            self._end(None)
            self.context.messages.error(str(error))

    def stop(self) -> None:
        """Give up what is compared; a run needs the processors more."""
        if self._busy:
            self._generation += 1
            self._worker.stop_now(0.0)
            self._end(None)

    def close(self) -> None:
        """The scene or the panel is closed: stop, and forget what was said."""
        self._generation += 1
        self._worker.stop_now()
        self._nodes = {}
        self._end(None)

    def poll(self) -> None:
        """Move on; returns at once."""
        if self._busy:
            self._worker.poll()

    def on_event(self, event: Event) -> None:
        """The child says something."""
        self._found = self._found or SupportSuggestion()
        self._found.take(event)
        self.show()

    def on_log(self, line: str) -> None:
        """A line of the child."""
        self.context.messages.log(line)

    def on_end(self, outcome: JobOutcome) -> None:
        """The child is gone."""
        found = self._found if self._found is not None and self._found.finished else None
        self._end(found)
        if found is None and not outcome.cancelled:
            self.context.messages.error(outcome.message)

    def _end(self, found: SupportSuggestion | None) -> None:
        self._busy, self._found = False, found
        self._exports.clear()
        self._remove_files()
        self.show()

    def _remove_files(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def update(self) -> None:
        """Follow the parameter node: what was said holds for the CTs that were compared."""
        if self._found is not None and not self._busy and self._inputs() != self._asked:
            self._found = None
        self.show()

    def lock(self, locked: bool) -> None:
        """Set whether a run is under way."""
        if locked:
            self.stop()
        self.context.ui.suggestButton.enabled = not locked

    def show(self) -> None:
        """Show the button and the line as they are."""
        ui = self.context.ui
        ui.suggestButton.text = _("Cancel") if self._busy else _("Suggest")
        lines, style = self._lines()
        ui.suggestLabel.setVisible(bool(lines))
        ui.suggestLabel.text = "<br>".join(lines)
        ui.suggestLabel.setStyleSheet(STYLES[style])

    def _lines(self) -> tuple[list[str], str]:
        if self._busy:
            return [html.escape((self._found or SupportSuggestion()).describe_progress())], "plain"
        if self._found is None:
            return [], "plain"
        support = self.context.parameters.support_volume if self.context.parameters else None
        chosen = next((path for path, node in self._nodes.items() if node is support), None)
        names = {path: node.GetName() for path, node in self._nodes.items()}
        lines = [html.escape(line) for line in self._found.describe(names, chosen)]
        own, best = self._found.of(chosen) if chosen is not None else None, self._found.best
        style = "warning" if own is not None and own.outlier else "success" if best is own else "plain"
        if best is not None and best is not own and self._can_be_used(best.ct):
            # The links of a dark theme cannot be read on a light ground.
            color = f' style="color: {LINK_ON_LIGHT}"' if style != "plain" else ""
            lines.append(f'<a href="{USE}"{color}>{html.escape(_("Take it as the support"))}</a>')
        return lines, style

    def _can_be_used(self, ct: Path) -> bool:
        node = self._nodes.get(ct)
        return (node is not None and node.GetScene() is not None) or ct.is_file()

    def _on_link(self, _link: str) -> None:
        self.on_use()

    @guarded
    def on_use(self) -> None:
        """Take the best CT as the support; the one before becomes a query. A file is opened first."""
        found = self._found
        best = found.best if found is not None else None
        if best is None:
            return
        parameters = self.context.parameters
        node, before = self._nodes.get(best.ct), parameters.support_volume
        if node is None:
            try:
                node = slicer.util.loadVolume(str(best.ct))
            except RuntimeError as error:
                raise InputError(_("{path}: it could not be opened.").format(path=best.ct)) from error
            self._nodes[best.ct] = node
        queries = [volume for volume in parameters.batch_volumes if volume is not None and volume is not node]
        if parameters.batch_source is BatchSource.SCENE:
            parameters.batch_volumes = [*queries, *([before] if before is not None else [])]
        parameters.support_volume = node
        # The same CTs are chosen as before, but not in between.
        self._found, self._asked = found, self._inputs()
        self.show()
        slicer.util.setSliceViewerLayers(background=node, fit=True)
