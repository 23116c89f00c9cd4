"""What can be the name of a model: something that a request can ask for, and that people can read. Pure."""

from __future__ import annotations

MAX_NAME_CHARACTERS = 512


def oddity(name: str) -> str | None:
    """What makes it a name that nothing can have, in words that go on after "it"; None = nothing does."""
    if not name:
        return "is empty"
    if len(name) > MAX_NAME_CHARACTERS:
        return f"has more than {MAX_NAME_CHARACTERS} characters"
    if not name.isprintable():
        return "has a line break, or another character that cannot be shown"
    return None
