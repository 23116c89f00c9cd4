"""The language in which sets of models are written: a text to an expression, or to the place where it goes wrong.

    expression := product ('|' product)*        one of them
    product    := factor ('&' factor)*          all of them together
    factor     := NAME | '+' SET | '(' expression ')'

A NAME stands for a model; `+SET`, without a space, for what the set of that name says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from penstock.errors import PenstockError

MAX_DEPTH = 50
"""Of parentheses within each other, and of sets that use sets that use sets."""

_WORD = re.compile(r"\s*(?P<text>\+?[\w.-]+|[&|()])")
_END = "the end"


class BadSet(PenstockError):
    """A set's text cannot be used.

    found, expected: phrases that complete "found ..., expected ...".
    position: of the character where it was noticed, from 0. name, known: what nobody knows, and what is known.
    """

    def __init__(self, found: str, expected: str, position: int, name: str = "", known: Iterable[str] = ()) -> None:
        self.found, self.expected, self.position, self.name, self.known = found, expected, position, name, tuple(known)
        super().__init__(f"found {found} at character {position + 1}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Name:
    """A model, by a name for it."""

    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Reference:
    """What another set says."""

    set_name: str
    position: int


@dataclass(frozen=True, slots=True)
class OneOf:
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Expression, ...]


Expression = Name | Reference | OneOf | AllOf


def parse(text: str) -> Expression:
    """The expression that is written there. Raises BadSet."""
    if not text.strip():
        raise BadSet("an empty set", "names of models, with `&`, `|` and parentheses", 0)
    reading = _Reading(text)
    expression = reading.expression(0)
    if reading.word != _END:
        raise BadSet(f"`{reading.word}`", "`&`, `|` or the end", reading.position)
    return expression


class _Reading:
    """Goes through the text; `word` is the next one, at `position`."""

    def __init__(self, text: str) -> None:
        self._words = _words(text)
        self.advance()

    def advance(self) -> None:
        self.word, self.position = next(self._words)

    def expression(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise BadSet(f"`(` within {MAX_DEPTH} others", "fewer of them", self.position)
        parts = [self._product(depth)]
        while self.word == "|":
            self.advance()
            parts.append(self._product(depth))
        return parts[0] if len(parts) == 1 else OneOf(tuple(parts))

    def _product(self, depth: int) -> Expression:
        parts = [self._factor(depth)]
        while self.word == "&":
            self.advance()
            parts.append(self._factor(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _factor(self, depth: int) -> Expression:
        word, position = self.word, self.position
        if word in ("&", "|", ")", _END):
            found = word if word == _END else f"`{word}`"
            raise BadSet(found, "the name of a model, `+` and the name of a set, or `(`", position)
        self.advance()
        if word == "(":
            inner = self.expression(depth + 1)
            if self.word != ")":
                found = _END if self.word == _END else f"`{self.word}`"
                raise BadSet(found, f"`)` for the `(` at character {position + 1}", self.position)
            self.advance()
            return inner
        return Reference(word[1:], position) if word.startswith("+") else Name(word, position)


def _words(text: str) -> Iterator[tuple[str, int]]:
    """Each word and where it begins; at last, and as often as asked for, the end."""
    end = len(text.rstrip())
    at = 0
    while at < end:
        found = _WORD.match(text, at)
        if found is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            if text[at] == "+":
                raise BadSet("`+` alone", "the name of a set directly behind it", at)
            raise BadSet(f"the character `{text[at]}`", "names, `&`, `|`, `+` and parentheses", at)
        yield found["text"], found.start("text")
        at = found.end()
    while True:
        yield _END, end
