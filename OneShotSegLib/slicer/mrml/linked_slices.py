"""Pairs of slice views that show two patients: each follows the other to the place that corresponds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Point = tuple[float, float, float]
Move = Callable[[Point], Point]


def slice_node(scene: Any, name: str) -> Any:
    """The slice node of a view of Slicer's layouts; None if there is none."""
    return scene.GetSingletonNode(name, "vtkMRMLSliceNode")


def composite_node(scene: Any, name: str) -> Any:
    """What a slice view of this name shows; None if there is none."""
    kind = "vtkMRMLSliceCompositeNode"
    nodes = (scene.GetNthNodeByClass(number, kind) for number in range(scene.GetNumberOfNodesByClass(kind)))
    return next((node for node in nodes if node.GetLayoutName() == name), None)


def view_centre(node: Any) -> Point:
    """The RAS position in the middle of a slice view, mm."""
    width, height, _depth = node.GetDimensions()
    x, y, z, _one = node.GetXYToRAS().MultiplyPoint((width / 2, height / 2, 0.0, 1.0))
    return x, y, z


class LinkedSlices:
    """The pairs that are linked now."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Any]] = []
        self._observed: list[tuple[Any, int]] = []
        self._there: Move = lambda point: point
        self._is_moving = False

    def link(self, pairs: Sequence[tuple[Any, Any]], there: Move, back: Move) -> None:
        """Link pairs of slice nodes; those that were linked before no longer are.

        Args:
            pairs: The node that leads at first, and the one that follows.
            there: A RAS position of the first to that of the second.
            back: The way back.
        """
        self.unlink()
        self._pairs, self._there = list(pairs), there
        for first, second in self._pairs:
            self._observe(first, second, there)
            self._observe(second, first, back)
        self.follow()

    def _observe(self, leader: Any, follower: Any, move: Move) -> None:
        tag = leader.AddObserver("ModifiedEvent", lambda caller, event: self._follow(leader, follower, move))
        self._observed.append((leader, tag))

    def follow(self) -> None:
        """Have the second of each pair show what the first one shows."""
        for first, second in self._pairs:
            self._follow(first, second, self._there)

    def _follow(self, leader: Any, follower: Any, move: Move) -> None:
        if self._is_moving:
            return  # this is the follower, moved by us
        self._is_moving = True
        try:
            _turn_alike(leader, follower)
            follower.JumpSliceByCentering(*move(view_centre(leader)))
            _zoom_alike(leader, follower)
        finally:
            self._is_moving = False

    def unlink(self) -> None:
        """Let each view be moved by itself."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed, self._pairs = [], []


def _turn_alike(leader: Any, follower: Any) -> None:
    """The same directions to the right, up, and through: a view may have been turned by the user."""
    given, own = leader.GetSliceToRAS(), follower.GetSliceToRAS()
    for row in range(3):
        for column in range(3):
            own.SetElement(row, column, given.GetElement(row, column))
    follower.UpdateMatrices()


def _zoom_alike(leader: Any, follower: Any) -> None:
    """As many mm per pixel in both, whatever the sizes of the views."""
    width, own = leader.GetDimensions()[0], follower.GetDimensions()
    if width > 0 and min(own[:2]) > 0:
        scale = leader.GetFieldOfView()[0] / width
        follower.SetFieldOfView(scale * own[0], scale * own[1], follower.GetFieldOfView()[2])
