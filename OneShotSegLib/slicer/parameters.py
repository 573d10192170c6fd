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
        supportVolume: The CT that is scribbled on.
        scribbles: The strokes.
        batchSource: Where the queries come from.
        batchVolumes: The queries, if they come from the scene.
        batchFolder: The folder with the queries, if they come from one.
        studyFolder: Where results go.
        weights: Name or folder; '' for the shipped ones.
        device: auto, cpu, cuda:0.
    """

    supportVolume: vtkMRMLScalarVolumeNode
    scribbles: vtkMRMLSegmentationNode
    batchSource: BatchSource = BatchSource.SCENE
    batchVolumes: list[vtkMRMLScalarVolumeNode]
    batchFolder: str = ""
    studyFolder: str = ""
    weights: str = ""
    device: str = "auto"
