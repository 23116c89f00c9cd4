"""Records out to files and back, from both databases: nothing added, nothing lost, unknown stays unknown."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.accounting.record import CallRecord
from penstock.store.base import EVER, Checkpoint, Kind, Store, Window
from penstock.store.exporting import FORMATS, fields_of, pages
from penstock.store.importing import import_lines
from penstock.store.segments import MAX_LINE_BYTES
from penstock.store.sqlite import SqliteStore
from tests.store.both import KINDS, new_url, prepared
from tests.store.some_calls import a_full_call, a_load, a_sample, an_open_call, ended, rows
from tests.store.test_stores import noted

HERE = Checkpoint("g", "s", 1)
ASKED_FOR = (
    "id client_request_id model_requested model key outcome http_status prompt_tokens completion_tokens cached_tokens "
    "queue_wait_s load_wait_s ttft_s service_s total_s wait_reasons"
)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with prepared(new_url(request.param, tmp_path, request)) as store:
        yield store


def exported(store: Store, form: str, kind: Kind = Kind.CALLS, window: Window = EVER) -> bytes:
    file = io.BytesIO()
    writer = FORMATS[form](file, fields_of(kind))
    for page in pages(store, kind, window, page_rows=2):
        writer.write(page)
    writer.close()
    return file.getvalue()


def some_calls() -> list[CallRecord]:
    served = ended(an_open_call("served"))
    served.enqueued_s, served.admitted_s, served.first_token_s = 0.25, 0.75, 1.0
    served.prompt_tokens, served.cached_tokens, served.streamed = 10, 0, False
    return [a_full_call("full"), served, an_open_call("open"), ended(an_open_call("bare"), "rejected_invalid")]


def test_json_lines_have_every_field_and_what_is_derived_and_null_for_what_is_unknown(store: Store) -> None:
    store.upsert(rows(*some_calls()), [], HERE)
    told = {each["id"]: each for each in map(json.loads, exported(store, "jsonl").splitlines())}
    assert len(told) == 4
    assert set(ASKED_FOR.split()) <= told["open"].keys()
    assert list(told["open"]) == [field.name for field in fields_of(Kind.CALLS)]
    served = told["served"]
    spans = [served[f"{name}_s"] for name in ("queue_wait", "load_wait", "ttft", "decode", "service", "total")]
    assert spans == [0.5, 0.5, 1.0, 0.5, 0.75, 1.5]
    assert (served["wait_reasons"], served["streamed"], served["cached_tokens"]) == ({"loading": 0.5}, False, 0)
    assert (served["uncached_tokens"], served["completion_tokens"]) == (10, None)
    assert [told["open"][name] for name in ("outcome", "total_s", "service_s")] == [None, None, None]


def test_retries_lead_to_their_first_try_also_over_the_edge_of_a_page(store: Store) -> None:
    tries = [ended(an_open_call(f"try{number}"), "upstream_error") for number in range(4)]
    for number, record in enumerate(tries):
        record.received_at += 10.0 * number
        record.retry_count, record.done_s = number, 2.0
    tries[3].request_bytes = 7  # another question
    store.upsert(rows(*tries), [], HERE)
    told = {each["id"]: each["retry_of"] for each in map(json.loads, exported(store, "jsonl").splitlines())}
    assert told == {"try0": None, "try1": "try0", "try2": "try0", "try3": None}


def test_csv_has_a_head_and_empty_cells_for_what_is_unknown(store: Store) -> None:
    store.upsert(rows(*some_calls()), [], HERE)
    told = {row["id"]: row for row in csv.DictReader(io.StringIO(exported(store, "csv").decode()))}
    assert (told["served"]["streamed"], told["served"]["prompt_tokens"]) == ("false", "10")
    assert (told["served"]["completion_tokens"], told["open"]["outcome"]) == ("", "")
    assert json.loads(told["served"]["wait_reasons"]) == {"loading": 0.5}
    assert told["full"]["path"] == "/v1/chat/completions"
    assert told["full"]["workload"] == "ü\n\"'"


def test_parquet_has_types_and_null(store: Store) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    store.upsert(rows(*some_calls()), [], HERE)
    table = parquet.read_table(io.BytesIO(exported(store, "parquet")))
    told = {row["id"]: row for row in table.to_pylist()}
    assert (told["served"]["prompt_tokens"], told["served"]["streamed"], told["served"]["done_s"]) == (10, False, 1.5)
    assert told["served"]["completion_tokens"] is None
    assert str(table.schema.field("prompt_tokens").type) == "int64"


def test_an_empty_window_is_an_empty_file_of_its_form(store: Store) -> None:
    assert exported(store, "jsonl") == b""
    assert exported(store, "csv").startswith(b"id,gateway_id,")
    store.upsert(rows(*some_calls()), [], HERE)
    assert exported(store, "jsonl", window=Window(until=1.0)) == b""


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.value)
def test_what_was_exported_comes_back_the_same_and_only_once(
    store: Store, tmp_path: Path, form: str, kind: Kind
) -> None:
    lines = noted(tmp_path, a_load("open"), a_load("done", outcome="ready"), a_sample())
    calls = some_calls()
    if form == "csv":  # an empty text and none at all are the same there
        calls = [dataclasses.replace(call, workload=call.workload or None) for call in calls]
    store.upsert(rows(*calls), [], HERE, loads=lines.loads, samples=lines.samples)
    file = exported(store, form, kind)
    again = SqliteStore(tmp_path / "again.db")
    again.prepare()
    for _ in range(2):
        for batch in import_lines(again, kind, "a file", io.BytesIO(file)):
            assert (batch.left_out, batch.bad) == (0, [])
    assert sorted(again.page(kind, EVER, None, 9)) == sorted(store.page(kind, EVER, None, 9))
    assert again.checkpoints("import") == {}
    again.close()


def test_lines_that_are_no_records_are_told_with_their_number_and_the_others_are_taken(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    store.upsert(rows(*some_calls()), [], HERE)
    good = exported(store, "jsonl").splitlines()
    refused = json.loads(good[0]) | {"id": "refused", "done_s": None, "outcome": "completed"}
    file = b"\n".join([good[0], b'{"id": 7}', b"", b"nonsense", json.dumps(refused).encode(), good[1]])
    again = SqliteStore(tmp_path / "again.db")
    again.prepare()
    (batch,) = import_lines(again, Kind.CALLS, "a file", io.BytesIO(file))
    assert (batch.records, batch.left_out, [bad.offset for bad in batch.bad]) == (2, 3, [2, 3])
    assert (again.count(), again.count_poisoned()) == (2, 1)
    store.close()
    again.close()


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Where whatever a fuzzed file holds may end up."""
    store = SqliteStore(tmp_path_factory.mktemp("sink") / "penstock.db")
    store.prepare()
    yield store
    store.close()


