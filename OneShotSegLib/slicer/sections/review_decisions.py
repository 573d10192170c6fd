"""What is decided on the case that is looked at, and on its structures."""

from __future__ import annotations

from collections.abc import Callable

from OneShotSegLib.errors import InputError
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.sections.context import guarded
from OneShotSegLib.slicer.sections.looked_at import LookedAt
from OneShotSegLib.study.review import StructureDecision


class ReviewDecisions(LookedAt):
    """Accept, reject, comment; see `ReviewSection`."""

    @guarded
    def on_accept(self) -> None:
        """Accept the case, its correction if there is one, and go to the next open one."""
        self._keep_comment()
        session, case_nodes, correcting, case = self._chosen()
        self._require_shown(case)
        # The correction is on disk before the decision that it counts.
        correcting.regrowing.after(
            lambda: case_nodes.corrections.save(case, lambda: self._decide(session.accept, case))
        )

    @guarded
    def on_reject(self) -> None:
        """Reject the case and go to the next open one."""
        self._keep_comment()
        session, _case_nodes, _correcting, case = self._chosen()
        if self._unreadable != case:
            self._require_shown(case)
        self._decide(session.reject, case)

    def _decide(self, decide: Callable[[str], tuple[str, ...]], case: str) -> None:
        try:
            if self.session is not None:
                self.session.refresh()
            sentences = decide(case)
        except InputError as error:
            self.context.messages.error(str(error))
            return
        if self.session is None:
            return
        following = self.session.next_open(case)
        if following:
            self.select(following)
        else:
            self.stop_editing()
            self.update()
            self.context.messages.success(_("All cases are reviewed."))
        for sentence in sentences:
            self.context.messages.warning(sentence)

    @guarded
    def on_accept_structure(self) -> None:
        """Accept the structure that is looked at, and go to the next one of which nothing was decided."""
        self._decide_structure("accepted")

    @guarded
    def on_doubt_structure(self) -> None:
        """Be in doubt of it: the case is no support for it."""
        self._decide_structure("doubtful")

    @guarded
    def on_reject_structure(self) -> None:
        """Reject it: it is used nowhere, whatever is decided of the case."""
        self._decide_structure("rejected")

    def _decide_structure(self, decision: StructureDecision) -> None:
        session, _case_nodes, _correcting, case = self._chosen()
        self._require_shown(case)
        name = self._structure
        decided = {one.name: one.decision for one in session.row(case).details}
        if name not in decided:
            raise InputError(_("Choose a structure in the list first."))
        # The same once more takes it back.
        notes = session.decide_structure(case, name, None if decided[name] == decision else decision)
        self.update()
        following = session.row(case).undecided
        if following and decided[name] != decision:
            self._look_at(following[0])
        elif not following:
            self.context.messages.show(
                _("{case}: all structures are decided; Accept (A) takes those that are not rejected.").format(case=case)
            )
        for note in notes:
            self.context.messages.warning(note)

    @guarded
    def on_comment(self) -> None:
        """Keep the reviewer's comment."""
        if self._keep_comment():
            self.update()
