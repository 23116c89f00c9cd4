"""One JSON text, taken apart only where something in it changes: every other value keeps its bytes."""

from __future__ import annotations

import re

import msgspec

from penstock.core.calls.dotted import LAST, Step
from penstock.core.calls.message import Body
from penstock.errors import BadRequest, InvalidJson
from penstock.protocols.jsonpieces import NULL, Kept, Pieces, PieceWriter, Source
from penstock.protocols.jsonwalk import UNREADABLE, end_of_value, unreadable

MAX_MEMBERS = 10_000
"""An object or a list with more is not taken apart: who sends ten thousand members wants something else."""

MAX_SPACE = 4096
"""White space in one place. Nobody needs that much, and skipping millions of it takes time."""

STRETCH_BYTES = 64 * 1024
"""An object or a list of more is read in steps."""

_OBJECT, _OBJECT_END, _ARRAY, _ARRAY_END = b"{}[]"
_SPACE = re.compile(rb"[ \t\r\n]{0,%d}" % (MAX_SPACE + 1))
_SOME_SPACE = rb"[ \t\r\n]{0,%d}+" % MAX_SPACE
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_BEFORE_ELEMENT = re.compile(_SOME_SPACE + rb",?" + _SOME_SPACE + rb"()(?![ \t\r\n])")
_BEFORE_MEMBER = re.compile(
    _SOME_SPACE + rb",?" + _SOME_SPACE + rb"(" + _STRING + _SOME_SPACE + rb":" + _SOME_SPACE + rb")(?![ \t\r\n])",
    re.DOTALL,
)
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class _Name:
    """One occurrence of a name. Never equal to another, so that a mapping by names keeps them all, in their order."""

    __slots__ = ("text",)

    def __init__(self, kind: type, text: str) -> None:
        self.text = text


_members = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=_Name).decode


class _Child:
    """A member of an object, or an element of a list. gap, lead: what stands before it, and its name with the colon."""

    __slots__ = ("gap", "lead", "name", "value")

    def __init__(self, gap: bytes, lead: bytes, name: str, value: Kept | Container) -> None:
        self.gap = gap
        self.lead = lead
        self.name = name
        self.value = value


class Container:
    """An object or a list, taken apart into its members."""

    __slots__ = ("_is_object", "children", "tail")

    def __init__(self, *, is_object: bool) -> None:
        self.children: list[_Child] = []
        self.tail = b""
        self._is_object = is_object

    @property
    def names(self) -> list[str]:
        return [child.name for child in self.children]

    def put(self, path: tuple[Step, ...], raw: bytes) -> None:
        """Set what is at the path, and make what is missing on the way. Raises BadRequest if a name leads to a list."""
        step, rest = path[0], path[1:]
        child = self._child(step)
        if child is None:
            self._add(step, _new(_made(rest, raw)))
        elif not rest:
            child.value = _new(raw)
        elif (inner := _opened(child)) is not None:
            inner.put(rest, raw)
        else:  # a text or a number gives way
            child.value = _new(_made(rest, raw))

    def drop(self, path: tuple[Step, ...]) -> None:
        """Take out what is at the path; nothing happens if it is not there."""
        step, rest = path[0], path[1:]
        child = self._child(step, is_last_meant=not rest)
        if child is None:
            return
        if not rest:
            self.children.remove(child)
        elif (inner := _opened(child)) is not None:
            inner.drop(rest)

    def write(self, pieces: PieceWriter) -> None:
        pieces.add(b"{" if self._is_object else b"[")
        is_first = True
        for child in self.children:
            gap = child.gap
            if is_first:
                gap = gap.replace(b",", b"")
            elif b"," not in gap:
                gap = b"," + gap
            is_first = False
            pieces.add(gap + child.lead)
            if isinstance(child.value, Container):
                child.value.write(pieces)
            else:
                pieces.keep(child.value)
        pieces.add(self.tail + (b"}" if self._is_object else b"]"))

    def _child(self, step: Step, *, is_last_meant: bool = False) -> _Child | None:
        """The child a step leads to. Of members with one name the last one counts, as it does for engines; the
        others go, so that nobody can count differently."""
        if self._is_object:
            found = [child for child in self.children if child.name == step.name]
            if len(found) > 1:
                self.children = [child for child in self.children if child.name != step.name or child is found[-1]]
            return found[-1] if found else None
        if step.index is None or (step.index == LAST and not is_last_meant):
            return None
        return self.children[step.index] if -1 <= step.index < len(self.children) and self.children else None

    def _add(self, step: Step, value: Kept) -> None:
        if self._is_object:
            self.children.append(_Child(b"", msgspec.json.encode(step.name) + b":", step.name, value))
            return
        if step.index is None:
            raise BadRequest(reason=f"it has a list where the filters of the model set a member `{step.name}`")
        missing = max(0, step.index - len(self.children))
        self.children += [_Child(b"", b"", "", _new(NULL)) for _ in range(missing)]
        self.children.append(_Child(b"", b"", "", value))


