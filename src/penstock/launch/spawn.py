"""Turns a fork of the guard into an engine. Part of the guard: as few imports as that."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def adopt_orphans() -> bool:
    """Become the parent of every descendant that loses its own; False = this system cannot do that."""
    return _prctl is not None and bool(_prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def spawn(
    argv: list[str], env: dict[str, str], cwd: str | None, output: int, tells: int, *, dies_with_parent: bool
) -> int:
    """Run a command in a session of its own, printing to `output`; return its number. Raises OSError.

    What fails after the fork is written to `tells`, a file that closes when the new process becomes the command;
    2 is where the command itself would complain.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        if _prctl is not None and dies_with_parent:  # the last resort, should guard and gateway be killed at once
            _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            _become(argv, env, cwd, output)
    except OSError as fault:
        os.write(tells, f"{fault}".encode(errors="backslashreplace"))
    finally:
        os._exit(127)


def _become(argv: list[str], env: dict[str, str], cwd: str | None, output: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, source in enumerate((null, output, output)):
        os.dup2(source, fd)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and that would be inherited
        signal.signal(number, signal.SIG_DFL)
    if cwd is not None:
        try:
            os.chdir(cwd)
        except OSError as fault:
            raise OSError(f"cannot work in {cwd}: {fault.strerror}") from fault
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606 - what the operator configured
    except FileNotFoundError as fault:
        what = "its interpreter is missing" if os.path.exists(argv[0]) else "command not found"
        raise OSError(f"{argv[0]}: {what}") from fault
    except PermissionError as fault:
        raise OSError(f"{argv[0]}: not executable") from fault
    except ValueError as fault:
        raise OSError("a zero byte in the command or its environment") from fault
    except OSError as fault:
        raise OSError(f"{argv[0]}: {fault.strerror}") from fault
