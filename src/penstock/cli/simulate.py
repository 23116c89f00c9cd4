"""`penstock simulate`: what other rules, or another configuration, would have made of the same calls."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from penstock.config.faults import ConfigError, Fault, listed
from penstock.config.load import load
from penstock.config.plan import plan
from penstock.config.quantities import seconds
from penstock.core.scheduling.plan import Plan
from penstock.discovery.machine import host_memory_bytes
from penstock.launch.footprints import estimated_footprints
from penstock.runtime.state_dir import default_state_dir
from penstock.simulate.chart import page
from penstock.simulate.comparison import Comparison, compare
from penstock.simulate.history import PastCall, world_of_history
from penstock.simulate.replay import POLICIES
from penstock.simulate.report import as_json, as_text
from penstock.simulate.scenario import find, shipped_names
from penstock.simulate.world import World

FINE, FAILED, USAGE, BAD_CONFIGURATION = 0, 1, 2, 3
ALL = "all"
STORE = "penstock.db"
_MOST_SEEDS = 1000

_PAST = """
SELECT received_at + enqueued_s AS at_s, model, key, priority, done_s - admitted_s AS service_s,
       coalesce(prompt_tokens_estimated, prompt_tokens, 0) AS prompt_tokens,
       CASE WHEN caused_load THEN json_extract(wait_reasons, '$.loading') END AS load_s
FROM calls
WHERE received_at >= ? AND model IS NOT NULL AND enqueued_s IS NOT NULL AND done_s > admitted_s
ORDER BY at_s
"""


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """The command line."""

    scenarios: tuple[str, ...] = ()
    policies: str = ALL
    seeds: str = "1-5"
    as_json: bool = False
    html: Path | None = None
    from_store: bool = False
    last: str = "24h"
    config: Path | None = None
    state_dir: Path | None = None


class BadOption(Exception):
    """Something on the command line cannot be understood."""


class NoHistory(Exception):
    """There are no records to replay."""


def simulate(options: SimulateOptions, *, environ: Mapping[str, str] | None = None, out: TextIO | None = None) -> int:
    """Run and report; gives the exit code."""
    environ, out = os.environ if environ is None else environ, out or sys.stdout
    try:
        policies, seeds = _policies(options.policies), _seeds(options.seeds)
        worlds = _worlds(options, environ)
        _report(options, [*compare(worlds, policies, seeds)], out)
    except BadOption as error:
        print(f"penstock: {error}", file=sys.stderr)
        return USAGE
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIGURATION
    except (NoHistory, OSError) as error:
        print(f"penstock: {error}", file=sys.stderr)
        return FAILED
    return FINE


def _report(options: SimulateOptions, comparisons: Sequence[Comparison], out: TextIO) -> None:
    if options.html is not None:
        options.html.write_text(page(comparisons), encoding="utf-8")
    if options.as_json:
        out.write(json.dumps(as_json(comparisons), indent=2) + "\n")
        return
    out.write("\n".join(map(as_text, comparisons)))


def _policies(text: str) -> tuple[str, ...]:
    names = tuple(POLICIES) if text == ALL else tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in POLICIES:
            raise BadOption(f"--policies {text}: `{name}` is unknown; expected `{ALL}`, or some of {listed(POLICIES)}")
    return names


def _seeds(text: str) -> tuple[int, ...]:
    """Read "3", "1-5" or "1,4,9"."""
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part.strip())
        if found is None:
            raise BadOption(f"--seeds {text}: expected numbers such as `3`, `1-5` or `1,4,9`")
        first, last = int(found[1]), int(found[2] or found[1])
        if len(seeds) + last - first >= _MOST_SEEDS:
            raise BadOption(f"--seeds {text}: expected at most {_MOST_SEEDS} seeds")
        seeds += range(first, last + 1)
    if not seeds:
        raise BadOption(f"--seeds {text}: expected at least one seed")
    return tuple(seeds)


def _worlds(options: SimulateOptions, environ: Mapping[str, str]) -> list[World]:
    if not options.from_store:
        if options.config is not None:
            raise BadOption("--config says how recorded calls would have been served; it needs --from-store")
        names = shipped_names() if options.scenarios in ((), (ALL,)) else options.scenarios
        return [find(name) for name in names]
    if options.scenarios:
        raise BadOption("a scenario and --from-store exclude each other")
    if options.config is None:
        raise BadOption("--from-store needs --config: the configuration that shall serve the recorded calls")
    return [_history(options, options.config, environ)]


def _history(options: SimulateOptions, config: Path, environ: Mapping[str, str]) -> World:
    made = _plan_of(config, environ)
    path = (options.state_dir or default_state_dir(environ)) / STORE
    calls = read_past(path, since=time.time() - _span_s(options.last))
    known = {model.name for model in made.models}
    strange = sorted({call.model for call in calls} - known)
    if strange:
        left_out = sum(call.model in strange for call in calls)
        print(f"penstock: {left_out} calls left out: {config} has no {listed(strange)}", file=sys.stderr)
    calls = [call for call in calls if call.model in known]
    if not calls:
        raise NoHistory(f"no served call of the last {options.last} in {path} is for a model of {config}")
    return world_of_history(f"the last {options.last} under {config.name}", made, calls)


def _plan_of(config: Path, environ: Mapping[str, str]) -> Plan:
    settings = load(config, environ=environ).settings
    made = plan(settings, host_memory_bytes=host_memory_bytes(), footprints=estimated_footprints(settings))
    if faults := made.faults():
        raise ConfigError(Fault(str(config), None, "models", each, "models that can be served") for each in faults)
    return made


def _span_s(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise BadOption(f"--last {text}: expected a duration such as `24h`, `90m` or `7d`") from error


def read_past(path: Path, *, since: float) -> list[PastCall]:
    """The served calls since a moment (epoch seconds), read while others may be writing. Raises NoHistory."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return [PastCall(*row) for row in connection.execute(_PAST, (since,))]
    except sqlite3.Error as error:
        raise NoHistory(f"{path} cannot be read as a store of records ({error})") from error
