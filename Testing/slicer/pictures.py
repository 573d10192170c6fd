"""Takes the pictures of the tutorial: the panel, 400 px wide, beside slice views that Slicer's own managers render.

    python Testing/slicer/pictures.py FOLDER [--dark]

Needs what the tests of the Slicer module need, and EGL. The masks are those of a propagation by the real command line.
"""

# ruff: noqa: E402  (the stand-in comes first)

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from standin import start

application = start()

import numpy as np
from driving import PANEL_WIDTH, Session
from PySide6 import QtCore, QtGui, QtWidgets
from slice_views import add_grey, four_up, three_over_three

from OneShotSegLib.slicer.jobs import dependencies
from OneShotSegLib.slicer.mrml.display import centre_on
from OneShotSegLib.slicer.mrml.geometry import to_ras_point
from OneShotSegLib.slicer.mrml.segmentations import label_map_from_node, reference_grid
from OneShotSegLib.slicer.sample_data import load_cohort

WIDTH, HEIGHT = 1600, 1080
AXES = (
    ((-1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    ((0, -1, 0), (0, 0, 1), (1, 0, 0)),
)
"""Axial, coronal, sagittal."""
SECONDS = 3000
MM_PER_PIXEL = 0.7
"""In the two rows."""
DARK = {
    "Window": "#323232",
    "WindowText": "#ffffff",
    "Base": "#1e1e1e",
    "AlternateBase": "#323232",
    "Text": "#ffffff",
    "PlaceholderText": "#c0c0c0",
    "Button": "#323232",
    "ButtonText": "#ffffff",
    "Light": "#828284",
    "Midlight": "#5a5a5b",
    "Dark": "#232323",
    "Mid": "#2b2b2b",
    "Shadow": "#141414",
    "Highlight": "#3ca4ff",
    "HighlightedText": "#ffffff",
    "Link": "#3ca4ff",
}
DISABLED = {"WindowText": "#6d6d6d", "Text": "#6d6d6d", "ButtonText": "#b4b4b4", "Highlight": "#505050"}
"""Slicer's dark theme (`qSlicerStyle::standardDarkPalette`)."""


def darken() -> None:
    """Have the application drawn in Slicer's dark theme."""
    palette = QtGui.QPalette()
    for role, color in DARK.items():
        palette.setColor(getattr(QtGui.QPalette.ColorRole, role), QtGui.QColor(color))
    for role, color in DISABLED.items():
        role_of = getattr(QtGui.QPalette.ColorRole, role)
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, role_of, QtGui.QColor(color))
    application.qt.setPalette(palette)


def turn(node: Any, axes: tuple[tuple[float, ...], ...]) -> None:
    """Give a slice node the directions that Slicer's layout gives it: the RAS axes to the right, up, and through."""
    matrix = node.GetSliceToRAS()
    for column, axis in enumerate(axes):
        for row, value in enumerate(axis):
            matrix.SetElement(row, column, value)
    node.UpdateMatrices()


def most_painted(segmentation: Any) -> tuple[float, float, float]:
    """The RAS position in the middle of the axial slice with the most painted voxels."""
    grid = reference_grid(segmentation)
    assert grid is not None
    array = label_map_from_node(segmentation, grid).volume.array
    kinds = [len(np.unique(plane)) for plane in array]
    z = int(np.argmax(kinds))
    y, x = (values.mean() for values in np.nonzero(array[z]))
    return to_ras_point(grid.to_world(np.array([z, y, x])))


class Pictures:
    """The session, and where its pictures go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.home = Path(tempfile.mkdtemp())
        self.session = Session(application, self.home / "settings")
        self.window = self.session.window
        # As Slicer's module panel: as high as the window, scrolled where there is more.
        self._area = QtWidgets.QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidget(self.window)
        self._area.resize(PANEL_WIDTH, HEIGHT)
        self._area.show()

    def take(self, name: str, below: Any = None) -> None:
        """Save the panel and the slice views; the panel scrolled to a widget."""
        self.session.settle()
        self._area.verticalScrollBar().setValue(0)
        if below is not None:
            self._area.ensureWidgetVisible(below, 0, 40)
        self.session.settle()
        size = (WIDTH - PANEL_WIDTH, HEIGHT)
        beside = self.session.panel.review.beside
        if beside is not None and beside.is_on:
            lower = [application._more_slices[name] for name in ("Red+", "Green+", "Yellow+")]
            views = three_over_three([*application._slices, *lower], size, MM_PER_PIXEL)
        else:
            views = four_up(application._slices, size)
        whole = QtGui.QImage(WIDTH, HEIGHT, QtGui.QImage.Format.Format_RGB888)
        whole.fill(QtGui.QColor("#3c3c3c"))
        painter = QtGui.QPainter(whole)
        painter.drawPixmap(0, 0, self._area.grab())
        depth = QtGui.QImage.Format.Format_RGB888
        painter.drawImage(
            PANEL_WIDTH, 0, QtGui.QImage(views.data, views.shape[1], views.shape[0], views.strides[0], depth)
        )
        painter.end()
        assert whole.save(str(self.folder / f"{name}.png"))
        print(f"{name}.png", flush=True)


def show_everything(pictures: Pictures) -> None:
    """Scribbles, a run, the review."""
    session, ui = pictures.session, pictures.session.ui
    add_grey(application.scene)
    for logic, axes in zip(application._slices, AXES, strict=True):
        turn(logic.GetSliceNode(), axes)
    nodes = load_cohort(4, coarseness=float(os.environ.get("COARSENESS", "1.3")))
    parameters, panel = session.parameters, session.panel
    parameters.support_volume, parameters.scribbles = nodes[0], nodes[-1]
    parameters.batch_volumes = nodes[1:-1]
    session.settle()
    ui.paintButton.click()
    session.until(
        lambda: panel.preview.node is not None and panel.preview.node.GetSegmentation().GetNumberOfSegments(), SECONDS
    )
    centre_on(application.scene, most_painted(nodes[-1]))
    pictures.take("0-scribbles")
    panel.context.editor.close()
    parameters.study_folder = str(pictures.home / "study")
    session.settle()
    ui.suggestButton.click()
    session.until(lambda: not panel.suggestions.busy, SECONDS)
    pictures.take("1-ready")
    ui.propagateButton.click()
    session.until(lambda: len(panel.controller.progress.done) > 1, SECONDS)
    pictures.take("2-running")
    session.until_idle(SECONDS)
    row = next(row for row in panel.review.session.rows if not row.is_support)
    panel.review.select(row.case)
    session.until(lambda: ui.acceptButton.enabled, SECONDS)
    ui.rejectStructureButton.click()
    pictures.take("3-review", ui.goOnButton)
    ui.editButton.click()
    pictures.take("4-correcting", ui.goOnButton)
    panel.review.stop_editing()
    ui.besideButton.click()
    session.until(lambda: panel.review.beside._is_there(), SECONDS)
    pictures.take("5-support-beside", ui.goOnButton)
    ui.besideButton.click()
    for button in (ui.reviewCollapsibleButton, ui.propagateCollapsibleButton):
        button.collapsed = True
    for button in (ui.trainCollapsibleButton, ui.deliverCollapsibleButton, ui.environmentCollapsibleButton):
        button.collapsed = False
    pictures.take("6-train-and-deliver")
    session.close()
    shutil.rmtree(pictures.home, ignore_errors=True)


if __name__ == "__main__":
    if "--dark" in sys.argv:
        darken()
    application.qt.setStyle("Fusion")
    dependencies.Dependencies.missing = lambda self: ()  # type: ignore[method-assign]
    show_everything(Pictures(Path(sys.argv[1])))