_CELLS = st.sampled_from(["id", "received_at", "wait_reasons", "1e999", "-5", "nan", "[[", "true", '"', "\0", "é", ""])
_TABLES = st.lists(st.lists(_CELLS, max_size=6).map(",".join), max_size=8).map(lambda rows: "\n".join(rows).encode())


@settings(max_examples=100)
@given(
    st.binary(max_size=200)
    | _TABLES
    | st.binary(max_size=50).map(lambda rest: b'{"id":"x",' + rest)
    | st.integers(1, 100_000).map(lambda depth: b'{"wait_reasons":' + b"[" * depth)
)
@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.value)
def test_no_file_at_all_keeps_an_import_from_its_end(sink: Store, kind: Kind, content: bytes) -> None:
    before = sink.count(kind)
    batches = list(import_lines(sink, kind, "a file", io.BytesIO(content)))
    assert sum(len(batch.bad) for batch in batches) <= sum(batch.left_out for batch in batches)
    assert sink.count(kind) - before <= sum(batch.records for batch in batches)


def test_a_line_without_an_end_is_left_out_in_pieces(sink: Store) -> None:
    (batch,) = import_lines(sink, Kind.CALLS, "a file", io.BytesIO(b'{"id":"' + b"x" * (MAX_LINE_BYTES + 9)))
    assert (batch.records, batch.left_out) == (0, 2)
