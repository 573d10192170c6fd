"""One CT stored in many ways, right and wrong ones: what `inputs.py` runs the command line on."""

from __future__ import annotations

from dicom_value_variants import DICOM_VALUES
from dicom_variants import DICOM
from file_variants import FILES, file
from folder_variants import FOLDERS
from value_variants import VALUES
from variant import Variant


def variants() -> list[Variant]:
    """All of them; the first is the plainly stored case."""
    groups = (
        ("2 DICOM", DICOM),
        ("3 DICOM", DICOM_VALUES),
        ("2 Files", FILES),
        ("3 Intensities", VALUES),
        ("4 Inputs", FOLDERS),
    )
    found = [Variant(kind="2 Files: plain files", name="plain", write=file(".nii.gz"))]
    for group, entries in groups:
        for name, (kind, write, options) in entries.items():
            number = {"another region": "6 Region", "file names": "7 Surroundings"}.get(kind, group)
            found.append(
                Variant(kind=f"{number}: {kind}", name=f"{group[0]}{group[2:5].lower()}_{name}", write=write, **options)
            )
    return found
