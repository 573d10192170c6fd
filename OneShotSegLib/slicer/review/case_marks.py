"""Which node of the scene belongs to which case of which study; noted on the nodes, and so in a saved scene."""

from __future__ import annotations

from typing import Any

from OneShotSegLib.slicer.mrml.display import SHOWN_ATTRIBUTE
from OneShotSegLib.study.layout import StudyPaths

STUDY_ATTRIBUTE = "OneShotSeg.Study"
LOADED_ATTRIBUTE = "OneShotSeg.LoadedByReview"


def mark(node: Any, study: StudyPaths, case: str) -> None:
    """Note on a node to which case of which study it belongs."""
    node.SetAttribute(SHOWN_ATTRIBUTE, case)
    node.SetAttribute(STUDY_ATTRIBUTE, str(study.root))


def nodes_of(scene: Any, class_name: str, study: StudyPaths) -> dict[str, Any]:
    """Case name to the node of a class, for the cases of a study that have one."""
    found = scene.GetNodesByClass(class_name)
    found.UnRegister(None)
    nodes = [found.GetItemAsObject(number) for number in range(found.GetNumberOfItems())]
    own = [node for node in nodes if node.GetAttribute(STUDY_ATTRIBUTE) == str(study.root)]
    return {node.GetAttribute(SHOWN_ATTRIBUTE): node for node in reversed(own)}
