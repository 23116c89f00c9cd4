"""Which class a request is granted, from what it asks and what its key allows."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.core.model import Priority

_NAMES = {"high": Priority.HIGH, "normal": Priority.NORMAL, "low": Priority.LOW}
_NUMBERS = {"1": Priority.HIGH, "2": Priority.NORMAL, "3": Priority.LOW}

HIGH, NORMAL = Priority.HIGH, Priority.NORMAL


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The smallest integer `priority` of a body that belongs to a class; what is below both is low."""

    high: int = 1
    normal: int = 0


def granted(
    header: str | None, body: int | None, thresholds: Thresholds, ceiling: Priority = Priority.HIGH
) -> Priority:
    """The class of a request: the header (a name, or 1, 2, 3) beats the body (higher = sooner).

    What nobody asked or nobody can read is normal; nothing exceeds the key's ceiling.
    """
    if header is None and body is None:
        return NORMAL if ceiling <= NORMAL else ceiling
    asked = NORMAL
    word = header.strip().lower() if header is not None else ""
    if word in _NAMES:
        asked = _NAMES[word]
    elif word in _NUMBERS:
        asked = _NUMBERS[word]
    elif body is not None:
        asked = _class_of(body, thresholds)
    return max(asked, ceiling)


def _class_of(value: int, thresholds: Thresholds) -> Priority:
    if value >= thresholds.high:
        return Priority.HIGH
    return Priority.NORMAL if value >= thresholds.normal else Priority.LOW
