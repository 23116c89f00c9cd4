"""Whether a process works or stands still, by what Linux tells and by real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.sample.life import Life, life_of, works

SPAN_S = 10.0


def folder(proc: Path, state: str, ticks: tuple[int, int], name: str = "a) b (c") -> Path:
    """A process 7 as /proc shows its first thread."""
    thread = proc / "7" / "task" / "7"
    thread.mkdir(parents=True, exist_ok=True)
    thread.joinpath("stat").write_text(f"7 ({name}) {state} 1 7 7 0 -1 4194304 1 2 3 4 {ticks[0]} {ticks[1]} 0 0 20 5")
    return proc


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_what_linux_tells_is_read_whatever_the_process_calls_itself(tmp_path: Path) -> None:
    per_s = os.sysconf("SC_CLK_TCK")
    assert life_of(7, folder(tmp_path, "S", (2 * per_s, per_s))) == Life(3.0, is_pressed=False)
    assert life_of(7, folder(tmp_path, "R", (0, 0))) == Life(0.0, is_pressed=True)
    assert life_of(7, folder(tmp_path, "D", (0, 0))) == Life(0.0, is_pressed=True)
    assert life_of(7, folder(tmp_path, "T", (0, 0))) == Life(0.0, is_pressed=False)
    assert life_of(8, tmp_path) is None


@pytest.mark.parametrize(
    ("before", "now", "is_working"),
    [
        (Life(1.0, is_pressed=False), Life(1.2, is_pressed=False), True),
        (Life(1.0, is_pressed=False), Life(1.05, is_pressed=False), False),  # it looks whether a server has answered
        (Life(1.0, is_pressed=False), Life(1.0, is_pressed=True), True),  # it would work if it got a processor
        (None, Life(9.0, is_pressed=True), False),
        (Life(1.0, is_pressed=True), None, False),
    ],
)
def test_it_works_if_it_got_processor_time_or_waits_for_it(
    before: Life | None, now: Life | None, *, is_working: bool
) -> None:
    assert works(before, now, SPAN_S) is is_working


def test_a_process_that_is_stopped_does_not_work() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        before = life_of(busy.pid)
        assert works(before, life_of(busy.pid), 0.0)
        os.kill(busy.pid, signal.SIGSTOP)
        os.waitpid(busy.pid, os.WUNTRACED)
        stopped = life_of(busy.pid)
        assert stopped is not None
        assert not works(stopped, life_of(busy.pid), SPAN_S)
        busy.kill()
