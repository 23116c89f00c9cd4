"""Command lines as operators write them: split without a shell, and read for what they say about the engine."""

from __future__ import annotations

import itertools
import re
import shlex

from penstock.config.schema import ModelSettings

_SLOT_FLAGS = frozenset({
    "-np", "--parallel", "--n-parallel",  # llama.cpp
    "--max-num-seqs",  # vLLM
    "--max-running-requests",  # SGLang
    "--max-batch-size", "--max-concurrent-requests",  # TensorRT-LLM, TGI
})  # fmt: skip

PORT = "${PORT}"
PID = "${PID}"


def without_comments(command: str) -> str:
    """The command less the lines whose first sign is `#`."""
    return "\n".join(line for line in command.split("\n") if not line.lstrip().startswith("#"))


def argv(command: str) -> tuple[str, ...]:
    """The words of a command: comment lines dropped, lines joined, quotes as in a shell. Raises ValueError."""
    joined = re.sub(r"\\[ \t]*$", " ", without_comments(command.replace("\r\n", "\n")), flags=re.MULTILINE)
    return tuple(shlex.split(joined))


def slots_in(words: tuple[str, ...]) -> int | None:
    """How many calls at once a command line asks its engine to serve; None = it does not say. The last word counts."""
    slots = None
    for flag, value in itertools.zip_longest(words, words[1:], fillvalue=""):
        name, equals, inline = flag.partition("=")
        text = inline if equals else value
        if name in _SLOT_FLAGS and text.isascii() and text.isdecimal() and int(text) > 0:
            slots = int(text)
    return slots


def declared_slots(model: ModelSettings) -> int | None:
    """Calls at once that the settings speak of: `parallel`, else the command line; None = they do not say."""
    if isinstance(model.parallel, int):
        return model.parallel
    return slots_in(argv(model.cmd) if model.cmd else model.gguf.args if model.gguf else ())
