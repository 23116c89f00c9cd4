"""A thread for work that may wait, of which nobody waits for the end.

A daemon, unlike those of an executor: a driver that never answers must not keep the program from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Aside:
    """One thread, begun with the first task; tasks are done one after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """What the function returns or raises, told in the running loop."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[T] = loop.create_future()

        def task() -> None:
            tell: Callable[[], None]
            try:
                result = function(*args, **kwargs)
                tell = lambda: None if told.done() else told.set_result(result)  # noqa: E731
            except Exception as exc:  # noqa: BLE001 - the root of the task: whoever waits for it is told
                fault = exc
                tell = lambda: None if told.done() else told.set_exception(fault)  # noqa: E731
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(tell)

        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._tasks.put(task)
        return told

    @property
    def backlog(self) -> int:
        """Tasks that have not begun."""
        return self._tasks.qsize()

    def close(self) -> None:
        """Nothing more will come; what is under way is not waited for. Idempotent."""
        self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
