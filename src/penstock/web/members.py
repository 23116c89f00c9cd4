"""The members of a query: one that its route does not read is refused, for it may be another one misspelt.

Routes that other systems' clients call do without: those send whatever they like.
"""

from __future__ import annotations

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

MAX_SHOWN = 40


def unread(request: Request) -> str | None:
    """Why the query would be answered otherwise than it was meant; None = all of it is read."""
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = list(dict.fromkeys(_read_by(route.dependant)))
    asked = request.query_params.multi_items()
    names = [name for name, _ in asked]
    for name, value in asked:
        if name not in known:
            may = f"it knows {', '.join(f'`{each}`' for each in known)}" if known else "it is asked without any"
            return f"{request.url.path} knows no `{name[:MAX_SHOWN]}` in its query: {may}"
        if names.count(name) > 1:
            return f"`{name}` is there twice"
        if "\0" in value:  # which no record can hold, and PostgreSQL would take for a fault of ours
            return f"`{name}` holds a NUL"
    return None


def _read_by(dependant: Dependant) -> list[str]:
    """What a route and those that it depends on read of a query."""
    own = [field.alias for field in dependant.query_params]
    return own + [name for each in dependant.dependencies for name in _read_by(each)]
