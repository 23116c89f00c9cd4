"""Events in a stream of server-sent events, against a reader that looks at every line."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols.sse import MAX_EVENT_BYTES, EventSplitter, events, payload

LINES = st.lists(
    st.sampled_from(["", "", "data: a", "data:b", "data", "data:  c", ": comment", "event: x", "id: 1", "nodata: z"]),
    max_size=20,
)


def plainly(text: bytes) -> list[bytes]:
    """The data of each event that has any, read line by line."""
    found: list[bytes] = []
    data: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", text):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            found.append(b"\n".join(data))
            data = []
    return found + ([b"\n".join(data)] if data else [])


@given(
    lines=LINES,
    endings=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=1),
    cuts=st.lists(st.integers(0, 99)),
)
def test_events_are_found_wherever_a_stream_is_cut(lines: list[str], endings: list[bytes], cuts: list[int]) -> None:
    text = b"".join(line.encode() + endings[i % len(endings)] for i, line in enumerate(lines))
    at = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    splitter = EventSplitter()
    parts = [splitter.feed(text[a:b]) for a, b in pairwise(at)]
    whole = b"".join(parts) + splitter.rest()
    assert whole == text
    found = [payload(event) for part in (*parts, text[len(b"".join(parts)) :]) for event in events(part)]
    assert [data for data in found if data] == plainly(text)


@pytest.mark.parametrize("size", [MAX_EVENT_BYTES - 10, MAX_EVENT_BYTES + 10])
def test_an_event_longer_than_the_bound_passes_in_parts(size: int) -> None:
    splitter, event = EventSplitter(), b"data: " + b"x" * size
    passed = b"".join(splitter.feed(event[at : at + 60_000]) for at in range(0, len(event), 60_000))
    assert (passed == b"") is (len(event) <= MAX_EVENT_BYTES)
    assert len(splitter.held) <= MAX_EVENT_BYTES
    assert passed + splitter.feed(b"\n\n") + splitter.rest() == event + b"\n\n"
