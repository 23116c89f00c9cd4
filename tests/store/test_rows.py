from __future__ import annotations

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.accounting.record import CallRecord
from penstock.store.rows import last_of_each, read_row, record_of
from tests.store.some_calls import a_full_call, an_open_call, ended, rows


@pytest.mark.parametrize("record", [an_open_call(), ended(an_open_call()), a_full_call()])
def test_a_row_holds_all_that_the_line_said(record: CallRecord) -> None:
    (row,) = rows(record)
    assert dataclasses.asdict(record_of(row)) == dataclasses.asdict(record)


@pytest.mark.parametrize(
    "member",
    ['"wait_reasons":7', '"wait_reasons":{"a":"b"}', '"wait_reasons":null', '"streamed":1', '"path":"\\ud800"'],
)
def test_a_member_of_the_wrong_kind_makes_the_line_unreadable(member: str) -> None:
    line = msgspec.json.encode(an_open_call())
    with pytest.raises(msgspec.DecodeError):
        read_row(line[:-1] + f",{member}}}".encode())


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.text(max_size=3))))
def test_of_each_call_the_first_end_is_kept_and_else_the_last_opening(
    lines: list[tuple[int, bool, str]],
) -> None:
    expected: dict[str, CallRecord] = {}
    records = []
    for number, is_over, model in lines:
        record = an_open_call(f"c{number}")
        record.model = model
        records.append(ended(record) if is_over else record)
        known = expected.get(record.id)
        if known is None or known.is_open():
            expected[record.id] = records[-1]
    assert last_of_each(rows(*records)) == rows(*expected.values())
