"""Estimates of memory from a model's header."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.fitting.footprint import BITS, Layer, Shape, footprint

GIB = 2**30

LAYERS = st.builds(
    Layer,
    key_width=st.integers(0, 4096),
    value_width=st.integers(0, 4096),
    window_tokens=st.none() | st.integers(1, 8192),
    state_width=st.integers(0, 2**20),
)
SHAPES = st.builds(
    Shape,
    weights_bytes=st.integers(0, 2**40),
    layers=st.lists(LAYERS, max_size=80).map(tuple),
    width=st.integers(0, 16384),
    vocabulary=st.integers(0, 300_000),
)


def llama_3_8b(weights_bytes: int = 5 * GIB) -> Shape:
    return Shape(weights_bytes, (Layer(1024, 1024),) * 32, 4096, 128_256)


def test_a_context_of_8192_tokens_of_an_8b_model_with_grouped_heads_takes_one_gib() -> None:
    without = footprint(llama_3_8b(), context_tokens=0, slots=1)
    assert footprint(llama_3_8b(), context_tokens=8192, slots=1).total_bytes - without.total_bytes == GIB


def test_a_cache_of_8_bits_takes_about_half_of_one_of_16() -> None:
    empty = footprint(llama_3_8b(), context_tokens=0, slots=1).total_bytes
    half = footprint(llama_3_8b(), context_tokens=8192, slots=1, cache_types=("q8_0", "q8_0")).total_bytes - empty
    assert half == GIB * 8.5 / 16


def test_layers_that_look_back_through_a_window_do_not_grow_with_the_context() -> None:
    windowed = replace(llama_3_8b(), layers=(Layer(1024, 1024, window_tokens=1024),) * 32)
    sizes = [footprint(windowed, context_tokens=tokens, slots=1).total_bytes for tokens in (8192, 131_072)]
    assert sizes[0] == sizes[1]


def test_all_layers_offloaded_leave_no_weights_and_no_cache_in_the_hosts_memory() -> None:
    small, large = (footprint(llama_3_8b(size), context_tokens=8192, slots=1, gpu_layers=99) for size in (GIB, 9 * GIB))
    assert small.host_bytes == large.host_bytes < GIB
    assert large.gpu_bytes - small.gpu_bytes == 8 * GIB


@given(SHAPES, st.integers(0, 2**20), st.integers(0, 2**20), st.integers(1, 64), st.integers(1, 64))
def test_more_context_or_more_slots_never_take_less(shape: Shape, one: int, other: int, few: int, many: int) -> None:
    small = footprint(shape, context_tokens=min(one, other), slots=min(few, many))
    large = footprint(shape, context_tokens=max(one, other), slots=max(few, many))
    assert shape.weights_bytes <= small.total_bytes <= large.total_bytes


@given(SHAPES, st.integers(0, 2**20), st.integers(0, 100), st.integers(0, 100))
def test_offloading_moves_memory_and_neither_makes_nor_loses_any(
    shape: Shape, context: int, one: int, two: int
) -> None:
    few, more = (footprint(shape, context_tokens=context, slots=1, gpu_layers=layers) for layers in sorted((one, two)))
    assert few.total_bytes == more.total_bytes
    assert 0 <= few.gpu_bytes <= more.gpu_bytes <= more.total_bytes


@pytest.mark.parametrize("cache_type", BITS)
def test_every_cache_type_of_the_engine_has_a_size(cache_type: str) -> None:
    empty = footprint(llama_3_8b(), context_tokens=0, slots=1)
    assert (
        footprint(llama_3_8b(), context_tokens=256, slots=1, cache_types=(cache_type, cache_type)).total_bytes
        > empty.total_bytes
    )
