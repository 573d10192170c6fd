"""What the slice views show of the case that is looked at."""

from __future__ import annotations

from typing import Any

from OneShotSegLib.slicer.mrml.display import ALL_VIEWS, centre_on, emphasise, show_only, show_volume

CLOSED_SURFACE = "Closed surface"


class CaseView:
    """Zoom, window and the other layers stay as the user set them: only the first case is fitted into the views.

    Attributes:
        with_surface: Whether masks are shown in the 3D views too.
    """

    def __init__(self) -> None:
        self.with_surface = False
        self._fitted = False

    def show(self, ct: Any, mask: Any) -> bool:
        """Show a case, and hide the masks of others; whether the mask's node changed by it."""
        show_volume(ct, fit=not self._fitted)
        self._fitted = True
        show_only(mask)
        return self.show_surface(mask)

    def show_surface(self, mask: Any) -> bool:
        """Make the surface of a mask, or remove it; whether anything was to be done.

        Removing one that is not there would make the node a changed one, which Slicer offers to save.
        """
        if bool(mask.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)) == self.with_surface:
            return False
        if self.with_surface:
            mask.CreateClosedSurfaceRepresentation()
            mask.GetDisplayNode().SetVisibility3D(True)
        else:
            mask.RemoveClosedSurfaceRepresentation()
        return True

    @staticmethod
    def look_at(
        mask: Any, structure: str, centre: tuple[float, float, float] | None, view_group: int = ALL_VIEWS
    ) -> None:
        """Centre a structure, and show the others faintly.

        Args:
            mask: The case's segmentation.
            structure: The structure's name.
            centre: A RAS position in it, mm; None if there is none.
            view_group: The views that are moved; all if it is left out.
        """
        emphasise(mask, structure)
        if centre is not None:
            centre_on(mask.GetScene(), centre, view_group)


def show_strokes(parameters: Any, shown: bool) -> None:
    """Show or hide the scribbles that are chosen in the panel.

    Args:
        parameters: The parameter node's wrapper; None while a scene closes.
        shown: Whether they are shown.
    """
    scribbles = parameters.scribbles if parameters is not None else None
    if scribbles is not None and scribbles.GetDisplayNode() is not None:
        scribbles.GetDisplayNode().SetVisibility(shown)
