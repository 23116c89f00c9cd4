"""Models that were found get a place: whole on one GPU, whole on several, shared with the CPU, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.fitting.footprint import Layer, footprint
from penstock.discovery.gguf import GgufFacts, Use
from penstock.discovery.models import FoundModel
from penstock.discovery.placing import SLOTS, Gpu, Place, Placing

GIB = 2**30
LAYERS = 32


def model(size_bytes: int, *, use: Use = Use.CHAT, trained: int | None = 131_072) -> FoundModel:
    """Its cache takes 128 KiB per token: 4 GiB with all the context that a found model gets."""
    facts = GgufFacts(
        use=use, architecture="llama", name="m", quantisation="", file_bytes=size_bytes, tensors_bytes=size_bytes,
        parameters=1, context_tokens=trained, width=4096, vocabulary=32_000, layers=(Layer(1024, 1024),) * LAYERS,
        has_chat_template=True,
    )  # fmt: skip
    return FoundModel("m", Path("/m.gguf"), facts, size_bytes, size_bytes, None)


def gpus(*gigabytes: int) -> list[Gpu]:
    return [Gpu(f"gpu{number}", size * GIB) for number, size in enumerate(gigabytes)]


def test_without_a_gpu_nothing_is_said_of_layers() -> None:
    assert Placing(32 * GIB, []).place(model(8 * GIB)) == Place(32_768)
    assert Placing(10 * GIB, []).place(model(8 * GIB)) == Place(8192)
    assert Placing(7 * GIB, []).place(model(8 * GIB)) is None


def test_what_fits_is_wholly_on_a_gpu_with_as_much_context_as_there_is_room_for() -> None:
    (gpu,) = gpus(24)
    assert Placing(32 * GIB, [gpu]).place(model(8 * GIB)) == Place(32_768, 99, gpu)
    assert Placing(32 * GIB, [gpu]).place(model(21 * GIB)) == Place(8192, 99, gpu)
    assert Placing(32 * GIB, [gpu]).place(model(GIB, use=Use.EMBEDDING)) == Place(0, 99, gpu)
    assert Placing(32 * GIB, [gpu]).place(model(GIB, trained=512)) == Place(2048, 99, gpu)


def test_what_does_not_fit_keeps_some_layers_in_the_hosts_memory_if_there_is_enough_of_it() -> None:
    (gpu,) = gpus(24)
    place = Placing(64 * GIB, [gpu]).place(model(40 * GIB))
    assert place is not None
    assert (place.context_tokens, place.gpu) == (8192, None)
    assert 12 <= (place.gpu_layers or 0) < LAYERS
    assert Placing(8 * GIB, [gpu]).place(model(40 * GIB)) is None
    assert Placing(64 * GIB, gpus(1)).place(model(40 * GIB)) == Place(8192, 0)


def test_several_models_are_spread_over_the_gpus_and_a_large_one_takes_them_together() -> None:
    both = gpus(24, 24)
    placing = Placing(64 * GIB, both)
    places = [placing.place(model(size * GIB)) for size in (10, 4, 4, 30)]
    assert [place and place.gpu and place.gpu.name for place in places] == ["gpu0", "gpu1", "gpu1", None]
    assert places[-1] == Place(32_768, 99)


@pytest.mark.parametrize("use", [Use.CHAT, Use.EMBEDDING])
@given(
    size_bytes=st.integers(2**20, 100 * GIB),
    ram_bytes=st.integers(GIB, 128 * GIB),
    cards=st.lists(st.integers(1, 80), max_size=4),
)
def test_what_gets_a_place_has_room_there(use: Use, size_bytes: int, ram_bytes: int, cards: list[int]) -> None:
    found, all_gpus = model(size_bytes, use=use), gpus(*cards)
    place = Placing(ram_bytes, all_gpus).place(found)
    if place is None:
        return
    need = footprint(
        found.facts.shape(size_bytes),
        context_tokens=place.context_tokens,
        slots=SLOTS,
        gpu_layers=place.gpu_layers or 0,
    )
    assert need.host_bytes <= ram_bytes
    seen = all_gpus if place.gpu is None else [place.gpu]
    assert need.gpu_bytes <= sum(gpu.room_bytes for gpu in seen)
    assert (place.gpu_layers is None) == (not all_gpus)
