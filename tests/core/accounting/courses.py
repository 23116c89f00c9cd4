"""Random histories of calls, and the slow and obvious way to say what went on in them."""

from __future__ import annotations

from hypothesis import strategies as st

from penstock.core.accounting.course import Course

NOW = 1_700_000_400.0
MODELS, KEYS, WORKLOADS = ("a", "b", None), ("ann", "bob", None), ("nightly", None)

tenths = st.integers(0, 400).map(lambda number: number / 10)
tokens = st.one_of(st.none(), st.integers(0, 300))
ends = st.sampled_from(["completed", "completed", "client_abandoned", "upstream_error", "interrupted", None])


@st.composite
def courses(draw: st.DrawFn, number: int = 0) -> Course:
    """Any call: with zero durations, NULLs, still running; the wall clock may have been set between two of them."""
    gaps = sorted(draw(st.lists(tenths, min_size=4, max_size=4)))
    outcome = draw(ends)
    depth = draw(st.integers(0, 3))  # how far it came: not to the queue, queued, admitted, first token
    enqueued, admitted, first, end = gaps
    return Course(
        id=f"c{number}",
        gateway_id=draw(st.sampled_from(["g1", "g1", "g2"])),
        received_at=NOW - 400 + draw(tenths) * 10,
        model=draw(st.sampled_from(MODELS)),
        key=draw(st.sampled_from(KEYS)),
        workload=draw(st.sampled_from(WORKLOADS)),
        outcome=outcome,
        stands_for=draw(st.sampled_from([1, 1, 1, 7])) if depth == 0 else 1,
        retry_count=draw(st.sampled_from([None, 0, 1, 2])),
        enqueued_s=enqueued if depth > 0 else None,
        admitted_s=admitted if depth > 1 else None,
        first_token_s=first if depth > 2 else None,
        last_s=(0.0, enqueued, admitted, first)[depth],
        done_s=None if outcome in (None, "interrupted") else end,
        load_wait_s=draw(st.sampled_from([None, 0.0, 0.5])),
        prompt_tokens=draw(tokens),
        cached_tokens=draw(tokens),
        completion_tokens=draw(tokens),
        reasoning_tokens=draw(st.one_of(st.none(), st.integers(0, 9))),
        energy_j=draw(st.sampled_from([None, 0.0, 2.5])),
    )


@st.composite
def histories(draw: st.DrawFn, max_size: int = 12) -> list[Course]:
    return [draw(courses(number)) for number in range(draw(st.integers(0, max_size)))]
