"""Studies of older formats, translated into the present one on reading; nothing on disk is changed.

Version 1 (OneShotSeg 0.1) had other names for some settings and for one measure.
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


def migrated_description(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a study.json of any known version, in the present format."""
    if content.get("version") != 1 or not isinstance(content.get("settings"), dict):
        return dict(content)
    settings = _renamed(content["settings"], SETTINGS_OF_VERSION_1)
    # What came later is as it would be chosen today, so that a run on the study continues.
    settings.setdefault("check_region", settings.get("name") != "paper")
    return {**content, "settings": settings}


def migrated_measures(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A structure's measures of any version, in the present format; quality.json has no version."""
    return {MEASURES_OF_VERSION_1.get(name, name): value for name, value in entry.items()}


def _renamed(content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The same content with other names, at every depth."""
    return {
        names.get(name, name): _renamed(value, names) if isinstance(value, dict) else value
        for name, value in content.items()
    }
