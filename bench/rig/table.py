"""Lays the medians out: a row a metric, a column a target, and the ratio to nginx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

REFERENCE = "nginx"


def lines(medians: Mapping[str, Mapping[str, float]], targets: Sequence[str]) -> list[str]:
    rated = [name for name in targets if name not in ("direct", REFERENCE)]
    header = ["", *targets, *(f"{name} / {REFERENCE}" for name in rated)]
    rows = [header]
    for metric, values in medians.items():
        whole = medians.get(metric.rpartition(" ")[0], {})  # a part is rated by the reference's whole
        reference = values.get(REFERENCE, whole.get(REFERENCE))
        ratios = [_ratio(values.get(name), reference) for name in rated]
        rows.append([metric, *(_figure(values.get(name)) for name in targets), *ratios])
    widths = [max(len(row[at]) for row in rows) for at in range(len(header))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _ratio(value: float | None, reference: float | None) -> str:
    return "-" if value is None or not reference else f"{value / reference:.2f}"
