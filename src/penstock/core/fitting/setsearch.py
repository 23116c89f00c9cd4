"""Which models an expression can keep together, found without writing out the sets that it stands for.

Models are bits, so that many at once are one number. A *concrete set* of a node is what is left when one
alternative was taken of each choice; their order is that of the alternatives, the leftmost choice counting most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A model (no parts), one of its parts, or all of them. A node may be part of several.

    reach: every model in it. width: most models that a concrete set holds. choices: most that have to be made.
    """

    parts: tuple[Node, ...]
    is_choice: bool
    reach: int
    width: int
    choices: int


def leaf(bit: int) -> Node:
    return Node((), False, bit, 1, 0)


def one_of(parts: Iterable[Node]) -> Node:
    parts = tuple(dict.fromkeys(parts))
    most_choices = 1 + max(part.choices for part in parts)
    return Node(parts, True, _reach(parts), max(part.width for part in parts), most_choices)


def all_of(parts: Iterable[Node]) -> Node:
    parts = tuple(parts)
    choices = sum(part.choices for part in parts)
    return Node(parts, False, _reach(parts), sum(part.width for part in parts), choices)


def _reach(parts: Iterable[Node]) -> int:
    return reduce(or_, (part.reach for part in parts))


@dataclass(frozen=True, slots=True, eq=False)
class _Todo:
    """A list of nodes that are still to be gone through, all of which hold together.

    groups: the list cut into pieces that have no model in common: the reach and the width of each piece.
    """

    node: Node
    rest: _Todo | None
    reach: int
    groups: tuple[tuple[int, int], ...]


_DONE = _Todo(leaf(0), None, 0, ())


class Search:
    """Questions about some models, each of which has a price to be paid if it is lost (a whole number above 0)."""

    def __init__(self, prices: Mapping[int, int]) -> None:
        self._prices = sorted(prices.items(), key=lambda item: item[1])
        self._todos: dict[tuple[Node, _Todo], _Todo] = {}
        self._failed: dict[tuple[_Todo, int], int] = {}  # the most that was not enough

    def first(self, node: Node, models: int, budget: int) -> int | None:
        """What the first concrete set that loses no more than the budget keeps of the models; None: there is none."""
        return self._first(self._before((node,), _DONE), models, budget)

    def least_loss(self, node: Node, models: int) -> int:
        """No concrete set loses less; some may lose more."""
        todo = self._before((node,), _DONE)
        return self.price(models & ~todo.reach) + self._surplus(todo, models & todo.reach)

    def price(self, models: int) -> int:
        return sum([price for bit, price in self._prices if bit & models]) if models else 0

    def _first(self, todo: _Todo, models: int, budget: int) -> int | None:
        kept = 0
        while True:
            budget -= self.price(models & ~todo.reach)
            models &= todo.reach
            if budget < self._surplus(todo, models):
                return None
            if not models:
                return kept
            node, rest = todo.node, todo.rest
            assert rest is not None
            if not node.reach & models:
                todo = rest
            elif not node.parts:
                kept, models, todo = kept | node.reach, models & ~node.reach, rest
            elif not node.is_choice:
                todo = self._before(node.parts, rest)
            else:
                chosen = self._choose(todo, models, budget)
                return None if chosen is None else kept | chosen

    def _choose(self, todo: _Todo, models: int, budget: int) -> int | None:
        """Take the first alternative with which the rest can be done. Those that hold none of the models are alike."""
        if self._failed.get((todo, models), -1) >= budget:
            return None
        assert todo.rest is not None
        is_idle_tried = False
        for part in todo.node.parts:
            is_idle = not part.reach & models
            if is_idle and is_idle_tried:
                continue
            is_idle_tried |= is_idle
            kept = self._first(self._before((part,), todo.rest), models, budget)
            if kept is not None:
                return kept
        self._failed[todo, models] = budget
        return None

    def _surplus(self, todo: _Todo, models: int) -> int:
        """What must be lost because a group holds more of the models than it has places."""
        lost = 0
        for reach, width in todo.groups:
            surplus = (models & reach).bit_count() - width
            if surplus > 0:
                lost += sum([price for bit, price in self._prices if bit & models & reach][:surplus])
        return lost

    def _before(self, nodes: tuple[Node, ...], rest: _Todo) -> _Todo:
        """The list with these in front; the same lists are the same objects."""
        for node in reversed(nodes):
            todo = self._todos.get((node, rest))
            if todo is None:
                todo = self._todos[node, rest] = _with(node, rest)
            rest = todo
        return rest


def _with(node: Node, rest: _Todo) -> _Todo:
    reach, width = node.reach, node.width
    apart = []
    for group in rest.groups:
        if group[0] & node.reach:
            reach, width = reach | group[0], width + group[1]
        else:
            apart.append(group)
    return _Todo(node, rest, node.reach | rest.reach, (*apart, (reach, width)))
