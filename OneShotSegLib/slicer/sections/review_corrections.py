"""Correcting the case that is looked at, and what becomes of its correction."""

from __future__ import annotations

import functools

from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.display import emphasise
from OneShotSegLib.slicer.sections.context import guarded
from OneShotSegLib.slicer.sections.looked_at import LookedAt


class ReviewCorrections(LookedAt):
    """Correct, regrow, undo, discard; see `ReviewSection`."""

    @guarded
    def on_edit(self) -> None:
        """Open the editor on the case."""
        _session, _case_nodes, correcting, case = self._chosen()
        self._require_shown(case)
        correcting.edit(case, self._structure)

    @guarded
    def on_regrow(self) -> None:
        """Open the editor for strokes; once there are some, let the mask regrow around them."""
        _session, _case_nodes, correcting, case = self._chosen()
        if correcting.is_stroking:
            correcting.regrowing.regrow(case)
            return
        self._require_shown(case)
        correcting.stroke(case, self._structure)
        if self.beside is not None:
            self.beside.keep_to_case(correcting.regrowing.node)

    @guarded
    def on_discard(self) -> None:
        """Set the correction of the case aside: the pseudo mask counts again."""
        _session, _case_nodes, correcting, case = self._chosen()
        correcting.discard(case, functools.partial(self._discarded, case))

    def _discarded(self, case: str) -> None:
        self._refresh()
        if case == self.current:
            self.select(case)

    @guarded
    def on_undo(self) -> None:
        """Take back the latest stroke of this case; if there is none, the last decision, and show its case."""
        if self.regrowing is not None and self.regrowing.busy:
            return
        if self.correcting is not None and self._can_undo_stroke():
            self.correcting.undo(self.current)
        elif self.session is not None:
            self.select(self.session.undo() or self.current)

    def _on_saved(self, case: str) -> None:
        self._refresh()
        if self.session is not None and self.session.study.case(case).edited_mask.is_file():
            text = _("{case}: the correction is saved.")
        else:
            text = _("{case}: the mask is as it was found; there is no correction any more.")
        self.context.messages.show(text.format(case=case))

    def _on_regrown(self, case: str, text: str) -> None:
        self._refresh()
        if case == self.current and self.case_nodes is not None and self.case_nodes.mask_node(case) is not None:
            emphasise(self.case_nodes.mask_node(case), self._structure)
        self.context.messages.show(text)
