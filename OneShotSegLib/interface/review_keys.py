"""The keys of the review: the same in the Slicer panel and in the page."""

from __future__ import annotations

REVIEW_KEYS = {
    "N": "next",
    "Shift+N": "previous",
    "A": "accept",
    "Shift+A": "accept",
    "X": "reject",
    "Shift+X": "reject",
    "C": "edit",
    "Shift+C": "edit",
    "R": "regrow",
    "Shift+R": "regrow",
    "U": "undo",
    "D": "next_structure",
    "Shift+D": "previous_structure",
    "Shift+U": "undo",
    "Alt+A": "accept_structure",
    "Alt+D": "doubt_structure",
    "Alt+X": "reject_structure",
}
"""Key to what it does. None of Slicer's own or of the Segment Editor's; two for what is done most, for where another
extension has one of them (SlicerNNInteractive has R): then Qt gives the key to neither."""
