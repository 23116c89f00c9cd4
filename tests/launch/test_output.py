"""An engine that prints without end does not hold up the loop."""

from __future__ import annotations

import asyncio
import os

from penstock.launch.output import Output
from tests.launch.conftest import Run


def test_one_turn_of_the_loop_reads_one_portion_however_much_there_is(run: Run) -> None:
    async def world() -> None:
        loop = asyncio.get_running_loop()
        source, sink = os.pipe()
        reads: list[int] = []
        turns = 0
        enough = asyncio.Event()

        def print_again(text: bytes) -> None:
            reads.append(len(text))
            os.write(sink, text)

        def count_turn() -> None:
            nonlocal turns
            turns += 1
            if len(reads) < 50:
                loop.call_soon(count_turn)
            else:
                enough.set()

        os.write(sink, b"x" * 65536)
        output = Output(source, print_again)
        count_turn()
        await enough.wait()
        assert len(reads) <= turns
        output.close()  # though the printing never ends
        os.close(sink)

    run(world())


def test_what_was_printed_last_is_read_before_the_end(run: Run) -> None:
    async def world() -> None:
        source, sink = os.pipe()
        reads: list[bytes] = []
        output = Output(source, reads.append)
        os.write(sink, b"goodbye")
        output.close()
        os.close(sink)
        assert reads == [b"goodbye"]

    run(world())
