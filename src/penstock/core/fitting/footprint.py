"""How much memory a model will take, told from its header before it was ever loaded. Pure.

An estimate: weights + cache + what computing needs. It errs on the large side where the header is silent,
and what is measured after a load replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass

_CELLS = 256  # the engine rounds a cache up to so many tokens
_OVERHEAD_BYTES = 64 * 2**20  # the engine itself, its buffers for requests
_FLOAT_BYTES = 4

BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "bf16": 16.0,
    "q8_0": 8.5,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_1": 5.0,
    "q4_0": 4.5,
    "iq4_nl": 4.5,
}
"""Bits that one number takes in the cache, by the name of the cache type."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer keeps of the past.

    key_width, value_width: numbers kept per token, over all heads; 0 = it keeps none.
    window_tokens: it looks back no further; None = over the whole context.
    state_width: numbers kept per slot, however long the text (recurrent layers).
    """

    key_width: int
    value_width: int
    window_tokens: int | None = None
    state_width: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """The figures of a model that its memory depends on. width: of its embedding; vocabulary: in tokens."""

    weights_bytes: int
    layers: tuple[Layer, ...]
    width: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes on the GPU (or whatever else takes the offloaded layers) and in the host's memory."""

    gpu_bytes: int
    host_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.gpu_bytes + self.host_bytes


def footprint(
    shape: Shape,
    *,
    context_tokens: int,
    slots: int,
    batch_tokens: int = 512,
    cache_types: tuple[str, str] = ("f16", "f16"),
    gpu_layers: int = 0,
) -> Footprint:
    """The memory of one replica. context_tokens: shared by all slots. cache_types: of keys and values.

    gpu_layers: how many of the last layers are offloaded; more than there are = the output layer as well.
    """
    layers = len(shape.layers)
    caches = [_cache_bytes(layer, context_tokens, slots, batch_tokens, cache_types) for layer in shape.layers]
    offloaded = max(0, min(gpu_layers, layers + 1))
    on_gpu = caches[layers - min(offloaded, layers) :] if offloaded else []
    weights_on_gpu = shape.weights_bytes * offloaded // (layers + 1)
    computing = _computing_bytes(shape, slots, batch_tokens)
    gpu = weights_on_gpu + sum(on_gpu) + (computing if offloaded else 0)
    total = shape.weights_bytes + sum(caches) + computing + _OVERHEAD_BYTES
    return Footprint(gpu, total - gpu)


def _cache_bytes(layer: Layer, context_tokens: int, slots: int, batch_tokens: int, cache_types: tuple[str, str]) -> int:
    cells = context_tokens
    if layer.window_tokens is not None:
        cells = min(cells, layer.window_tokens * slots + batch_tokens)
    cells += -cells % _CELLS
    bits = layer.key_width * BITS[cache_types[0]] + layer.value_width * BITS[cache_types[1]]
    return round(cells * bits / 8) + slots * layer.state_width * _FLOAT_BYTES


def _computing_bytes(shape: Shape, slots: int, batch_tokens: int) -> int:
    """Room for the largest step: a batch's scores over the vocabulary, or its intermediate values in a layer."""
    return (batch_tokens * max(shape.vocabulary, 8 * shape.width) + slots * shape.vocabulary) * _FLOAT_BYTES
