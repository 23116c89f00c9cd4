"""Residency by groups: members of a group may swap with each other, and with the other groups.

Loading a model asks the rules of *its own* group only, so they work one way: a group that is not
exclusive loads beside anybody, also beside a group that is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from penstock.core.fitting.residency import Residency

DEFAULT_GROUP = "(default)"


@dataclass(frozen=True, slots=True)
class Group:
    """swap: a member's load evicts its fellows; exclusive: it evicts other groups' members, except persistent ones."""

    name: str
    members: frozenset[str]
    swap: bool = True
    exclusive: bool = True
    persistent: bool = False


class GroupResidency(Residency):
    """The rules of llama-swap's groups. Models in no group form one that swaps and is exclusive."""

    def __init__(self, groups: Iterable[Group] = ()) -> None:
        self._group_of: Mapping[str, Group] = {member: group for group in groups for member in sorted(group.members)}
        self._default = Group(DEFAULT_GROUP, frozenset())

    def admits(self, target: str, residents: Collection[str]) -> bool:
        return not any(self._evicts(target, resident) for resident in residents if resident != target)

    def fits(self, names: Collection[str]) -> bool:
        """True if some order of loading them leaves all of them resident."""
        return self._is_loadable(frozenset(names))

    def _is_loadable(self, names: frozenset[str]) -> bool:
        """The last to be loaded must suffer all others; the rules being pairwise, any such one will do."""
        if len(names) < 2:
            return True
        for last in sorted(names):
            if self.admits(last, names):
                return self._is_loadable(names - {last})
        return False

    def _evicts(self, target: str, resident: str) -> bool:
        coming, staying = (self._group_of.get(name, self._default) for name in (target, resident))
        if coming is staying:
            return coming.swap
        return coming.exclusive and not staying.persistent
