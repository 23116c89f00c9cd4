"""A RouterModelCustom file: GGUF models on llama-server, with the flags it would have had there."""

from __future__ import annotations

import json

import pytest

from penstock.config.access import hashed
from tests.config.worlds import faults, read

REALISTIC = """\
{
	"_README": "tabs, as some editors write them",
	"api": {"host": "0.0.0.0", "port": 8085, "cors_origins": ["http://localhost:3000", "http://ui"]},
	"system": {
		"llama_server_path": "/opt/llama/llama-server",
		"base_models_path": "/models",
		"max_concurrent_models": 2,
		"idle_timeout_sec": 120,
		"preload_models": ["qwen", "nobody"],
		"parallel_requests": 4,
		"cpu_threads": 6,
		"use_mmap": false,
		"flash_attention": "off",
		"max_queue_size_per_model": 50,
		"keep_warm_models": 1,
		"http_max_keepalive": 100
	},
	"models": {
		"qwen": {"model_path": "qwen.gguf", "params": {"n_ctx": 8192, "n_batch": 512, "type_k": "q8_0",
			"type_v": null}},
		"bge": {"model_path": "/else/bge.gguf", "params": {"n_ctx": 512, "embedding": true, "batch_override": 1024,
			"parallel_override": 8, "n_gpu_layers": 0, "rope_freq_base": 10000, "chat_template": "chatml"}}
	}
}
"""


def test_a_realistic_file_launches_what_it_launched_there() -> None:
    loaded = read(REALISTIC)
    settings = loaded.settings
    assert (loaded.format, loaded.default_port, settings.listen) == ("router-model-custom", 8085, ("0.0.0.0:8085",))
    assert (settings.max_resident, settings.ttl, settings.preload, settings.stop_timeout) == (2, 120, ("qwen",), 15)
    assert settings.cors_origins == ("http://localhost:3000", "http://ui")
    qwen, bge = settings.models["qwen"], settings.models["bge"]
    assert qwen.gguf is not None
    assert bge.gguf is not None
    assert (qwen.gguf.path, bge.gguf.path) == ("/models/qwen.gguf", "/else/bge.gguf")
    assert qwen.gguf.server == "/opt/llama/llama-server"
    assert (qwen.gguf.context, qwen.gguf.gpu_layers, qwen.gguf.batch, qwen.gguf.threads) == (8192, 99, 512, 6)
    assert (bge.gguf.context, bge.gguf.gpu_layers, bge.gguf.batch) == (512, 0, 1024)
    always = ("--mlock", "--jinja", "-fa", "off", "--no-mmap")
    assert qwen.gguf.args == (*always, "--cache-type-k", "q8_0", "--cache-type-v", "f16")
    assert bge.gguf.args == (
        *always, "--embedding", "--rope-freq-base", "10000", "--chat-template", "chatml",
        "--cache-type-k", "f16", "--cache-type-v", "f16",
    )  # fmt: skip
    assert (qwen.parallel, bge.parallel, qwen.max_queue) == (4, 1, 50)
    assert [warning.key for warning in loaded.warnings] == ["system.preload_models[1]", "system.keep_warm_models"]


@pytest.mark.parametrize(
    ("context", "asked", "slots"), [(4096, 4, 2), (8192, 4, 4), (2048, 4, 1), (1024, 1, 1), (100_000, 32, 32)]
)
def test_slots_are_as_many_as_have_a_context_worth_having(context: int, asked: int, slots: int) -> None:
    model = {"model_path": "/m.gguf", "params": {"n_ctx": context, "parallel_override": asked}}
    text = json.dumps({"api": {}, "system": {}, "models": {"m": model}})
    assert read(text).settings.models["m"].parallel == slots


def test_its_defaults_hold_where_nothing_is_written() -> None:
    loaded = read('{"api": {}, "system": {}, "models": {"m": {"model_path": "m.gguf"}}}')
    settings = loaded.settings
    assert (loaded.default_port, settings.listen, settings.max_resident, settings.ttl) == (8000, (), 3, 300)
    assert settings.models["m"].parallel == 2


def test_idle_models_stay_when_it_says_so() -> None:
    assert read('{"api": {}, "system": {"enable_idle_timeout": false}, "models": {}}').settings.ttl == 0


@pytest.mark.parametrize("yes", ["true", "1", '"yes"', '"True"'])
def test_an_embedding_model_computes_a_whole_input_at_once_unless_a_batch_is_written(yes: str) -> None:
    models = f'"e": {{"model_path": "/e.gguf", "params": {{"embedding": {yes}}}}}'
    models += f', "b": {{"model_path": "/b.gguf", "params": {{"embedding": {yes}, "n_batch": 300}}}}'
    models += ', "c": {"model_path": "/c.gguf", "params": {"embedding": "off"}}'
    found = read(f'{{"api": {{}}, "system": {{}}, "models": {{{models}}}}}').settings.models
    ggufs = [found[name].gguf for name in "ebc"]
    assert [gguf and ("--embedding" in gguf.args, gguf.batch) for gguf in ggufs] == [
        (True, None),
        (True, 300),
        (False, 256),
    ]


def test_the_environment_overrides_its_paths() -> None:
    text = '{"api": {}, "system": {"base_models_path": "/a"}, "models": {"m": {"model_path": "m.gguf"}}}'
    gguf = read(text, {"BASE_MODELS_PATH": "/b", "LLAMA_SERVER_PATH": "/c"}).settings.models["m"].gguf
    assert gguf is not None
    assert (gguf.path, gguf.server) == ("/b/m.gguf", "/c")


def test_letters_beyond_the_sixteenth_bit_are_read_from_escapes() -> None:
    name = "\N{ROCKET}"
    text = json.dumps({"api": {}, "system": {}, "models": {name: {"model_path": f"/{name}.gguf"}}})
    assert "\\ud83d" in text
    gguf = read(text).settings.models[name].gguf
    assert gguf is not None
    assert gguf.path == f"/{name}.gguf"


def test_faults_point_at_what_was_written() -> None:
    text = '{"api": {}, "system": {"cpu_threads": "x"}, "models": {"m": {"params": {"n_ctx": 0}}}}'
    assert [str(fault) for fault in faults(text)] == [
        'c.yaml:1:39: system.cpu_threads: found "x", expected a whole number of at least 1',
        "c.yaml:1:61: models.m: found no `path`, expected one",
        "c.yaml:1:82: models.m.params.n_ctx: found 0, expected a whole number of at least 1",
    ]


def test_the_key_of_its_environment_opens_everything_and_is_kept_as_a_hash() -> None:
    loaded = read(REALISTIC, {"API_KEY": "its secret"})
    ((name, key),) = loaded.settings.keys.items()
    assert (name, key.hash, key.role, key.priority) == ("key-1", hashed("its secret"), "admin", "high")
    assert any("API_KEY" in warning.found for warning in loaded.warnings)
    assert "its secret" not in repr(loaded)
    assert read(REALISTIC).settings.keys == {}
