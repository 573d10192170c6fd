"""The phantom cohort in Slicer's Sample Data module: made on this computer, nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.display import show_volume
from OneShotSegLib.slicer.mrml.segmentations import add_segmentation_node
from OneShotSegLib.slicer.mrml.volumes import add_volume_node

CATEGORY = "OneShotSeg"
COHORT_SIZE = 4
SAMPLE_NAME = "OneShotSegPhantoms"


def register(icons: Path, logic: Any = None) -> None:
    """Add the cohort to Sample Data.

    Args:
        icons: Folder with the thumbnail.
        logic: SampleData.SampleDataLogic.
    """
    if logic is None:
        import SampleData

        logic = SampleData.SampleDataLogic
    # Slicer 5.10 has no categories with a title of their own.
    if hasattr(logic, "registerCustomSampleDataCategory"):
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("OneShotSeg"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        uris="",
        fileNames="",
        nodeNames="",
        thumbnailFileName=str(icons / "OneShotSegPhantoms.png"),
        customDownloader=lambda source: load_cohort(),
    )


def load_cohort(count: int = COHORT_SIZE, coarseness: float = 1.0, scene: Any = None) -> list[Any]:
    """Make the phantoms and add them to the scene; the volume nodes, then the scribbles of the first.

    Args:
        count: How many.
        coarseness: Factor on the voxel size, for quick tests.
        scene: Slicer's own if it is None.
    """
    # Only now: Slicer starts faster without it.
    from OneShotSegLib.imaging.labelmaps import LabelMap
    from OneShotSegLib.phantom import BACKGROUND, make_patient, scribbles

    nodes = []
    strokes = None
    for number in range(count):
        patient = make_patient(number, coarseness=coarseness)
        node = add_volume_node(patient.ct, patient.name, scene)
        nodes.append(node)
        if strokes is None:
            label_map = LabelMap(scribbles(patient), (*patient.present, BACKGROUND))
            strokes = add_segmentation_node(label_map, f"{patient.name} scribbles", scene)
            strokes.SetReferenceImageGeometryParameterFromVolumeNode(node)
        _keep_alive()
    if scene is None or scene is slicer.mrmlScene:
        show_volume(nodes[0])
    return [*nodes, strokes]


def _keep_alive() -> None:
    """Let the window repaint between two phantoms."""
    app = getattr(slicer, "app", None)
    if app is not None:
        app.processEvents()
