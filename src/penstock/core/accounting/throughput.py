"""Tokens per second by how many calls shared an engine: of each call by itself, and of all of them together."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.core.accounting import histogram
from penstock.core.accounting.course import Course, decode_tok_s, service_s
from penstock.core.accounting.histogram import Bins

MIN_SAMPLES = 5
"""Fewer calls, or fewer of which the tokens are known, say nothing."""

SOLO_BELOW = 1.5
"""A call beside fewer than this, itself included, on its devices had them to itself as good as always."""


@dataclass(slots=True)
class Cell:
    """The completed calls of one measured concurrency, rounded. Only sums, so that cells add up.

    calls: all of them. token_calls: those whose tokens are known, of which the rest speaks. service_s: of those;
    shared_s: the same, each divided by its measured concurrency, which is the share of the engine's time it had.
    """

    calls: int = 0
    token_calls: int = 0
    tokens: int = 0
    service_s: float = 0.0
    shared_s: float = 0.0
    decode: Bins = field(default_factory=dict)  # tokens/s of each call, from its first token on

    def merge(self, other: Cell) -> None:
        self.calls += other.calls
        self.token_calls += other.token_calls
        self.tokens += other.tokens
        self.service_s += other.service_s
        self.shared_s += other.shared_s
        histogram.merge(self.decode, other.decode)

    @property
    def is_sufficient(self) -> bool:
        return self.calls >= MIN_SAMPLES and self.token_calls >= MIN_SAMPLES

    @property
    def engine_tok_s(self) -> float | None:
        """All calls of that concurrency together; None = too few samples."""
        return self.tokens / self.shared_s if self.is_sufficient and self.shared_s > 0 else None

    @property
    def call_tok_s(self) -> float | None:
        """Each call by itself, over its service; None = too few samples."""
        return self.tokens / self.service_s if self.is_sufficient and self.service_s > 0 else None

    @property
    def decode_p50_tok_s(self) -> float | None:
        """Each call by itself, from its first token on, the median; None = too few samples."""
        enough = self.calls >= MIN_SAMPLES and histogram.samples(self.decode) >= MIN_SAMPLES
        return histogram.percentile(self.decode, 0.5) if enough else None


def note(cells: dict[int, Cell], course: Course, concurrency: float) -> None:
    """Count a completed call that held a slot for some time beside so many on its engine, itself included."""
    took_s = service_s(course)
    assert took_s is not None
    assert took_s > 0
    concurrency = max(1.0, concurrency)
    cell = cells.setdefault(max(1, round(concurrency)), Cell())
    cell.calls += 1
    if course.completion_tokens is not None:
        cell.token_calls += 1
        cell.tokens += course.completion_tokens
        cell.service_s += took_s
        cell.shared_s += took_s / concurrency
        if (speed := decode_tok_s(course)) is not None:
            histogram.count(cell.decode, speed)
