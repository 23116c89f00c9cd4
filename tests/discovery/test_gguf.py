"""Headers of GGUF files: real ones, foreign ones, broken ones."""

from __future__ import annotations

import struct
import tempfile
import time
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.fitting.footprint import Layer
from penstock.discovery.demo import ensure_demo_models
from penstock.discovery.gguf import GgufError, Use, read_gguf, shards_of
from penstock.discovery.gguf_header import HEADER_LIMIT_BYTES
from penstock.discovery.gguf_write import Tensor, Value, write_gguf

LLAMA: dict[str, Value] = {
    "general.architecture": "llama",
    "general.name": "Some Llama",
    "general.file_type": 15,
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.context_length": 4096,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["a", "b", "c"],
    "tokenizer.chat_template": "{{ messages }}",
}


def written(folder: Path, changes: dict[str, Value], name: str = "model.gguf") -> Path:
    """A file with the header of a small llama, changed."""
    path = folder / name
    write_gguf(path, LLAMA | changes, [Tensor("output.weight", (4, 2), array("f", [0.5] * 8))])
    return path


def head(*words: bytes, version: int = 3, tensors: int = 0, entries: int = 1) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries) + b"".join(words)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def test_a_chat_model_is_told_with_its_figures(tmp_path: Path) -> None:
    facts = read_gguf(written(tmp_path, {}))
    assert (facts.use, facts.architecture, facts.name, facts.quantisation) == (
        Use.CHAT,
        "llama",
        "Some Llama",
        "Q4_K_M",
    )
    assert (facts.context_tokens, facts.width, facts.vocabulary, facts.parameters) == (4096, 64, 3, 8)
    assert facts.layers == (Layer(16, 16), Layer(16, 16))
    assert facts.has_chat_template
    assert facts.file_bytes == (tmp_path / "model.gguf").stat().st_size
    assert 32 <= facts.tensors_bytes < 64


@pytest.mark.parametrize(
    ("changes", "use"),
    [
        ({"llama.pooling_type": 3}, Use.EMBEDDING),
        ({"llama.pooling_type": 4}, Use.RERANK),
        ({"llama.pooling_type": 0}, Use.CHAT),
        ({"general.architecture": "nomic-bert"}, Use.EMBEDDING),
        ({"general.architecture": "bert", "bert.pooling_type": 4}, Use.RERANK),
        ({"general.architecture": "clip"}, Use.PROJECTOR),
        ({"general.type": "adapter"}, Use.OTHER),
        ({"general.architecture": "flux", "tokenizer.ggml.model": ""}, Use.OTHER),
        ({"split.no": 1, "split.count": 3}, Use.PART),
        ({"split.no": 0, "split.count": 3}, Use.CHAT),
    ],
)
def test_the_header_tells_what_a_file_is_for(tmp_path: Path, changes: dict[str, Value], use: Use) -> None:
    assert read_gguf(written(tmp_path, changes)).use is use


def test_each_layer_can_have_its_own_heads_and_one_without_any_keeps_a_state(tmp_path: Path) -> None:
    hybrid: dict[str, Value] = {"llama.attention.head_count_kv": [0, 4], "llama.ssm.inner_size": 128}
    hybrid |= {"llama.ssm.state_size": 16, "llama.ssm.conv_kernel": 4, "llama.ssm.group_count": 1}
    facts = read_gguf(written(tmp_path, hybrid))
    assert facts.layers == (Layer(0, 0, state_width=3 * (128 + 32) + 128 * 16), Layer(32, 32))


def test_the_widths_of_keys_and_values_beat_what_the_embedding_suggests(tmp_path: Path) -> None:
    facts = read_gguf(written(tmp_path, {"llama.attention.key_length": 128, "llama.attention.value_length": 64}))
    assert facts.layers[0] == Layer(256, 128)


def test_a_window_is_used_in_the_layers_that_the_architecture_says(tmp_path: Path) -> None:
    gemma = {key.replace("llama", "gemma2"): value for key, value in LLAMA.items()} | {
        "general.architecture": "gemma2",
        "gemma2.attention.sliding_window": 1024,
    }
    assert [layer.window_tokens for layer in read_gguf(written(tmp_path, gemma)).layers] == [1024, None]
    said = gemma | {"gemma2.attention.sliding_window_pattern": [0, 1]}
    assert [layer.window_tokens for layer in read_gguf(written(tmp_path, said)).layers] == [None, 1024]


