"""The configuration that a machine is served with when nobody wrote one, as a file to read and to keep.

It is text, not settings: the same lines work when they are saved as `penstock.yaml`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from penstock.core.footprint import footprint
from penstock.discovery.demo import CHAT_CONTEXT, DemoModels
from penstock.discovery.gguf import Use
from penstock.discovery.machine import Engine
from penstock.discovery.models import FoundModel

SLOTS = 4
CONTEXT_PER_SLOT = 8192
SHARE_FOR_MODELS = 0.8
"""Of the host's memory; the rest is left to everything else that runs on it."""

_SMALLEST_CONTEXT = 2048
_LONGEST_DEMO_ANSWER = 400  # tokens; an answer ends by itself long before, nearly always


def demo_configuration(models: DemoModels) -> str:
    """Serve the demo models; beside the embedding model there is room for one chat model, so they swap."""
    bounded = f'\n      args: ["--predict", "{_LONGEST_DEMO_ANSWER}"]'
    chats = "".join(
        f"""
  {name}:
    gguf:
      path: {_quoted(path)}
      context: {CHAT_CONTEXT}
      threads: 1{bounded}
    parallel: 4
    memory: 60MiB
"""
        for name, path in (("tiny-chat-a", models.chat_a), ("tiny-chat-b", models.chat_b))
    )
    return f"""\
# No model was found on this machine, so these are three tiny ones. They run on the real engine, but their
# weights are random: the answers are words without a meaning.
penstock: 1

# As if memory were short: beside the embedding model there is room for one chat model. A request for the
# other one waits until the first has nothing to do; then they swap.
devices:
  ram: {{memory: 100MiB}}

models:{chats}
  tiny-embed:
    gguf: {{path: {_quoted(models.embed)}, threads: 1}}
    parallel: 2
    memory: 40MiB
"""


def configuration_found(models: Sequence[FoundModel], engine: Engine, memory_bytes: int) -> str:
    """Serve what was found, as far as it fits. memory_bytes: of the host."""
    room_bytes = int(memory_bytes * SHARE_FOR_MODELS)
    served, left_out = [], []
    for model in models:
        context_tokens = _context_tokens(model, room_bytes)
        if context_tokens is None:
            left_out.append(f"#   {_one_line(model.name)}: {_gigabytes(model.file_bytes)}\n")
        elif "${" not in f"{model.name}{model.path}{model.mmproj}":  # a configuration would take it for a macro
            served.append(_entry(model, context_tokens))
    return (
        f"# What was found on this machine, run by {_one_line(str(engine))}.\npenstock: 1\n\n"
        f"devices:\n  ram: {{memory: {room_bytes // 2**20}MiB}}  # of {_gigabytes(memory_bytes)}\n\n"
        + ("# Too large for this memory:\n" + "".join(left_out) + "\n" if left_out else "")
        + ("models:\n" + "\n".join(served) if served else "models: {}\n")
    )


def _entry(model: FoundModel, context_tokens: int) -> str:
    facts = model.facts
    remarks = [facts.architecture, facts.quantisation, _gigabytes(model.file_bytes)]
    lines = [f"path: {_quoted(model.path)}"]
    if model.mmproj:
        lines.append(f"mmproj: {_quoted(model.mmproj)}")
    if context_tokens:
        trained = f"; the model was trained for {facts.context_tokens}" if facts.context_tokens else ""
        lines.append(f"context: {context_tokens}  # {context_tokens // SLOTS} for each slot{trained}")
    return (
        f"  {_quoted(model.name)}:  # {_one_line(', '.join(remark for remark in remarks if remark))}\n"
        "    gguf:\n" + "".join(f"      {line}\n" for line in lines) + f"    parallel: {SLOTS}\n"
    )


def _context_tokens(model: FoundModel, room_bytes: int) -> int | None:
    """The most with which it fits, up to CONTEXT_PER_SLOT for each; 0 = the engine's choice, None = it never fits."""
    facts = model.facts
    shape = facts.shape(model.weights_bytes)
    if facts.use is not Use.CHAT:
        fits = footprint(shape, context_tokens=0, slots=SLOTS).total_bytes <= room_bytes
        return 0 if fits else None
    context = min(CONTEXT_PER_SLOT, facts.context_tokens or CONTEXT_PER_SLOT) * SLOTS
    while footprint(shape, context_tokens=context, slots=SLOTS).total_bytes > room_bytes:
        context //= 2
        if context < _SMALLEST_CONTEXT:
            return None
    return context


def _quoted(text: object) -> str:
    """A JSON string is a YAML string too."""
    return json.dumps(str(text), ensure_ascii=False)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _gigabytes(amount_bytes: int) -> str:
    return f"{amount_bytes / 2**30:.1f} GiB" if amount_bytes >= 2**30 else f"{amount_bytes / 2**20:.0f} MiB"
