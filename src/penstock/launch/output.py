"""Reads what an engine prints, as it comes: the pipe is always emptied, the event loop never held up."""

from __future__ import annotations

import asyncio
import os

from penstock.launch.base import LogSink

_TURN_BYTES = 64 * 1024
"""What one engine may print in one turn of the loop; as much as a pipe holds."""

_LEFT_TURNS = 16
"""What is read at the end. A pipe holds less: who fills it faster than that has outlived its engine."""


class Output:
    """The reading end of the pipe that one engine prints to."""

    def __init__(self, source: int, log: LogSink) -> None:
        self._source = source
        self._log = log
        self._loop = asyncio.get_running_loop()
        os.set_blocking(source, False)
        self._loop.add_reader(source, self._take)

    def close(self) -> None:
        """Take what is still in the pipe; whoever has the other end gets no more of it read."""
        self._loop.remove_reader(self._source)
        for _ in range(_LEFT_TURNS):
            if not self._take():
                break
        os.close(self._source)

    def _take(self) -> bool:
        try:
            text = os.read(self._source, _TURN_BYTES)
        except BlockingIOError:
            return False
        if text:
            self._log(text)
        else:  # nobody is left to print; without this the loop would be told again and again
            self._loop.remove_reader(self._source)
        return bool(text)
