"""What a head says to the gateway itself, and that saying nothing costs nothing."""

from __future__ import annotations

from penstock.runtime.access.caller import SILENT, Caller, fingerprint_of, host_of, read_caller


def test_who_says_nothing_to_the_gateway_shares_one_caller() -> None:
    assert read_caller({b"host": b"h", b"authorization": b"Bearer sk", b"accept": b"*/*"}) is SILENT


def test_labels_are_read_and_the_host_only_where_a_page_asks() -> None:
    said = read_caller({b"host": b"h", b"x-overlaat-workload": b"old", b"x-penstock-workload": b"new"})
    assert said == Caller(workload="new")
    assert read_caller({b"host": b"h", b"origin": b"http://h"}) == Caller(host="h", origin="http://h")


def test_what_is_no_label_is_nobodys() -> None:
    assert read_caller({b"x-session-id": b"\xff", b"x-request-id": b"a" * 129}) == Caller()
    assert read_caller({b"x-penstock-workload": b" \t "}) == Caller()
    assert host_of({b"host": b""}) is None
    assert host_of({}) is None


def test_blanks_around_a_label_are_no_part_of_it() -> None:
    assert read_caller({b"x-penstock-workload": b" the nightly run \t"}) == Caller(workload="the nightly run")


def test_a_count_of_tries_that_no_store_can_hold_is_nonsense() -> None:
    assert read_caller({b"x-stainless-retry-count": b"123456789"}) == Caller(retry_count="123456789")
    assert read_caller({b"x-stainless-retry-count": b"9" * 20}) == Caller()


def test_a_key_is_known_by_the_same_fingerprint_however_it_is_shown() -> None:
    ways = ({b"authorization": b"Bearer sk-1"}, {b"x-api-key": b"sk-1"}, {b"api-key": b" sk-1 "})
    assert {fingerprint_of(way) for way in ways} == {"0f2c10bf"}
    assert fingerprint_of({}) is None
