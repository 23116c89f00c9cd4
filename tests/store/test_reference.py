from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from penstock.core.accounting.fields import documented
from penstock.core.accounting.host_sample import HostSample
from penstock.core.accounting.load_record import LoadRecord
from penstock.core.accounting.outcomes import MEANINGS, Outcome
from penstock.core.accounting.record import CallRecord
from penstock.store.reference import markdown
from penstock.store.schema import metadata

DOCS = Path(__file__).parents[2] / "docs" / "records.md"


def test_the_published_page_says_what_the_fields_say() -> None:
    assert DOCS.read_text() == markdown(), "python -m penstock.store.reference > docs/records.md"


@pytest.mark.parametrize(("record", "table"), [(CallRecord, "calls"), (LoadRecord, "loads"), (HostSample, "samples")])
def test_every_column_has_a_meaning_a_source_and_says_what_null_means_if_it_can_be_null(
    record: type, table: str
) -> None:
    docs = {field.name: field.doc for field in documented(record)}
    columns = metadata.tables[table].c
    assert list(docs) == [field.name for field in fields(record)] == [column.name for column in columns]
    for column in columns:
        doc = docs[column.name]
        assert doc.meaning.endswith(".")
        assert doc.source
        assert bool(doc.null) is bool(column.nullable), column.name


def test_a_quantity_says_its_unit_as_its_name_does() -> None:
    units = {"_s": "s", "_bytes": "bytes", "_tokens": "tokens", "_ms": "ms", "_w": "W", "_mhz": "MHz", "_pct": "%"}
    for record in (CallRecord, LoadRecord, HostSample):
        for field in documented(record):
            for suffix, unit in units.items():
                if field.name.endswith(suffix):
                    assert field.doc.unit == unit, field.name


def test_every_outcome_has_a_meaning() -> None:
    assert list(MEANINGS) == list(Outcome)
