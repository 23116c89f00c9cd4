"""Records for the tests of the journal, the store and the bookkeeper."""

from __future__ import annotations

import dataclasses

import msgspec

from penstock.core.record import CallRecord
from penstock.store.rows import Row, read_row


def an_open_call(call_id: str = "c1", *, gateway_id: str = "g", boot_id: str = "b1") -> CallRecord:
    return CallRecord(call_id, gateway_id, boot_id, "0.1.0", 1_700_000_000.25, "POST", "/v1/chat/completions", "openai")


def ended(record: CallRecord, outcome: str = "completed") -> CallRecord:
    return dataclasses.replace(record, outcome=outcome, done_s=1.5, wait_reasons={"loading": 0.5})


def a_full_call(call_id: str = "c1") -> CallRecord:
    """Every field has a value that is no default, zeros among them."""
    invented: dict[str, object] = {"int": 0, "float": 0.25, "bool": False, "str": "ü\n\"'"}
    record = ended(an_open_call(call_id))
    for field in dataclasses.fields(record):
        if getattr(record, field.name) is None:
            setattr(record, field.name, invented[str(field.type).split(" ")[0]])
    return record


def rows(*records: CallRecord) -> list[Row]:
    """As they come from the journal."""
    return [read_row(msgspec.json.encode(record)) for record in records]
