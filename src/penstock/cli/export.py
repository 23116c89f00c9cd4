"""`penstock export`: the records of a window as a file, with what the journals still hold."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from penstock.cli.progress import progress
from penstock.cli.usual import FAILED, USAGE
from penstock.cli.where import Where, opened
from penstock.cli.whole_file import whole_file
from penstock.config.quantities import seconds
from penstock.runtime.records.catching_up import catch_up
from penstock.store.base import EVER, Kind, Store, Window
from penstock.store.exporting import FORMATS, ParquetMissing, fields_of, pages


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The command line. `format` None = by the ending of `output`, else JSON Lines; `output` None = standard output."""

    kind: Kind = Kind.CALLS
    format: str | None = None
    window: Window = EVER
    output: Path | None = None


def window_of(last: str | None, since: str | None, until: str | None, *, now: float) -> Window:
    """What `--last`, `--from` and `--to` mean; without an end, up to now. Raises ValueError.

    None of them is all there is: also what came, it seems, in the future, when the clock was wrong.
    """
    if last is since is until is None:
        return EVER
    if last is not None:
        if since is not None or until is not None:
            raise ValueError("--last, or --from and --to, not both")
        return Window(now - _length_s(last), now)
    start, end = None if since is None else moment(since), now if until is None else moment(until)
    if start is not None and start >= end:
        raise ValueError("--from must be before --to")
    return Window(start, end)


def _length_s(last: str) -> float:
    """Raises ValueError."""
    try:
        length_s = seconds(last)
    except ValueError:
        length_s = 0.0
    if length_s <= 0:
        raise ValueError(f'"{last}" is no length of time: write 30m, 24h or 7d')
    return length_s


def moment(text: str) -> float:
    """Epoch seconds, or a date with or without time: UTC unless it says otherwise. Raises ValueError."""
    try:
        found = float(text)
    except ValueError:
        try:
            read = datetime.fromisoformat(text)
            found = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            found = math.nan
    if not math.isfinite(found):
        raise ValueError(f'"{text}" is no moment: write 2026-01-31, 2026-01-31T12:00:00Z or epoch seconds')
    return found


def export(where: Where, options: ExportOptions) -> int:
    """Gives the exit code; 1 also when a journal could not be brought in, which is said, and the rest is written."""
    chosen = options.format or _format_of(options.output)
    if chosen == "parquet" and options.output is None:
        print("penstock: Parquet goes to a file: name one with -o", file=sys.stderr)
        return USAGE
    if (path := where.address.path) is not None and not path.exists() and not (path.parent / "journal").exists():
        print(f"penstock: there is no store at {path}", file=sys.stderr)
        return FAILED
    with opened(where.address) as store:
        folders = [where.state_dir] if path is None else [where.state_dir, path.parent]
        missing = catch_up(store, where.address, folders)
        for each in missing:
            print(f"penstock: the journal in {each.state_dir} is left out: {each.reason}", file=sys.stderr)
        try:
            with _file(options.output) as file:
                _write(store, options, chosen, file)
        except ParquetMissing as exc:
            print(f"penstock: {exc}", file=sys.stderr)
            return FAILED
        except BrokenPipeError:  # whoever read it has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as exc:
            print(f"penstock: {options.output or 'standard output'}: {exc.strerror}", file=sys.stderr)
            return FAILED
    return FAILED if missing else 0


def _format_of(output: Path | None) -> str:
    ending = "" if output is None else output.suffix[1:].lower()
    return ending if ending in FORMATS else "jsonl"


def _write(store: Store, options: ExportOptions, chosen: str, file: BinaryIO) -> None:
    kind, window = options.kind, options.window
    writer = FORMATS[chosen](file, fields_of(kind))
    is_shown = options.output is not None or not sys.stdout.isatty()
    with progress(f"exporting {kind.value}", store.count(kind, window), is_shown=is_shown) as advance:
        for page in pages(store, kind, window):
            writer.write(page)
            advance(len(page))
    writer.close()
    file.flush()


@contextmanager
def _file(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        return
    with whole_file(output) as file:
        yield file
