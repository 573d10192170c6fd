"""What the panel remembers, saved with the scene."""

# No postponed annotations here: the wrapper reads the types.
import enum

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import parameterNodeWrapper

from OneShotSegLib.slicer.i18n import tr as _


class BatchSource(enum.Enum):
    """Where the queries come from."""

    SCENE = "scene"
    FOLDER = "folder"
    DICOM = "dicom"

    def label(self) -> str:
        """As the panel shows it."""
        labels = {
            "scene": _("Volumes of this scene"),
            "folder": _("A folder of CTs"),
            "dicom": _("DICOM database"),
        }
        return labels[self.value]


@parameterNodeWrapper
class OneShotSegParameterNode:
    """The panel's parameters.

    Attributes:
        support_volume: The CT with the scribbles.
        scribbles: The strokes.
        batch_source: Where the queries come from.
        batch_volumes: The queries, if they come from the scene.
        batch_folder: The folder with the queries, if they come from one.
        study_folder: Where results go.
        weights: Name or folder; '' for the shipped ones.
        device: auto, cpu, cuda:0.
    """

    support_volume: vtkMRMLScalarVolumeNode
    scribbles: vtkMRMLSegmentationNode
    batch_source: BatchSource = BatchSource.SCENE
    batch_volumes: list[vtkMRMLScalarVolumeNode]
    batch_folder: str = ""
    study_folder: str = ""
    weights: str = ""
    device: str = "auto"
