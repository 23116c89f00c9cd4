"""The configuration that a machine is served with when nobody wrote one, as a file to read and to keep.

It is text, not settings: the same lines work when they are saved as `penstock.yaml`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from penstock.discovery.demo import CHAT_CONTEXT, DemoModels
from penstock.discovery.machine import Engine
from penstock.discovery.models import FoundModel
from penstock.discovery.placing import SLOTS, Gpu, Place, Placing

SHARE_FOR_MODELS = 0.8
"""Of the host's memory; the rest is left to everything else that runs on it."""

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
  ram: {{memory: 106MiB}}

models:{chats}
  tiny-embed:
    gguf: {{path: {_quoted(models.embed)}, threads: 1}}
    parallel: 2
    memory: 40MiB
"""


def configuration_found(
    models: Sequence[FoundModel], engine: Engine, memory_bytes: int, gpus: Sequence[Gpu] = ()
) -> str:
    """Serve what was found, as far as it fits. memory_bytes: of the host. gpus: those that the engine can use."""
    room_bytes = int(memory_bytes * SHARE_FOR_MODELS)
    placing, served, left_out = Placing(room_bytes, gpus), [], []
    for model in models:
        place = placing.place(model)
        if place is None:
            left_out.append(f"#   {_one_line(model.name)}: {_gigabytes(model.file_bytes)}\n")
        elif "${" not in f"{model.name}{model.path}{model.mmproj}":  # a configuration would take it for a macro
            served.append(_entry(model, place, has_choice=len(gpus) > 1))
    return (
        f"# What was found on this machine, run by {_one_line(str(engine))}.\npenstock: 1\n\n"
        f"devices:\n{''.join(map(_device, gpus))}"
        f"  ram: {{memory: {room_bytes // 2**20}MiB}}  # of {_gigabytes(memory_bytes)}\n\n"
        + ("# Too large for this memory:\n" + "".join(left_out) + "\n" if left_out else "")
        + ("models:\n" + "\n".join(served) if served else "models: {}\n")
    )


def _device(gpu: Gpu) -> str:
    product = f", {_one_line(gpu.product)}" if gpu.product else ""
    return f"  {gpu.name}: {{memory: {gpu.room_bytes // 2**20}MiB}}  # of {_gigabytes(gpu.memory_bytes)}{product}\n"


def _entry(model: FoundModel, place: Place, *, has_choice: bool) -> str:
    facts = model.facts
    remarks = [facts.architecture, facts.quantisation, _gigabytes(model.file_bytes)]
    lines = [f"path: {_quoted(model.path)}"]
    if model.mmproj:
        lines.append(f"mmproj: {_quoted(model.mmproj)}")
    if place.context_tokens:
        trained = f"; the model was trained for {facts.context_tokens}" if facts.context_tokens else ""
        lines.append(f"context: {place.context_tokens}  # {place.context_tokens // SLOTS} for each slot{trained}")
    if place.gpu_layers is not None:
        is_whole = place.gpu_layers > len(facts.layers)
        lines.append(f"gpu_layers: {place.gpu_layers}  # {'all' if is_whole else f'of {len(facts.layers)}'}")
    entry = f"  {_quoted(model.name)}:  # {_one_line(', '.join(remark for remark in remarks if remark))}\n"
    entry += "    gguf:\n" + "".join(f"      {line}\n" for line in lines)
    if has_choice and place.gpu is not None:
        number = place.gpu.name.removeprefix("gpu")
        entry += f'    env: {{CUDA_DEVICE_ORDER: PCI_BUS_ID, CUDA_VISIBLE_DEVICES: "{number}"}}\n'
    return f"{entry}    parallel: {SLOTS}\n"


def _quoted(text: object) -> str:
    """A JSON string is a YAML string too."""
    return json.dumps(str(text), ensure_ascii=False)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _gigabytes(amount_bytes: int) -> str:
    return f"{amount_bytes / 2**30:.1f} GiB" if amount_bytes >= 2**30 else f"{amount_bytes / 2**20:.0f} MiB"