class Tree:
    """A whole body: one object. Raises BadRequest (made of something else) and InvalidJson."""

    __slots__ = ("_after", "_before", "top")

    def __init__(self, pieces: Pieces) -> None:
        source = Source.of(pieces)
        text = source.text
        start = _skip(text, 0)
        self.top, end = _taken_apart(source, start, len(text))
        if _skip(text, end) != len(text):
            raise unreadable("something follows the object", end)
        self._before, self._after = bytes(text[:start]), bytes(text[end:])

    @property
    def names(self) -> list[str]:
        """Of the members at the top, in their order."""
        return self.top.names

    def pieces(self) -> Pieces:
        writer = PieceWriter()
        writer.add(self._before)
        self.top.write(writer)
        writer.add(self._after)
        return writer.done()


def decode_failed(exc: Exception, body: Body) -> BadRequest:
    """Say where a body is wrong: not JSON at all, or a member of the wrong type."""
    if isinstance(exc, msgspec.ValidationError):
        return BadRequest(reason=str(exc).replace(" - at `$.", " in `").replace(" - at `$`", ""))
    if isinstance(exc, RecursionError):
        return InvalidJson(reason="it is nested too deeply")
    return InvalidJson(reason="it is empty" if not bytes(body[:MAX_SPACE]).strip() else str(exc))


def _opened(child: _Child) -> Container | None:
    """The child's value, taken apart and put in its place; None = it is no container."""
    if isinstance(child.value, Container):
        return child.value
    source, start, end = child.value
    for _, view in source.between(start, start + 1):
        source, start, end = Source(view), 0, len(view)
    if source.text[start] not in (_OBJECT, _ARRAY):
        return None
    child.value, _ = _taken_apart(source, start, end)
    return child.value


def _taken_apart(source: Source, start: int, end: int) -> tuple[Container, int]:
    """The container that begins at `start`, and where it ends; `end`: where the text may end, white space included.

    A small one at one stretch: msgspec knows the values and not where they are; but they follow one another, and each
    is as long as it is. A large one value by value, so that no stretch is long.
    """
    if end - start > STRETCH_BYTES:
        return _walked(source, start)
    text = source.text
    view = memoryview(text)[start:end]
    is_object = text[start : start + 1] != b"["
    try:
        pairs = [(name.text, raw) for name, raw in _members(view).items()] if is_object else _unnamed(view)
    except UNREADABLE as exc:
        raise decode_failed(exc, view) from exc
    if len(pairs) > MAX_MEMBERS:
        raise _too_many()
    made = Container(is_object=is_object)
    children, between, at = made.children, _BEFORE_MEMBER if is_object else _BEFORE_ELEMENT, start + 1
    for name, raw in pairs:
        found = between.match(text, at)
        if found is None:
            raise _too_much_space(at)
        lead_at, value_at = found.span(1)
        end = value_at + memoryview(raw).nbytes
        children.append(_Child(bytes(text[at:lead_at]), bytes(found[1]), name, Kept(source, value_at, end)))
        at = end
    end = _skip(text, at)
    made.tail = bytes(text[at:end])
    return made, end + 1


def _walked(source: Source, start: int) -> tuple[Container, int]:
    text = source.text
    is_object = text[start] == _OBJECT
    if not is_object and text[start] != _ARRAY:
        raise BadRequest(reason="it is no JSON object")
    made = Container(is_object=is_object)
    children, between, at = made.children, _BEFORE_MEMBER if is_object else _BEFORE_ELEMENT, start + 1
    while (end := _skip(text, at)) < len(text) and text[end] != (_OBJECT_END if is_object else _ARRAY_END):
        found = between.match(text, at, at + STRETCH_BYTES)
        if found is None or (b"," in (gap := bytes(text[at : found.start(1)]))) != bool(children):
            raise unreadable("a comma, or the name of a member and its colon, is missing or too long", end)
        if len(children) == MAX_MEMBERS:
            raise _too_many()
        value_at = found.end()
        at = end_of_value(text, value_at)
        lead = bytes(found[1])
        children.append(_Child(gap, lead, _name(lead, value_at), Kept(source, value_at, at)))
    if end == len(text):
        raise unreadable("the text ends too early", end)
    made.tail = bytes(text[at:end])
    return made, end + 1


def _name(lead: bytes, at: int) -> str:
    """The name in what stands before a value; "" = it is an element of a list."""
    try:
        return _text(lead[: lead.rindex(b'"') + 1]) if lead else ""
    except UNREADABLE as exc:
        raise unreadable("a name cannot be read", at) from exc


def _unnamed(view: memoryview) -> list[tuple[str, msgspec.Raw]]:
    return [("", raw) for raw in _elements(view)]


def _skip(text: Body, at: int) -> int:
    """Where the white space at `at` ends."""
    space = _SPACE.match(text, at)
    assert space is not None, "it matches nothing, too"
    if space.end() - at > MAX_SPACE:
        raise _too_much_space(at)
    return space.end()


def _too_many() -> BadRequest:
    return BadRequest(reason=f"it has more than {MAX_MEMBERS} members in one place")


def _too_much_space(at: int) -> BadRequest:
    return BadRequest(reason=f"more than {MAX_SPACE} bytes of white space near byte {at}")


def _made(path: tuple[Step, ...], raw: bytes) -> bytes:
    """The value to set where nothing is: what the rest of a path leads through is made."""
    for step in reversed(path):
        if step.index is None:
            raw = b"{%b:%b}" % (msgspec.json.encode(step.name), raw)
        else:
            raw = b"[%b%b]" % (b"null," * max(0, step.index), raw)
    return raw


def _new(raw: bytes) -> Kept:
    return Kept(Source(raw), 0, len(raw))
