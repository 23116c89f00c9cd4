"""What Prometheus asks for: whether records reach their store, so that somebody is woken when they do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fastapi.responses import Response

from penstock import __version__
from penstock.runtime.gateway import Gateway

TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""https://prometheus.io/docs/instrumenting/exposition_formats/"""


class Metric(NamedTuple):
    """value: None = unknown, and then it is left out: a 0 would be a lie, and silence can be noticed too."""

    name: str
    kind: str
    means: str
    value: float | None


def exposition(metrics: Iterable[Metric]) -> str:
    return "".join(_lines(metrics))


def _lines(metrics: Iterable[Metric]) -> Iterator[str]:
    for name, kind, means, value in metrics:
        if value is not None:
            bare = name.partition("{")[0]
            yield f"# HELP {bare} {means}\n# TYPE {bare} {kind}\n{name} {value}\n"


class MetricRoutes:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def show(self) -> Response:
        """The figures of `/health/detail`, in Prometheus' text format."""
        return Response(exposition(self._metrics()), media_type=TEXT)

    def _metrics(self) -> Iterator[Metric]:
        gateway = self._gateway
        yield Metric(f'penstock_build_info{{version="{__version__}"}}', "gauge", "Always 1.", 1)
        yield from _of_the_books(gateway)
        yield Metric("penstock_connections", "gauge", "Clients that are connected.", len(gateway.doors.connections))
        malformed = gateway.doors.malformed
        yield Metric("penstock_malformed_requests_total", "counter", "Requests that were no HTTP.", malformed)


def _of_the_books(gateway: Gateway) -> Iterator[Metric]:
    status = gateway.bookkeeping.status
    lag = status if status is not None and status.is_lag_known else None
    lag_bytes, lag_s = (None, None) if lag is None else (lag.lag_bytes, lag.lag_s)
    yield Metric("penstock_journal_lag_bytes", "gauge", "Of the journal, not yet in the store.", lag_bytes)
    yield Metric("penstock_journal_lag_seconds", "gauge", "For how long something has not been.", lag_s)
    if status is not None:
        yield Metric("penstock_store_up", "gauge", "1 = the store takes records.", int(status.store == "ok"))
        yield Metric("penstock_records_stored_total", "counter", "Closed records carried over.", status.records)
        yield Metric("penstock_records_expired_total", "counter", "Deleted for their age or number.", status.shed)
        yield Metric("penstock_lines_set_aside_total", "counter", "Of the journal, unreadable.", status.poisoned)
    lost, restarts = gateway.records_lost, gateway.bookkeeping.restarts
    yield Metric("penstock_records_lost_total", "counter", "Neither journal nor memory had room for them.", lost)
    yield Metric("penstock_bookkeeper_restarts_total", "counter", "Its bookkeeper had ended, or hung.", restarts)
