"""The result for one CT, in memory: what a case's files in a study hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import LabelMap, name_key, write_label_map
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.study.case_state import check_is_there
from OneShotSegLib.study.layout import CasePaths
from OneShotSegLib.study.quality import CaseQuality, write_quality
from OneShotSegLib.study.shares import write_shares

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The structures found in one CT, and how far they can be trusted.

    Attributes:
        mask: Label map on the CT's own grid, without structures that are absent.
        quality: Measures without a reference; see `CaseQuality`.
        scribbles: The propagated scribbles that were kept, on the same grid, background stroke included; None where the
            result does not come from scribbles.
        soft: The mask with its voxels' shares, on the grid on which it grew; None where it did not grow.
    """

    mask: LabelMap
    quality: CaseQuality
    scribbles: LabelMap | None = None
    soft: SoftLabels | None = None

    @property
    def score(self) -> float:
        """The case's score, 0-1."""
        return self.quality.score

    @property
    def array(self) -> NDArray[Any]:
        """The label values, uint8, shape (D, H, W), [z, y, x]."""
        return self.mask.volume.array

    def of(self, structure: str) -> NDArray[Any]:
        """The mask of one structure, bool, shape (D, H, W).

        Args:
            structure: Its name, in any case of letters.

        Raises:
            InputError: If there is no structure of that name.
        """
        for segment in self.mask.segments:
            if segment.key == name_key(structure):
                found: NDArray[Any] = self.array == segment.value
                return found
        names = ", ".join(segment.name for segment in self.mask.segments)
        raise InputError(f"Expected a structure of {names}, found {structure!r}.")

    def to_sitk(self) -> sitk.Image:
        """The mask as a SimpleITK image of label values on the CT's own grid."""
        from OneShotSegLib.imaging.itk import to_itk

        return to_itk(self.mask.volume)

    def save(self, path: Path | str) -> Path:
        """Write the mask: ``.seg.nrrd`` keeps names and colours; NIfTI, NRRD and MetaImage hold the values alone.

        Returns:
            The file.

        Raises:
            InputError: If the suffix is none of these.
            OSError: If it cannot be written; the file appears whole or not at all.
        """
        write_label_map(self.mask, path)
        return Path(path)

    def write(self, files: CasePaths) -> None:
        """Write everything as a case of a study; the quality last, for it says that the case is done.

        Raises:
            OSError: If a file cannot be written.
        """
        write_label_map(self.mask, files.pseudo_mask)
        if self.scribbles is not None:
            write_label_map(self.scribbles, files.scribbles)
        if self.soft is not None:
            write_shares(self.soft, files.shares)
        else:
            files.shares.unlink(missing_ok=True)  # those of an earlier result are not this one's
        check_is_there(files.study)
        write_quality(self.quality, files.quality)
