"""Names as people are shown them: others chose them, and what they are made of must not act on a terminal or a page."""

from __future__ import annotations

REPLACED = "\ufffd"


def shown_name(name: str) -> str:
    """Without what moves cursors, rings bells or turns the direction of reading: each becomes one visible character."""
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else REPLACED for character in name)
