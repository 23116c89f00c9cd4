"""What is asked: a window of time, the width of its buckets, and which calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from penstock.core.accounting.curves import Grid, grid_over
from penstock.errors import PenstockError
from penstock.store.queries.courses import EVERYTHING, Filter

DAY_S = 86_400.0
LONGEST_S = 366 * DAY_S
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_S, "w": 7 * DAY_S}
_LAST = re.compile(r"(\d{1,9})([smhdw])")
_WIDTHS = ((1800.0, 5), (3600.0, 15), (6 * 3600.0, 60), (DAY_S, 300), (7 * DAY_S, 3600))
_WIDEST = 86_400
_FEW_HOURS_S, _MINUTE, _HOUR = 6 * 3600.0, 60, 3600


class BadQuestion(PenstockError):
    """What is asked cannot be understood; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Asked:
    """since, until: epoch seconds. last: the window as it was asked for; None = by its ends."""

    since: float
    until: float
    last: str | None = None
    filter: Filter = EVERYTHING

    @property
    def width(self) -> int:
        """Seconds of a bucket."""
        return next((width for longest_s, width in _WIDTHS if self.until - self.since <= longest_s), _WIDEST)

    @property
    def grid(self) -> Grid:
        return grid_over(self.since, self.until, self.width)

    @property
    def speed_grid(self) -> Grid:
        """Of minutes at least, and of hours in a window of more than a few: a median of two calls says nothing."""
        least = _MINUTE if self.until - self.since <= _FEW_HOURS_S else _HOUR
        return grid_over(self.since, self.until, max(self.width, least))


def window(last: str | None, since: str | None, until: str | None, *, usual: str, now: float) -> tuple[float, float]:
    """The ends of a window. Raises BadQuestion."""
    if since is None and until is None:
        return now - span_s(usual if last is None else last), now
    if last is not None and since is not None and until is not None:
        raise BadQuestion("`last`, `from` and `to` are too many: two of them say it")
    end = now if until is None else moment(until)
    start = end - span_s(usual if last is None else last) if since is None else moment(since)
    if since is not None and last is not None:
        end = start + span_s(last)
    if not start < end <= start + LONGEST_S:
        raise BadQuestion("`from` must be before `to`, by 366 days at most")
    return start, end


def span_s(text: str) -> float:
    """`30m`, `6h`, `90d`. Raises BadQuestion."""
    found = _LAST.fullmatch(text)
    length_s = float(found[1]) * _UNITS_S[found[2]] if found else 0.0
    if not 0 < length_s <= LONGEST_S:
        raise BadQuestion(f"`last` is `{text[:20]}`; write 30m, 24h or 90d, at most 366d")
    return length_s


def moment(text: str) -> float:
    """Epoch seconds, or ISO 8601, UTC unless it says otherwise. Raises BadQuestion."""
    try:
        found = float(text)
    except ValueError:
        try:
            read = datetime.fromisoformat(text)
            found = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            found = -1.0
    if not 0 <= found < 1e11:
        raise BadQuestion(f"`{text[:40]}` is no moment: write 2026-01-31, 2026-01-31T12:00:00Z or epoch seconds")
    return found
