"""The configuration made for a machine without one is one that Penstock itself accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config.load import loads
from penstock.config.schema import Settings
from penstock.core.fitting.footprint import Layer
from penstock.discovery.demo import ensure_demo_models
from penstock.discovery.first_config import configuration_found, demo_configuration
from penstock.discovery.gguf import GgufFacts, Use
from penstock.discovery.machine import Engine, find_engine, host_memory_bytes
from penstock.discovery.models import FoundModel
from penstock.discovery.placing import Gpu

GIB = 2**30


def accepted(text: str) -> Settings:
    return loads(text, name="made", environ={}).settings


def model(name: str, size_bytes: int = GIB, mmproj: Path | None = None, use: Use = Use.CHAT) -> FoundModel:
    facts = GgufFacts(
        use=use, architecture="llama", name=name, quantisation="Q4_K_M", file_bytes=size_bytes,
        tensors_bytes=size_bytes, parameters=1, context_tokens=131_072, width=4096, vocabulary=128_000,
        layers=(Layer(1024, 1024),) * 32, has_chat_template=True,
    )  # fmt: skip
    return FoundModel(name, Path(f"/models/{name}.gguf"), facts, size_bytes, size_bytes, mmproj)


def test_of_the_demo_models_one_chat_model_fits_beside_the_embedding_model(tmp_path: Path) -> None:
    settings = accepted(demo_configuration(ensure_demo_models(tmp_path)))
    (room,) = [device.memory for device in settings.devices.values()]
    chat_a, chat_b, embed = (settings.models[name].memory for name in ("tiny-chat-a", "tiny-chat-b", "tiny-embed"))
    assert isinstance(chat_a, int)
    assert isinstance(chat_b, int)
    assert isinstance(embed, int)
    assert chat_a + embed <= room
    assert chat_b + embed <= room < chat_a + chat_b


def test_each_model_found_is_served_with_a_moderate_context(tmp_path: Path) -> None:
    found = [model("chat", mmproj=Path("/models/eyes.gguf")), model("vectors", use=Use.EMBEDDING)]
    settings = accepted(configuration_found(found, Engine(None), 64 * GIB))
    chat, vectors = settings.models["chat"].gguf, settings.models["vectors"].gguf
    assert chat
    assert vectors
    assert (chat.path, chat.mmproj, chat.context) == ("/models/chat.gguf", "/models/eyes.gguf", 32_768)
    assert vectors.context is None
    assert settings.devices["ram"].memory < 64 * GIB


def test_with_little_memory_the_context_shrinks_and_what_never_fits_is_left_out_by_name() -> None:
    text = configuration_found([model("snug"), model("huge", 40 * GIB)], Engine("/bin/llama-server"), 4 * GIB)
    snug = accepted(text).models["snug"].gguf
    assert snug
    assert snug.context
    assert 2048 <= snug.context < 32_768
    assert "#   huge: 40.0 GiB" in text
    assert "huge" not in accepted(text).models


@pytest.mark.parametrize("name", ["llama3.2:3b", 'say "hi"', "a: b # c", "- x", "ünï/cødé", "{}", "null", "1.0"])
def test_any_name_survives(name: str) -> None:
    assert list(accepted(configuration_found([model(name)], Engine(None), 64 * GIB)).models) == [name]


def test_no_model_and_names_that_would_be_macros_still_make_a_file_that_is_accepted() -> None:
    assert accepted(configuration_found([model("${env.HOME}")], Engine(None), 64 * GIB)).models == {}


def test_the_machine_is_asked_for_its_engine_and_its_memory(tmp_path: Path) -> None:
    assert find_engine({"PATH": str(tmp_path)}, "no-such-server") is None
    (tmp_path / "llama-server").write_text("#!/bin/sh\n")
    assert find_engine({"PATH": str(tmp_path)}) != Engine(str(tmp_path / "llama-server")), "it is no program yet"
    (tmp_path / "llama-server").chmod(0o755)
    assert find_engine({"PATH": str(tmp_path)}) == Engine(str(tmp_path / "llama-server"))
    assert host_memory_bytes() > 2**28


def test_models_are_placed_on_the_gpus_of_a_machine_that_has_some() -> None:
    both = [Gpu("gpu0", 24 * GIB, "NVIDIA GeForce RTX 4090"), Gpu("gpu1", 24 * GIB)]
    found = [model("one"), model("two"), model("large", 30 * GIB), model("shared", 60 * GIB)]
    text = configuration_found(found, Engine("/bin/llama-server"), 64 * GIB, both)
    settings = accepted(text)
    assert "gpu0: {memory: 22609MiB}  # of 24.0 GiB, NVIDIA GeForce RTX 4090" in text
    assert list(settings.devices) == ["gpu0", "gpu1", "ram"]
    assert [dict(settings.models[name].env).get("CUDA_VISIBLE_DEVICES") for name in ("one", "two", "large")] == [
        "0",
        "1",
        None,
    ]
    layers = {name: each.gguf.gpu_layers for name, each in settings.models.items() if each.gguf}
    assert (layers["one"], layers["large"]) == (99, 99)
    assert 0 < (layers["shared"] or 0) < 32


def test_with_one_gpu_there_is_nothing_to_choose() -> None:
    text = configuration_found([model("one")], Engine("/bin/llama-server"), 64 * GIB, [Gpu("gpu0", 8 * GIB)])
    assert accepted(text).models["one"].env == ()
    assert "gpu_layers: 99  # all" in text
