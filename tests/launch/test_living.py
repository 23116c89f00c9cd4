"""A process is told from every other, and counts as alive exactly as long as it can do something."""

from __future__ import annotations

import signal
import subprocess
import sys

from penstock.launch.living import MARK, Living, living, mark_of, send, with_descendants
from tests.launch.engines import SERVES

WITHOUT_FIRST_THREAD = """
import ctypes, os, threading
def outlive():
    while open('/proc/self/stat').read().rpartition(')')[2].split()[0] != 'Z': os.sched_yield()
    print('alone', flush=True)
    os.read(0, 1)
    os._exit(0)
threading.Thread(target=outlive).start()
ctypes.CDLL(None).pthread_exit(0)
"""


def find(pid: int) -> Living | None:
    return next((process for process in living() if process.pid == pid), None)


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        while find(process.pid) is not None:
            process.stdout.read()
    assert process.returncode == 0


def test_a_process_without_its_first_thread_is_alive() -> None:
    command = [sys.executable, "-c", WITHOUT_FIRST_THREAD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"alone\n"
        assert find(process.pid) is not None


def test_a_later_process_with_the_same_number_is_not_signalled() -> None:
    with subprocess.Popen(SERVES, stdout=subprocess.PIPE, env={MARK: "m/1"}) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = find(process.pid)
        assert found is not None
        assert mark_of(found) == "m/1"
        assert send(Living(found.pid, found.parent, found.session, found.started - 1), signal.SIGKILL)
        assert send(found, signal.SIGUSR1)
    assert process.returncode == -signal.SIGUSR1


def test_descendants_are_found_in_any_order_and_once() -> None:
    table = [Living(4, 3, 0, 0), Living(3, 2, 0, 0), Living(2, 1, 0, 0), Living(5, 1, 0, 0), Living(6, 6, 0, 0)]
    assert sorted(process.pid for process in with_descendants([table[1], table[2]], table)) == [2, 3, 4]
    assert [process.pid for process in with_descendants([table[4]], table)] == [6]
