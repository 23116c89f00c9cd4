"""Command lines for `gguf:` models, and the memory that is reckoned with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.config.schema import Settings
from penstock.config.sections import GgufSettings
from penstock.core.fitting.footprint import Layer
from penstock.discovery.demo import DemoModels, ensure_demo_models
from penstock.discovery.gguf import GgufFacts, Use
from penstock.launch.base import LaunchFailed
from penstock.launch.footprints import estimated_footprints
from penstock.launch.gguf import arguments, gguf_command, use_of
from penstock.launch.llamacpp_engine import read_flags

CHAT = GgufFacts(
    use=Use.CHAT, architecture="llama", name="", quantisation="", file_bytes=0, tensors_bytes=0, parameters=1,
    context_tokens=8192, width=64, vocabulary=2048, layers=(Layer(32, 32),), has_chat_template=True,
)  # fmt: skip
EMBEDDING = replace(CHAT, use=Use.EMBEDDING, context_tokens=512)
EMBEDDED = (sys.executable, "-P", "-m", "penstock.launch.llamacpp_engine")


def words(settings: Mapping[str, object], facts: GgufFacts = CHAT, slots: int | str | None = 2) -> str:
    whole = GgufSettings.model_validate({"path": "/m.gguf", **settings})
    return " ".join(arguments(whole, facts, name="ann", port=5801, slots=slots))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> DemoModels:
    return ensure_demo_models(tmp_path_factory.mktemp("models"))


def command(path: Path, environ: Mapping[str, str], **settings: object) -> tuple[str, ...]:
    whole = GgufSettings.model_validate({"path": str(path), **settings})
    return gguf_command(whole, name="ann", port=5801, slots=1, environ=environ)


def fake_server(folder: Path, name: str = "llama-server") -> Path:
    program = folder / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def test_what_is_not_set_is_left_to_the_engine() -> None:
    assert words({}) == "-m /m.gguf --host 127.0.0.1 --port 5801 -np 2 --metrics --alias ann --jinja"


def test_every_setting_becomes_a_flag_and_the_operators_own_arguments_come_last() -> None:
    settings = {
        "mmproj": "/p.gguf",
        "context": 4096,
        "gpu_layers": 0,
        "batch": 256,
        "threads": 3,
        "args": ["-fa", "on"],
    }
    assert words(settings).endswith("--mmproj /p.gguf --jinja -c 4096 -b 256 -ub 256 -ngl 0 -t 3 -fa on")


def test_an_embedding_model_gets_its_flag_and_room_for_a_whole_input_in_each_slot() -> None:
    assert words({}, EMBEDDING, 4).endswith("--embedding -c 2048 -b 512 -ub 512")
    assert words({}, replace(EMBEDDING, context_tokens=32_768), 1).endswith("--embedding -c 2048 -b 2048 -ub 2048")
    assert "--embedding --rerank" in words({}, replace(EMBEDDING, use=Use.RERANK))


def test_a_flag_that_the_operator_has_written_is_not_there_twice() -> None:
    assert words({"args": ["--mlock", "--jinja"]}).split().count("--jinja") == 1
    assert words({"args": ["--embedding"]}, EMBEDDING).split().count("--embedding") == 1


def test_what_a_model_is_used_for_the_operator_knows_better_than_its_file(models: DemoModels) -> None:
    said = words({"args": ["--embeddings"]}, replace(CHAT, context_tokens=512), 4)
    assert said.endswith("--embedding -c 2048 -b 512 -ub 512 --embeddings")
    assert "--jinja" not in said
    for args, use in (((), Use.CHAT), (("--embedding",), Use.EMBEDDING), (("--embedding", "--rerank"), Use.RERANK)):
        assert use_of(GgufSettings(path=str(models.chat_a), args=args)) is use


def test_slots_come_from_parallel_else_from_the_arguments_else_there_are_four() -> None:
    assert "-np 4 " in words({}, slots=None)
    assert "-np 4 " in words({}, slots="unlimited")
    assert "-np 7 " in words({"args": ["-np", "7"]}, slots=None)


def test_a_name_with_a_comma_is_no_alias_because_the_engine_would_take_it_for_two() -> None:
    settings = GgufSettings(path="/m.gguf")
    assert "--alias" not in arguments(settings, CHAT, name="a,b", port=1, slots=1)


def test_the_embedded_engine_understands_all_that_is_said() -> None:
    settings = {"mmproj": "/p.gguf", "context": 4096, "gpu_layers": 0, "batch": 256, "threads": 3}
    for facts in (CHAT, EMBEDDING, replace(EMBEDDING, use=Use.RERANK)):
        assert read_flags(words(settings, facts).split())["n_ctx"] == 4096


def test_a_llama_server_on_path_goes_before_the_embedded_engine(models: DemoModels, tmp_path: Path) -> None:
    server = fake_server(tmp_path)
    assert command(models.chat_a, {"PATH": str(tmp_path)})[0] == str(server)
    assert command(models.chat_a, {"PATH": str(tmp_path / "empty")})[: len(EMBEDDED)] == EMBEDDED


def test_the_server_that_the_operator_named_is_used_or_missed(models: DemoModels, tmp_path: Path) -> None:
    own = fake_server(tmp_path, "my-server")
    assert command(models.chat_a, {"PATH": str(tmp_path)}, server="my-server")[0] == str(own)
    assert command(models.chat_a, {"PATH": ""}, server=str(own))[0] == str(own)
    with pytest.raises(LaunchFailed, match="other-server"):
        command(models.chat_a, {"PATH": str(tmp_path)}, server="other-server")


def test_a_file_that_is_no_model_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(LaunchFailed, match="No such file"):
        command(tmp_path / "missing.gguf", os.environ)
    (tmp_path / "junk.gguf").write_bytes(b"junk")
    with pytest.raises(LaunchFailed, match="no GGUF file"):
        command(tmp_path / "junk.gguf", os.environ)


def test_the_command_starts_an_engine(models: DemoModels) -> None:
    pytest.importorskip("xllamacpp", reason="the embedded engine is not installed")
    settings = GgufSettings(path=str(models.embed), threads=1)
    argv = gguf_command(settings, name="ann", port=0, slots=2, environ={"PATH": ""})
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as engine:
        assert engine.stdout
        assert engine.stdout.readline().startswith("ready http://127.0.0.1:")
        engine.terminate()


def test_models_that_do_not_say_their_memory_are_estimated_on_the_first_device(models: DemoModels) -> None:
    def gguf(path: Path, **settings: object) -> dict[str, object]:
        return {"path": str(path), **settings}

    settings = Settings.model_validate({
        "models": {
            "small": {"gguf": gguf(models.chat_a, context=256)},
            "large": {"gguf": gguf(models.chat_a, context=65_536)},
            "compact": {"gguf": gguf(models.chat_a, context=65_536, args=["-ctk", "q8_0", "-ctv", "q8_0"])},
            "declared": {"gguf": gguf(models.chat_a), "memory": "1GiB"},
            "missing": {"gguf": gguf(models.chat_a.parent / "missing.gguf")},
        }
    })  # fmt: skip
    estimates = estimated_footprints(settings)
    assert set(estimates) == {"small", "large", "compact"}
    (small,), (large,), (compact,) = estimates["small"], estimates["large"], estimates["compact"]
    cache_bytes = 2 * (32 + 32) * 2 * (65_536 - 256)
    assert large == ("ram", small[1] + cache_bytes)
    assert compact == ("ram", small[1] + (cache_bytes + 2 * 64 * 2 * 256) * 8.5 / 16 - 2 * 64 * 2 * 256)


def test_with_a_gpu_beside_the_hosts_memory_offloaded_layers_go_to_the_gpu(models: DemoModels) -> None:
    model = {"gguf": {"path": str(models.chat_a), "context": 1024}}
    partly = {"gguf": {"path": str(models.chat_a), "context": 1024, "gpu_layers": 1}}
    devices = {"ram": {"memory": "8GiB"}, "gpu0": {"memory": "8GiB"}}
    estimates = estimated_footprints(Settings.model_validate({"devices": devices, "models": {"a": model, "b": partly}}))
    whole, half = dict(estimates["a"]), dict(estimates["b"])
    assert 0 < half["gpu0"] < whole["gpu0"]
    assert half["gpu0"] + half["ram"] == whole["gpu0"] + whole["ram"]


def test_of_several_gpus_those_that_the_engine_sees_share_in_proportion_to_their_memory(models: DemoModels) -> None:
    gguf = {"path": str(models.chat_a), "context": 1024}
    named = {"all": {}, "one": {"CUDA_VISIBLE_DEVICES": "1"}, "none": {"CUDA_VISIBLE_DEVICES": ""}}
    named["other"] = {"CUDA_VISIBLE_DEVICES": "GPU-4711"}
    devices = {"gpu0": {"memory": "8GiB"}, "gpu1": {"memory": "24GiB"}, "ram": {"memory": "8GiB"}}
    written = {name: {"gguf": gguf, "env": env} for name, env in named.items()}
    estimates = estimated_footprints(Settings.model_validate({"devices": devices, "models": written}))
    placed = {name: dict(sizes) for name, sizes in estimates.items()}
    assert placed["all"] == placed["other"]
    assert placed["all"]["gpu1"] == pytest.approx(3 * placed["all"]["gpu0"], abs=4)
    assert placed["one"] == {"gpu1": placed["all"]["gpu0"] + placed["all"]["gpu1"], "ram": placed["all"]["ram"]}
    assert placed["none"] == {"ram": sum(placed["all"].values())}
    del devices["ram"]
    (whole,) = estimated_footprints(
        Settings.model_validate({"devices": devices, "models": {"m": written["all"]}})
    ).values()
    assert sum(size for _, size in whole) == placed["none"]["ram"]
