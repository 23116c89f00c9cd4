"""Residency by a matrix: models stay together if some set of the operator's holds them all.

A set stands for many concrete ones, `(a|b) & c` for {a, c} and {b, c}; what is part of one may be resident.
A model that no set names runs alone. Where devices are declared, known footprints must fit into them as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from copy import copy
from functools import lru_cache

from penstock.core.fitting import setdsl
from penstock.core.fitting.residency import Footprint, Residency
from penstock.core.fitting.setdsl import MAX_DEPTH, BadSet, Expression
from penstock.core.fitting.setsearch import Node, Search, all_of, leaf, one_of
from penstock.core.model import Model

MAX_CHOICES = 200
"""That a set may leave open at once: it bounds what an answer costs."""

REMEMBERED = 4096
"""Answers of each kind: the scheduler asks the same few questions at every fact."""


class Matrix:
    """The sets, understood. `faults`: the name of a set, and what is wrong with it.

    models: from each name that a set may use to the model it stands for.
    `bits`: the models that any set names. `nodes`: a set that others use comes before them, else as they are written.
    """

    def __init__(self, sets: Mapping[str, str], models: Mapping[str, str]) -> None:
        self.faults: list[tuple[str, BadSet]] = []
        self.bits: dict[str, int] = {}
        self._sets, self._models = sets, models
        self._leaves: dict[str, Node] = {}
        self._done: dict[str, Node | None] = {}  # None: it has a fault
        for name in sets:
            self._set(name, ())
        self.nodes = tuple(node for node in self._done.values() if node is not None)

    def _set(self, name: str, users: tuple[str, ...]) -> Node | None:
        """A set's node. `users`: who uses whom so that this one is needed."""
        if name in self._done:
            return self._done[name]
        node = None
        try:
            node = self._node(setdsl.parse(self._sets[name]), (*users, name))
            if node is not None and node.choices > MAX_CHOICES:
                raise BadSet(f"{node.choices} choices at once", f"at most {MAX_CHOICES}", 0)
        except BadSet as fault:
            self.faults.append((name, fault))
            node = None
        self._done[name] = node
        return node

    def _node(self, expression: Expression, users: tuple[str, ...]) -> Node | None:
        match expression:
            case setdsl.Name(text, position):
                return self._model(text, position)
            case setdsl.Reference(name, position):
                return self._used(name, position, users)
            case _:
                nodes = [self._node(part, users) for part in expression.parts]
                sound = [node for node in nodes if node is not None]
                join = one_of if isinstance(expression, setdsl.OneOf) else all_of
                return join(sound) if len(sound) == len(nodes) else None

    def _model(self, text: str, position: int) -> Node:
        if text not in self._models:
            raise BadSet(f"the unknown model `{text}`", "a name under `vars` or `models`", position, text, self._models)
        model = self._models[text]
        if model not in self._leaves:
            self.bits[model] = 1 << len(self.bits)
            self._leaves[model] = leaf(self.bits[model])
        return self._leaves[model]

    def _used(self, name: str, position: int, users: tuple[str, ...]) -> Node | None:
        if name not in self._sets:
            raise BadSet(f"the unknown set `{name}`", "a name under `sets`", position, name, self._sets)
        if name in users:
            circle = " > ".join((*users[users.index(name) :], name))
            raise BadSet(f"a set that uses itself: {circle}", "sets that do not", position)
        if len(users) > MAX_DEPTH:
            raise BadSet(f"a set within {MAX_DEPTH} others", "fewer of them", position)
        return self._set(name, users)


class MatrixResidency(Residency):
    """memory: what must hold as well, of the models whose footprint is known."""

    def __init__(self, matrix: Matrix, models: Iterable[Model] = (), memory: Residency | None = None) -> None:
        assert not matrix.faults, matrix.faults
        self._matrix, self._memory = matrix, memory
        self._models = {model.name: model for model in models}
        self._unmeasured = frozenset(name for name, model in self._models.items() if model.footprint is None)
        self._is_allowed = lru_cache(REMEMBERED)(self._holds)
        self._leaving = lru_cache(REMEMBERED)(self._cheapest)

    def fits(self, names: Collection[str]) -> bool:
        names = frozenset(names)
        return self._is_allowed(names) and (self._memory is None or self._memory.fits(names - self._unmeasured))

    def shortfall(self, target: str) -> str:
        return self._memory.shortfall(target) if self._memory is not None else ""

    def seeing(self, device: str, free_bytes: int, residents: Collection[str]) -> MatrixResidency:
        if self._memory is None:
            return self
        seen = copy(self)
        seen._memory = self._memory.seeing(device, free_bytes, residents)
        return seen

    def knowing(self, sizes: Mapping[str, Footprint]) -> MatrixResidency:
        if self._memory is None:
            return self
        known = copy(self)
        known._memory = self._memory.knowing(sizes)
        known._unmeasured = self._unmeasured - sizes.keys()
        return known

    def evict_for(self, target: str, residents: Collection[str], staying: Collection[str]) -> frozenset[str] | None:
        """The cheapest to stop so that the sets allow the target, none of `staying`; None if that is impossible.

        Of several that cost the same: what the earlier set says, and within a set the earlier alternatives.
        """
        return self._leaving(target, frozenset(residents), frozenset(staying))

    def _cheapest(self, target: str, residents: frozenset[str], staying: frozenset[str]) -> frozenset[str] | None:
        if target in residents:
            return frozenset()
        bits, musts = self._matrix.bits, {target, *staying}
        if not musts <= bits.keys():
            return None if staying else residents
        prices = {bits[name]: self._evict_cost(name) for name in residents if name in bits and name not in musts}
        beyond = sum(prices.values()) + 1
        prices |= {bits[name]: beyond for name in musts}
        kept = self._kept(Search(prices), sum(prices), beyond)
        return None if kept is None else frozenset(name for name in residents if not kept & bits.get(name, 0))

    def _kept(self, search: Search, models: int, beyond: int) -> int | None:
        """What the first of those concrete sets keeps that lose least of the models, and less than `beyond`."""
        kept = None
        for node in self._matrix.nodes:
            low, high = search.least_loss(node, models), beyond - 1
            while low <= high:
                budget = (low + high) // 2
                found = search.first(node, models, budget)
                if found is None:
                    low = budget + 1
                else:
                    kept, beyond = found, search.price(models & ~found)
                    high = beyond - 1
        return kept

    def _evict_cost(self, name: str) -> int:
        return self._models[name].evict_cost if name in self._models else 1

    def _holds(self, names: frozenset[str]) -> bool:
        bits = self._matrix.bits
        if len(names) < 2:
            return True
        if not names <= bits.keys():
            return False
        prices = {bits[name]: 1 for name in names}
        search = Search(prices)
        return any(search.first(node, sum(prices), 0) is not None for node in self._matrix.nodes)