def test_a_projector_says_how_wide_its_model_is(tmp_path: Path) -> None:
    facts = read_gguf(written(tmp_path, {"general.architecture": "clip", "clip.vision.projection_dim": 2560}))
    assert facts.width == 2560


def test_the_other_byte_order_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "big.gguf"
    name = b"general.architecture"
    path.write_bytes(b"GGUF" + struct.pack(">IQQQ", 3, 0, 1, len(name)) + name + struct.pack(">IQ", 8, 5) + b"llama")
    assert read_gguf(path).architecture == "llama"


def test_a_large_vocabulary_is_passed_over_quickly(tmp_path: Path) -> None:
    words: dict[str, Value] = {"tokenizer.ggml.tokens": [f"token{number}" for number in range(150_000)]}
    path = written(tmp_path, words | {"tokenizer.ggml.merges": ["some thing"] * 280_000})
    started_s = time.process_time()
    facts = read_gguf(path)
    assert time.process_time() - started_s < 0.5  # a tenth of it where nothing else runs
    assert facts.vocabulary == 150_000


def test_values_of_an_unexpected_type_count_as_absent(tmp_path: Path) -> None:
    facts = read_gguf(written(tmp_path, {"llama.block_count": "two", "general.name": 5, "llama.context_length": 1.5}))
    assert (facts.layers, facts.name, facts.context_tokens) == ((), "", None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "ends within its header"),
        (b"PK\3\4 and so on", "no GGUF file"),
        (head(version=1), "version 1"),
        (head(tensors=2**40), "1099511627776 tensors"),
        (head(entries=2**40), "metadata entries"),
        (head(text(b"x" * 70_000)), "a text of 70000 bytes"),
        (head(text(b"key"), struct.pack("<I", 77)), "type 77"),
        (head(text(b"key"), struct.pack("<IIQ", 9, 9, 5)), "type 9"),
        (head(text(b"key"), struct.pack("<IIQ", 9, 8, 2**60)), "ends within its header"),
        (head(text(b"key"), struct.pack("<IIQQ", 9, 8, 5, 2**63)), f"larger than {HEADER_LIMIT_BYTES}"),
        (head(text(b"key"), struct.pack("<IIQ", 9, 4, 2**62), tensors=1), f"larger than {HEADER_LIMIT_BYTES}"),
        (head(text(b"t"), struct.pack("<I9Q", 8, *[2**60] * 9), entries=0, tensors=1), "weights"),
        (head(text(b"t"), struct.pack("<I", 1000), entries=0, tensors=1), "1000 dimensions"),
    ],
)
def test_what_is_no_sound_header_is_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(GgufError, match=reason):
        read_gguf(tmp_path / "bad.gguf")


def test_a_download_that_broke_off_is_noticed(tmp_path: Path) -> None:
    models = ensure_demo_models(tmp_path)
    models.chat_a.write_bytes(models.chat_a.read_bytes()[:400_000])
    with pytest.raises(GgufError, match="not complete"):
        read_gguf(models.chat_a)


def test_a_file_that_is_not_there_is_a_gguf_error_too(tmp_path: Path) -> None:
    with pytest.raises(GgufError, match="No such file"):
        read_gguf(tmp_path / "missing.gguf")


def test_all_shards_follow_from_the_name_of_one() -> None:
    names = [path.name for path in shards_of(Path("/m/big-00002-of-00003.gguf"))]
    assert names == ["big-00001-of-00003.gguf", "big-00002-of-00003.gguf", "big-00003-of-00003.gguf"]
    assert shards_of(Path("/m/big.gguf")) == [Path("/m/big.gguf")]


def is_judged(content: bytes) -> bool:
    """Read it; whatever it is, the answer is facts of this very file, or a GgufError that says something."""
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(content)
        file.flush()
        try:
            return read_gguf(Path(file.name)).file_bytes == len(content)
        except GgufError as error:
            return bool(str(error))


@given(st.binary(max_size=400))
def test_random_bytes_behind_the_magic_are_facts_or_a_gguf_error(noise: bytes) -> None:
    assert is_judged(head(noise, entries=3, tensors=1))


@given(st.data())
def test_a_sound_header_with_bytes_changed_or_cut_off_is_facts_or_a_gguf_error(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        content = bytearray(written(Path(folder), {}).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert is_judged(bytes(content[: data.draw(st.integers(0, len(content)))]))
