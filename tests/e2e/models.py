"""Model files of any size, for engines that are to take so much memory. All weights are 0: they say nothing of use."""

from __future__ import annotations

from array import array
from pathlib import Path

from penstock.discovery.gguf_write import Tensor, Value, write_gguf
from penstock.discovery.tokens import train_bpe

_END = "<|end|>"
_HEADS = 4
CONTEXT = 8192


def write_llama(path: Path, *, width: int, layers: int) -> None:
    """A model of llama's architecture with 32-bit weights: about 64 * width^2 * layers bytes."""
    bpe = train_bpe("the quick brown fox jumps over the lazy dog " * 20, 280)
    tokens = [*bpe.tokens, _END]
    tensors = [_zeros("token_embd.weight", width, len(tokens)), _ones("output_norm.weight", width)]
    for block in (f"blk.{layer}" for layer in range(layers)):
        tensors += [_ones(f"{block}.attn_norm.weight", width), _ones(f"{block}.ffn_norm.weight", width)]
        tensors += [_zeros(f"{block}.attn_{part}.weight", width, width) for part in ("q", "k", "v", "output")]
        tensors += [_zeros(f"{block}.ffn_{part}.weight", width, 4 * width) for part in ("gate", "up")]
        tensors += [_zeros(f"{block}.ffn_down.weight", 4 * width, width)]
    metadata: dict[str, Value] = {
        "general.architecture": "llama",
        "general.name": path.stem,
        "general.file_type": 0,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": width,
        "llama.block_count": layers,
        "llama.feed_forward_length": 4 * width,
        "llama.vocab_size": len(tokens),
        "llama.attention.head_count": _HEADS,
        "llama.attention.head_count_kv": _HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": width // _HEADS,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * len(bpe.tokens) + [3],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in bpe.merges],
        "tokenizer.ggml.bos_token_id": len(bpe.tokens),
        "tokenizer.ggml.eos_token_id": len(bpe.tokens),
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": "{%- for message in messages %}{{- message.content }}{%- endfor %}",
    }
    write_gguf(path, metadata, tensors)


def cache_bytes(*, width: int, layers: int, context_tokens: int) -> int:
    """What such a model keeps of a context, as 16-bit numbers."""
    return 2 * 2 * width * layers * context_tokens


def _zeros(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, array("f", bytes(4 * shape[0] * shape[1])))


def _ones(name: str, width: int) -> Tensor:
    return Tensor(name, (width,), array("f", [1.0]) * width)
