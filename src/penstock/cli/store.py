"""`penstock store`: the tables as statements, and records back from a file."""

from __future__ import annotations

import sys
from pathlib import Path

from penstock.cli.progress import progress
from penstock.cli.usual import FAILED
from penstock.cli.where import Where, opened
from penstock.store.base import Kind
from penstock.store.ddl import ddl
from penstock.store.importing import import_lines
from penstock.store.views import POSTGRESQL, SQLITE

SHOWN_LINES = 5
PARQUET = b"PAR1"
"""What a file of that format begins with."""


def print_ddl(where: Where) -> int:
    """For the kind of database that the store is; nothing is connected."""
    for statement in ddl(POSTGRESQL if where.address.is_postgres else SQLITE):
        print(f"{statement};\n")
    return 0


def import_file(where: Where, kind: Kind, file: Path) -> int:
    """Gives the exit code: 1 if any line was left out, and why is printed."""
    records = left_out = 0
    if where.address.path is not None:
        where.address.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opened(where.address) as store:
        try:
            with file.open("rb") as start:
                if start.read(len(PARQUET)) == PARQUET:
                    print(f"penstock: {file}: Parquet cannot be read back; export JSON Lines or CSV", file=sys.stderr)
                    return FAILED
            with file.open("rb") as lines, progress(f"importing {file.name}", file.stat().st_size) as advance:
                at = 0
                for batch in import_lines(store, kind, file.name, lines):
                    for bad in batch.bad[: max(0, SHOWN_LINES - left_out)]:
                        print(f"{file}:{bad.offset}: {bad.reason}", file=sys.stderr)
                    records += batch.records
                    left_out += batch.left_out
                    advance(lines.tell() - at)
                    at = lines.tell()
        except OSError as exc:
            print(f"penstock: {file}: {exc.strerror}", file=sys.stderr)
            return FAILED
    print(f"{records} {kind.value} read, {left_out} left out")
    return FAILED if left_out else 0
