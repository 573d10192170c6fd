"""What a stroke did to a case's mask, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from OneShotSegLib.interface.i18n import tr as _


def regrowth_sentence(case: str, answer: Mapping[str, Any], step: int) -> str:
    """A sentence for the user.

    Args:
        case: The case's name.
        answer: Of the worker.
        step: 1 for a stroke, -1 for one that is taken back.
    """
    if not answer.get("changed_voxels"):
        return _("{case}: nothing changed, the mask agrees with the strokes already.").format(case=case)
    if step < 0:
        return _("{case}: the latest stroke is taken back.").format(case=case)
    changes = ", ".join(f"{name} {ml:+.2f} ml" for name, ml in answer.get("changed_ml", {}).items())
    return _("{case}: {changes}; saved as its correction. Undo takes it back.").format(case=case, changes=changes)
