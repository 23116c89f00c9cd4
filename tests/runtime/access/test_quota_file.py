"""What was used is known again, however the process before ended and whatever became of the file."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.core.calls.key import Key
from penstock.core.calls.quota import Counted, Quota
from penstock.runtime.access import quota_file
from penstock.runtime.access.quota_file import QuotaFile, used

NOW = 1_790_000_000.0
DAY = Quota(Counted.REQUESTS, 1000, 86_400)


def key(name: str, *quotas: Quota) -> Key:
    return Key(name, name.encode().ljust(32, b"."), quotas=quotas or (DAY,))


def test_counters_are_found_again_and_kept_apart(tmp_path: Path) -> None:
    both = key("ann", DAY, Quota(Counted.TOKENS, 5, 60))
    file = QuotaFile(tmp_path, [])
    for tally in file.tallies(both):
        tally.add(3, NOW)
    (bobs,) = file.tallies(key("bob"))
    bobs.add(1, NOW)
    file.close()
    again = QuotaFile(tmp_path, [])
    assert [tally.used(NOW) for tally in again.tallies(both)] == [3, 3]
    assert used(tmp_path, key("bob"), NOW) == (1,)
    again.close()


COUNTING = """
    import os, signal, sys
    from pathlib import Path
    from penstock.core.calls.key import Key
    from penstock.core.calls.quota import Counted, Quota
    from penstock.runtime.access.quota_file import QuotaFile

    key = Key("ann", b"ann".ljust(32, b"."), quotas=(Quota(Counted.REQUESTS, 1000, 86_400),))
    (tally,) = QuotaFile(Path(sys.argv[1]), [key]).tallies(key)
    for _ in range(137):
        tally.add(1, 1_790_000_000.0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_has_counted_exactly(tmp_path: Path) -> None:
    for times in (1, 2):
        ended = subprocess.run([sys.executable, "-c", textwrap.dedent(COUNTING), str(tmp_path)], check=False)
        assert ended.returncode == -9
        assert used(tmp_path, key("ann"), NOW) == (137 * times,)


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 100, b"\xff" * quota_file._SIZE_BYTES])
def test_a_damaged_file_is_told_and_counted_anew(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "quotas").write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        file = QuotaFile(tmp_path, [key("ann")])
    assert "damaged" in caplog.text
    (tally,) = file.tallies(key("ann"))
    tally.add(2, NOW)
    assert used(tmp_path, key("ann"), NOW) == (2,)
    file.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=9)), max_size=5))
def test_whatever_the_file_holds_counting_goes_on(tmp_path: Path, scribbles: list[tuple[int, bytes]]) -> None:
    file = QuotaFile(tmp_path, [])
    file.tallies(key("ann"))[0].add(1, NOW)
    file.close()
    with (tmp_path / "quotas").open("r+b") as open_file:
        for at, content in scribbles:
            open_file.seek(at)
            open_file.write(content)
    file = QuotaFile(tmp_path, [])
    (tally,) = file.tallies(key("ann"))
    before = tally.used(NOW)
    tally.add(1, NOW)
    assert tally.used(NOW) == before + 1
    file.close()


def test_where_nothing_can_be_kept_quotas_hold_until_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = QuotaFile(tmp_path / "missing", [])
    assert "quotas_not_kept" in caplog.text
    (tally,) = file.tallies(key("ann"))
    tally.add(2, NOW)
    assert file.tallies(key("ann"))[0].used(NOW) == 2
    file.close()


def test_counters_are_bounded_and_old_ones_make_room_at_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = QuotaFile(tmp_path, [])
    for number in range(quota_file.CAPACITY + 2):
        (tally,) = file.tallies(key(str(number)))
        tally.add(1, NOW)
        assert tally.used(NOW) == 1
    assert caplog.text.count("quotas_not_kept") == 1
    file.close()
    file = QuotaFile(tmp_path, [key("7")])
    assert used(tmp_path, key("7"), NOW) == (1,)
    assert used(tmp_path, key("8"), NOW) == (0,)
    file.close()
