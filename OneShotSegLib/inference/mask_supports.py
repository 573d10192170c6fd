"""Supports with whole masks, however many: each is read and prepared when a query needs it, and a few are kept."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.fingerprint import fingerprint_of
from OneShotSegLib.fusion.support_selection import Signature, most_similar
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.placement_cache import PlacementCache
from OneShotSegLib.method.mask_support import (
    MaskSupport,
    PlacedMask,
    PlacementReference,
    place,
    prepare_mask_support,
    prepare_placement,
)
from OneShotSegLib.method.placement import Placement
from OneShotSegLib.method.propagation import PreparedCT
from OneShotSegLib.method.settings import Method
from OneShotSegLib.method.soft_tissue import SOFT_TISSUE
from OneShotSegLib.method.support import MaskedCT
from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.study.case_ct import fingerprint_of_ct
from OneShotSegLib.timer import StepTimer

log = logging.getLogger(__name__)
MOST_PREPARED = 12
Prepared = TypeVar("Prepared")


class UnusableSupportError(InputError):
    """A support cannot be placed in any query; the query is not to blame."""


class MaskSource(Protocol):
    """A reviewed case that can be read."""

    @property
    def name(self) -> str:
        """The case's name; it is not used for a query of that name."""

    @property
    def fingerprint(self) -> str:
        """Of its CT and mask: equal for equal content; '' if that is not known."""

    @property
    def ct_fingerprint(self) -> str:
        """Of its CT alone; '' if that is not known."""

    def read(self) -> MaskedCT:
        """Read CT and mask.

        Raises:
            InputError: If they cannot be read, or do not belong together.
        """


@dataclass(frozen=True, eq=False)
class LoadedMask:
    """A reviewed case that is in memory."""

    masked: MaskedCT
    fingerprint: str = ""

    @property
    def name(self) -> str:
        """The case's name."""
        return self.masked.name

    @cached_property
    def ct_fingerprint(self) -> str:
        """Of its CT alone."""
        return fingerprint_of_ct(self.masked.ct)

    def read(self) -> MaskedCT:
        """The case as it is."""
        return self.masked


class MaskSupports:
    """Places supports with whole masks in queries.

    Args:
        sources: The reviewed cases.
        weights: Both networks.
        method: Settings of the steps.
        device: Where networks and alignment run.
        cache: Keeps placements for later runs; None to keep none.
    """

    def __init__(
        self,
        sources: Sequence[MaskSource],
        weights: Weights,
        method: Method,
        device: torch.device,
        cache: PlacementCache | None = None,
    ) -> None:
        self._sources = {source.name: source for source in sources}
        self._weights, self._method, self._device, self._cache = weights, method, device, cache
        self._supports: OrderedDict[str, MaskSupport] = OrderedDict()
        self._references: OrderedDict[str, PlacementReference] = OrderedDict()
        self._signatures: dict[str, Signature] = {}
        self._latest: MaskedCT | None = None
        self._settings = fingerprint_of(
            *map(repr, (weights.coarse.info, weights.fine.info)),
            *map(repr, (method.propagation, method.registration, method.alignment, method.seed)),
        )

    def count_for(self, case: str) -> int:
        """How many supports a query of this name is segmented with, as far as all can be used."""
        return min(len(self._sources) - (case in self._sources), self._method.fusion.most_masks)

    def placed_in(
        self, case: str, ct: Volume, query: PreparedCT, similar_to: Volume, timer: StepTimer
    ) -> list[PlacedMask]:
        """The supports that are most similar to a query, each with its place in it.

        Args:
            case: The query's name.
            ct: The query as it was read.
            query: The query, prepared.
            similar_to: What the scribbles grew into in the query: it says where to compare.
            timer: Takes the time of each placement.
        """
        names = [name for name in self._sources if name != case]
        most = self._method.fusion.most_masks
        if len(names) > most:
            own = Signature.of(similar_to, query.ct, SOFT_TISSUE)
            known = [(name, one) for name in names if (one := self._signature(name)) is not None]
            chosen = most_similar([own.similarity_to(one) for _, one in known], most)
            names = [known[index][0] for index in chosen]
        placed = []
        for name in names:
            with timer("place"):
                placed.append(self._placed(name, ct, query))
        self._latest = None
        return [one for one in placed if one is not None]

    def _placed(self, name: str, ct: Volume, query: PreparedCT) -> PlacedMask | None:
        """A support with its place in a query; None if the support cannot be used."""
        support = self._support(name)
        if support is None:
            return None
        try:
            return PlacedMask(support, self._placement(support, ct, query))
        except UnusableSupportError as error:
            self._leave_out(name, error)
            return None

    def _placement(self, support: MaskSupport, ct: Volume, query: PreparedCT) -> Placement:
        source = self._sources[support.name]
        if self._cache is None or not source.fingerprint:
            return self._place(support, query)
        key = fingerprint_of(fingerprint_of_ct(ct), source.fingerprint, self._settings)
        found = self._cache.get(key)
        if found is None:
            found = self._place(support, query)
            self._cache.put(key, found)
        return found

    def _place(self, support: MaskSupport, query: PreparedCT) -> Placement:
        reference = self._reference(support)
        return place(reference, support.inside.positions, query, self._weights, self._method)

    def _signature(self, name: str) -> Signature | None:
        """What a support is compared by, which stays in memory; None if the support cannot be used."""
        if name not in self._signatures:
            support = self._support(name)
            if support is None:
                return None
            self._signatures[name] = Signature.of(support.labels, support.image)
        return self._signatures[name]

    def _support(self, name: str) -> MaskSupport | None:
        """A support; None if it cannot be used, which is logged once."""
        if name not in self._sources:
            return None
        margin_mm = self._method.alignment.margin_mm
        try:
            return _kept(self._supports, name, lambda: prepare_mask_support(self._read(name), margin_mm))
        except (InputError, OSError) as error:
            self._leave_out(name, error)
            return None

    def _read(self, name: str) -> MaskedCT:
        """A reviewed case; that which was read last is not read again: what is prepared first is placed next."""
        if self._latest is None or self._latest.name != name:
            self._latest = None  # two are never held
            self._latest = self._sources[name].read()
        return self._latest

    def _leave_out(self, name: str, error: Exception) -> None:
        log.warning("%s: not used as a support: %s", name, str(error).removeprefix(f"{name}: "))
        kept: tuple[MutableMapping[str, Any], ...] = (
            self._sources,
            self._supports,
            self._references,
            self._signatures,
        )
        for known in kept:
            known.pop(name, None)

    def _reference(self, support: MaskSupport) -> PlacementReference:
        def prepare() -> PlacementReference:
            try:  # it may have been removed since its mask was read
                return prepare_placement(self._read(support.name), support, self._weights, self._method, self._device)
            except (InputError, OSError) as error:
                raise UnusableSupportError(str(error)) from error

        return _kept(self._references, support.name, prepare)


def _kept(known: OrderedDict[str, Prepared], name: str, prepare: Callable[[], Prepared]) -> Prepared:
    """What is prepared under a name; of those kept, the one that was not used for longest makes room."""
    if name not in known:
        known[name] = prepare()
        while len(known) > MOST_PREPARED:
            known.popitem(last=False)
    known.move_to_end(name)
    return known[name]
