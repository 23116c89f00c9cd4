"""How much of a model that was found goes where: its context, and its layers on GPUs and in the host's memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penstock.core.fitting.footprint import Footprint, footprint
from penstock.discovery.gguf import Use
from penstock.discovery.models import FoundModel

SLOTS = 4
CONTEXT_PER_SLOT = 8192
GPU_SHARE = 0.92
"""Of a GPU's memory; the rest is its driver's, and every engine's own part of it."""
SPLIT_SHARE = 0.9
"""Of several GPUs together: a model is cut between layers, which leaves some of each unused."""

_SMALLEST_CONTEXT = 2048
_WORTH_A_GPU = 8192
"""With less context than this in all, more is gained by leaving some layers to the CPU."""
_ALL_LAYERS = 99


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU with memory of its own. name: as samples call it. product: None = it does not say."""

    name: str
    memory_bytes: int
    product: str | None = None

    @property
    def room_bytes(self) -> int:
        """For models."""
        return int(self.memory_bytes * GPU_SHARE)


@dataclass(frozen=True, slots=True)
class Place:
    """How a model is run. context_tokens: 0 = the engine's choice. gpu_layers: None = there is no GPU.

    gpu: the only one it may use; None = all there are.
    """

    context_tokens: int
    gpu_layers: int | None = None
    gpu: Gpu | None = None


class Placing:
    """Gives models their places, one after the other: those that fit on one GPU are spread over all of them."""

    def __init__(self, ram_bytes: int, gpus: Sequence[Gpu]) -> None:
        """ram_bytes: of the host's memory, for models."""
        self._ram_bytes = ram_bytes
        self._gpus = gpus
        self._given_bytes = dict.fromkeys(gpus, 0)

    def place(self, model: FoundModel) -> Place | None:
        """None = it never fits."""
        if not self._gpus:
            return next(self._in_ram(model), None)
        wanted = [context for context in _contexts(model) if not 0 < context < _WORTH_A_GPU] or _contexts(model)[:1]
        for context in wanted:
            if (place := self._on_one(model, context)) is not None:
                return place
        together_bytes = self._together_bytes()
        for context in wanted:
            if self._fits(_need(model, context, _ALL_LAYERS), together_bytes):
                return Place(context, _ALL_LAYERS)
        return self._shared(model, together_bytes)

    def _in_ram(self, model: FoundModel) -> Iterator[Place]:
        for context in _contexts(model):
            if _need(model, context, 0).total_bytes <= self._ram_bytes:
                yield Place(context)

    def _on_one(self, model: FoundModel, context: int) -> Place | None:
        """On the GPU that was given least yet."""
        need = _need(model, context, _ALL_LAYERS)
        having_room = [gpu for gpu in self._gpus if self._fits(need, gpu.room_bytes)]
        if not having_room:
            return None
        gpu = min(having_room, key=lambda each: self._given_bytes[each] / each.room_bytes)
        self._given_bytes[gpu] += need.gpu_bytes
        return Place(context, _ALL_LAYERS, gpu)

    def _together_bytes(self) -> int:
        rooms = [gpu.room_bytes for gpu in self._gpus]
        return rooms[0] if len(rooms) == 1 else int(sum(rooms) * SPLIT_SHARE)

    def _shared(self, model: FoundModel, gpu_bytes: int) -> Place | None:
        """As many layers on the GPUs as fit, the others in the host's memory."""
        contexts = _contexts(model)
        for context in [each for each in contexts if each <= _WORTH_A_GPU] or contexts[-1:]:
            for layers in range(len(model.facts.layers), -1, -1):
                need = _need(model, context, layers)
                if need.gpu_bytes <= gpu_bytes:
                    if need.host_bytes <= self._ram_bytes:
                        return Place(context, layers)
                    break
        return None

    def _fits(self, need: Footprint, gpu_bytes: int) -> bool:
        return need.gpu_bytes <= gpu_bytes and need.host_bytes <= self._ram_bytes


def _contexts(model: FoundModel) -> list[int]:
    """Those that come into question, the longest first."""
    facts = model.facts
    if facts.use is not Use.CHAT:
        return [0]
    contexts = [min(CONTEXT_PER_SLOT, facts.context_tokens or CONTEXT_PER_SLOT) * SLOTS]
    while contexts[-1] // 2 >= _SMALLEST_CONTEXT:
        contexts.append(contexts[-1] // 2)
    return contexts


def _need(model: FoundModel, context_tokens: int, gpu_layers: int) -> Footprint:
    shape = model.facts.shape(model.weights_bytes)
    return footprint(shape, context_tokens=context_tokens, slots=SLOTS, gpu_layers=gpu_layers)
