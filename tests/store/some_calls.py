"""Records for the tests of the journal, the store and the bookkeeper."""

from __future__ import annotations

import dataclasses
import typing

import msgspec

from penstock.config.storage import StoreSettings
from penstock.core.accounting.host_sample import DeviceSample, EngineSample, HostSample
from penstock.core.accounting.load_record import LoadRecord
from penstock.core.accounting.record import CallRecord
from penstock.store.rows import Row, read_row

FOR_EVER = StoreSettings.model_validate({"keep": "forever", "keep_samples": "forever"})
"""The calls below are of long ago."""


def an_open_call(call_id: str = "c1", *, gateway_id: str = "g", boot_id: str = "b1") -> CallRecord:
    return CallRecord(call_id, gateway_id, boot_id, "0.1.0", 1_700_000_000.25, "POST", "/v1/chat/completions", "openai")


def ended(record: CallRecord, outcome: str = "completed") -> CallRecord:
    return dataclasses.replace(record, outcome=outcome, done_s=1.5, wait_reasons={"loading": 0.5})


def a_full_call(call_id: str = "c1") -> CallRecord:
    """Every field has a value that is no default, zeros among them."""
    invented: dict[object, object] = {int: 0, float: 0.25, bool: False, str: "ü\n\"'"}
    types = typing.get_type_hints(CallRecord)
    record = ended(an_open_call(call_id))
    for field in dataclasses.fields(record):
        if getattr(record, field.name) is None:
            setattr(record, field.name, invented[typing.get_args(types[field.name])[0]])
    return record


def rows(*records: CallRecord) -> list[Row]:
    """As they come from the journal."""
    return [read_row(msgspec.json.encode(record)) for record in records]


def a_load(load_id: str = "l1", *, outcome: str | None = None, boot_id: str = "b1") -> LoadRecord:
    load = LoadRecord(
        load_id, "g", boot_id, "big", 1_700_000_000.5, engine="big/1", devices=["gpu0"], victims=["small"]
    )
    load.outcome, load.done_s = outcome, None if outcome is None else 12.5
    return load


def a_sample(sample_id: str = "s1") -> HostSample:
    sample = HostSample(sample_id, "g", "b1", "box", 1_700_000_000.75, cpu_pct=12.5, ram_total_bytes=64 << 30)
    sample.devices = [DeviceSample("gpu0", 97.0, 20 << 30, 24 << 30, 310.5)]
    sample.engines = [EngineSample("big/1", "big", 4711, 99.5, 3 << 29, None, 20 << 30)]
    return sample
