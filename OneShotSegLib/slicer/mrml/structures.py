"""Names, terminology and colours of structures: from Slicer's own anatomy list where it has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

from OneShotSegLib.imaging.labelmaps import PALETTE, Color, Segment
from OneShotSegLib.imaging.segment_tags import TERMINOLOGY_TAG

ANATOMY_LIST = "3D Slicer General Anatomy list"
UNSPECIFIED_RGB = (127, 127, 127)


@dataclass(frozen=True)
class Term:
    """An entry of a terminology.

    Attributes:
        name: As shown to the user.
        color: RGB, 0-1.
        code: The serialised terminology entry.
    """

    name: str
    color: Color
    code: str


class StructureCatalog:
    """Finds terms by name; read from Slicer's terminologies at first use.

    Args:
        logic: vtkSlicerTerminologiesModuleLogic; None where Slicer has none loaded.
    """

    def __init__(self, logic: Any = None) -> None:
        self._logic = logic
        self._terms: dict[str, Term] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(term.name for term in self._known().values()))

    def describe(self, name: str, value: int) -> Segment:
        """A segment of this name: with terminology and colour if the name is known, else a colour of the palette."""
        term = self._known().get(name.strip().casefold())
        if term is None:
            return Segment(value=value, name=name.strip(), color=PALETTE[(value - 1) % len(PALETTE)])
        return Segment(value=value, name=name.strip(), color=term.color, tags=f"{TERMINOLOGY_TAG}:{term.code}|")

    def _known(self) -> dict[str, Term]:
        if self._terms is None:
            self._terms = {term.name.casefold(): term for term in self._read()}
        return self._terms

    def _read(self) -> Iterator[Term]:
        if self._logic is None:
            return
        names = vtk.vtkStringArray()
        self._logic.GetLoadedTerminologyNames(names)
        loaded = [names.GetValue(number) for number in range(names.GetNumberOfValues())]
        for context in [name for name in loaded if ANATOMY_LIST in name]:
            for number in range(self._logic.GetNumberOfCategoriesInTerminology(context)):
                category = slicer.vtkSlicerTerminologyCategory()
                self._logic.GetNthCategoryInTerminology(context, number, category)
                yield from self._types(context, category)

    def _types(self, context: str, category: Any) -> Iterator[Term]:
        for number in range(self._logic.GetNumberOfTypesInTerminologyCategory(context, category)):
            kind = slicer.vtkSlicerTerminologyType()
            self._logic.GetNthTypeInTerminologyCategory(context, category, number, kind)
            yield self._term(context, category, kind, None)
            # Asking for the modifiers of a type that has none is an error in Slicer's log.
            count = (
                self._logic.GetNumberOfTypeModifiersInTerminologyType(context, category, kind)
                if kind.GetHasModifiers()
                else 0
            )
            for index in range(count):
                modifier = slicer.vtkSlicerTerminologyType()
                self._logic.GetNthTypeModifierInTerminologyType(context, category, kind, index, modifier)
                yield self._term(context, category, kind, modifier)

    def _term(self, context: str, category: Any, kind: Any, modifier: Any) -> Term:
        entry = slicer.vtkSlicerTerminologyEntry()
        entry.SetTerminologyContextName(context)
        entry.GetCategoryObject().Copy(category)
        entry.GetTypeObject().Copy(kind)
        name = kind.GetCodeMeaning()
        color = kind.GetRecommendedDisplayRGBValue()
        if modifier is not None:
            entry.GetTypeModifierObject().Copy(modifier)
            name = f"{modifier.GetCodeMeaning()} {name}"
            own = modifier.GetRecommendedDisplayRGBValue()
            color = color if tuple(own) == UNSPECIFIED_RGB else own
        red, green, blue = (part / 255 for part in color)
        return Term(name, (red, green, blue), self._logic.SerializeTerminologyEntry(entry))
