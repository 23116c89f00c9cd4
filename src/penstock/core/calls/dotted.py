"""Names of members at any depth, as filters write them: `a.b` is the member `b` of the object `a`.

The form is that of llama-swap's filters. A dot in a name is written `\\.`, as any other character can be. A step of
digits is an index where it meets a list (or makes one), `-1` a new last element; a colon before a step (`:1`) makes
it a name all the same. What would be a query there (`*`, `?`, `#`, `|`, `@`) is refused unless it is escaped.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

LAST = -1
"""The index of a step that adds an element; when something is taken out, of the last element."""

MAX_INDEX = 1_000
"""A list is never filled up with more than so many nulls to reach an index."""

_QUERIES = frozenset("*?#|@")


@dataclass(frozen=True, slots=True)
class Step:
    """One step down. index: where it leads in a list; None = nowhere, it is a name only."""

    name: str
    index: int | None


@functools.lru_cache(maxsize=4096)
def steps(path: str) -> tuple[Step, ...]:
    """The steps of a path. Raises ValueError, whose text completes "a path ..."."""
    made: list[Step] = []
    name, is_forced, is_literal, characters = "", False, False, iter(path)
    for character in characters:
        if character == "." or (character == ":" and not (name or is_forced or is_literal)):
            if character == ".":
                made.append(_step(name, is_forced=is_forced))
            name, is_forced, is_literal = "", character == ":", False
        elif character == "\\":
            name, is_literal = name + next(characters, ""), True
        elif character in _QUERIES:
            raise ValueError(f"without an unescaped `{character}`: queries are not known here")
        else:
            name += character
    return (*made, _step(name, is_forced=is_forced))


def _step(name: str, *, is_forced: bool) -> Step:
    if not name:
        raise ValueError("without an empty step")
    if is_forced or not name.isascii():
        return Step(name, None)
    if name.isdigit():
        if len(name) > 9 or int(name) > MAX_INDEX:
            raise ValueError(f"with an index of at most {MAX_INDEX}, or `:{name[:20]}` for a name of digits")
        return Step(name, int(name))
    return Step(name, LAST if name == str(LAST) else None)
