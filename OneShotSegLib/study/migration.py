"""Studies of older formats, translated into the present one on reading; nothing on disk is changed.

Version 1 (OneShotSeg 0.1) had other names for some settings and for one measure. Versions 1 and 2 had no revisions: all
of their results are of the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTINGS_OF_VERSION_1 = {
    "following": "tracking",
    "coarse_jumps": "coarse_passes",
    "fine_jumps": "fine_passes",
    "reach": "limit_extent",
    "reach_across": "extent_across",
    "reach_along": "extent_along",
    "shortest_reach_mm": "shortest_extent_mm",
}
MEASURES_OF_VERSION_1 = {"solidity": "core_dice"}
WITHOUT_REVISIONS = (1, 2)
OF_REVISION = ("supports", "background_label", "settings", "weights")


def migrated_description(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a study.json of any known version, in the present format."""
    content = dict(content)
    if content.get("version") == 1 and isinstance(content.get("settings"), dict):
        settings = _renamed(content["settings"], SETTINGS_OF_VERSION_1)
        # What came later is as it would be chosen today, so that a run on the study continues.
        settings.setdefault("check_region", settings.get("name") != "paper")
        content["settings"] = settings
    return _with_revision(content) if content.get("version") in WITHOUT_REVISIONS else content


def _with_revision(content: dict[str, Any]) -> dict[str, Any]:
    """The content with its supports, settings and weights as those of the first revision, as far as they are there."""
    own = {name: content.pop(name) for name in OF_REVISION if name in content}
    supports = own.get("supports")
    if isinstance(supports, list):
        own["supports"] = [{"kind": "scribbles", **one} if isinstance(one, dict) else one for one in supports]
    if "labels" in content:
        own["labels"] = content["labels"]
    first = {"number": 1, "created": content.get("created", ""), "before": 0, **own}
    return {**content, "revision": 1, "revisions": [first]}


def migrated_measures(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A structure's measures of any version, in the present format; quality.json has no version."""
    return {MEASURES_OF_VERSION_1.get(name, name): value for name, value in entry.items()}


def _renamed(content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The same content with other names, at every depth."""
    return {
        names.get(name, name): _renamed(value, names) if isinstance(value, dict) else value
        for name, value in content.items()
    }
