"""Makes the three tiny models that a machine without any model is shown with.

Two chat models and one for embeddings. Their weights are random, so what they say means nothing, but
tokenizer, chat template and everything an engine does with them are real. The same Python version
writes the same bytes.

A chat model's answer must end by itself. So two of its dimensions form a clock: each word stands at an
angle on a dial, the layers leave these two alone, and the next word is drawn from those a little
further on. The rest of the weights, and the sampler, choose among these. An answer starts at the top of
the dial ("\\n", which ends the template's last line), and after one round only the closing words are left.
"""

from __future__ import annotations

import math
import random
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

from penstock.discovery.gguf_write import Tensor, Value, write_gguf
from penstock.discovery.tokens import Bpe, train_bpe, train_words

VERSION = 1
"""Part of the files' names: raise it when what is written changes."""

CHAT_CONTEXT = 8192
EMBED_CONTEXT = 512

_WIDTH = 64  # of every layer
_LAYERS = 2
_HEADS = 4
_KV_HEADS = 2
_HEAD_WIDTH = _WIDTH // _HEADS
_VOCABULARY = 2048
_CORPUS_CHARS = 120_000

_CLOCK = 2  # dimensions 0 and 1 hold the angle
_CLOSING = 2  # dimension 2 marks the last word
_RADIUS = 4.0  # of the dial, in the embedding; large beside the other dimensions, so that the clock rules
_STEEPNESS = 400.0  # how strictly the next word is a little further on

CHATML = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
_BPE_CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_BERT_CONTROL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3  # types of tokens


@dataclass(frozen=True, slots=True)
class DemoModels:
    """Where the three files lie."""

    chat_a: Path
    chat_b: Path
    embed: Path


def ensure_demo_models(directory: Path) -> DemoModels:
    """Write those of the three that are not there yet; takes a second or two the first time."""
    directory.mkdir(parents=True, exist_ok=True)
    models = DemoModels(*(directory / f"tiny-{name}.v{VERSION}.gguf" for name in ("chat-a", "chat-b", "embed")))
    chats = {models.chat_a: ("tiny-chat-a", 80), models.chat_b: ("tiny-chat-b", 50)}
    missing = [path for path in chats if not path.exists()]
    if missing:
        bpe = train_bpe(_corpus(), _VOCABULARY - len(_BPE_CONTROL))
        for path in missing:
            _write_chat(path, bpe, *chats[path])
    if not models.embed.exists():
        _write_embed(models.embed, train_words(_corpus(), _VOCABULARY - len(_BERT_CONTROL)))
    return models


def _corpus() -> str:
    return "\n".join(topics[name] for name in sorted(topics))[:_CORPUS_CHARS]


class _Weights:
    """The tensors of one model, drawn from one seed."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)  # noqa: S311  # weights, not secrets
        self.tensors: list[Tensor] = []

    def draw(self, count: int, deviation: float) -> array[float]:
        """Evenly distributed numbers around 0, fast: one random byte chooses each."""
        levels = [(byte - 127.5) / 127.5 * math.sqrt(3) * deviation for byte in range(256)]
        return array("f", map(levels.__getitem__, self.random.randbytes(count)))

    def add(self, name: str, values: Iterable[float], *shape: int) -> None:
        self.tensors.append(Tensor(name, shape, array("f", values)))

    def matrix(self, name: str, inputs: int, outputs: int, deviation: float | None = None) -> array[float]:
        """A matrix that keeps the size of what it multiplies, unless told otherwise."""
        values = self.draw(inputs * outputs, deviation or 1 / math.sqrt(inputs))
        self.tensors.append(Tensor(name, (inputs, outputs), values))
        return values

    def biased(self, name: str, inputs: int, outputs: int) -> None:
        self.matrix(f"{name}.weight", inputs, outputs)
        self.add(f"{name}.bias", [0.0] * outputs, outputs)

    def norm(self, name: str) -> None:
        self.add(f"{name}.weight", [1.0] * _WIDTH, _WIDTH)

    def biased_norm(self, name: str) -> None:
        self.norm(name)
        self.add(f"{name}.bias", [0.0] * _WIDTH, _WIDTH)


def _architecture(name: str, architecture: str, context: int) -> dict[str, Value]:
    return {
        "general.architecture": architecture,
        "general.name": name,
        "general.file_type": 0,
        f"{architecture}.context_length": context,
        f"{architecture}.embedding_length": _WIDTH,
        f"{architecture}.block_count": _LAYERS,
        f"{architecture}.feed_forward_length": 2 * _WIDTH,
        f"{architecture}.attention.head_count": _HEADS,
    }


def _write_chat(path: Path, bpe: Bpe, name: str, words_per_answer: int) -> None:
    tokens = [*bpe.tokens, *_BPE_CONTROL]
    end_of_text, _, end_of_turn = range(len(bpe.tokens), len(tokens))
    weights = _Weights(name)
    _add_dial(weights, tokens, words_per_answer, end_of_turn)
    for block in (f"blk.{layer}" for layer in range(_LAYERS)):
        weights.norm(f"{block}.attn_norm")
        weights.norm(f"{block}.ffn_norm")
        weights.matrix(f"{block}.attn_q.weight", _WIDTH, _WIDTH)
        weights.matrix(f"{block}.attn_k.weight", _WIDTH, _KV_HEADS * _HEAD_WIDTH)
        weights.matrix(f"{block}.attn_v.weight", _WIDTH, _KV_HEADS * _HEAD_WIDTH)
        attended = weights.matrix(f"{block}.attn_output.weight", _WIDTH, _WIDTH)
        weights.matrix(f"{block}.ffn_gate.weight", _WIDTH, 2 * _WIDTH)
        weights.matrix(f"{block}.ffn_up.weight", _WIDTH, 2 * _WIDTH)
        fed = weights.matrix(f"{block}.ffn_down.weight", 2 * _WIDTH, _WIDTH)
        for written in (attended, fed):  # nothing but the word itself sets the clock
            rows = len(written) // _WIDTH
            written[: (_CLOSING + 1) * rows] = array("f", bytes(4 * (_CLOSING + 1) * rows))
    metadata = _architecture(name, "llama", CHAT_CONTEXT) | {
        "llama.vocab_size": len(tokens),
        "llama.attention.head_count_kv": _KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": _HEAD_WIDTH,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [_NORMAL] * len(bpe.tokens) + [_CONTROL] * len(_BPE_CONTROL),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in bpe.merges],
        "tokenizer.ggml.bos_token_id": end_of_text,
        "tokenizer.ggml.eos_token_id": end_of_turn,
        "tokenizer.ggml.padding_token_id": end_of_text,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHATML,
    }
    write_gguf(path, metadata, weights.tensors)


def _add_dial(weights: _Weights, tokens: list[str], words_per_answer: int, end_of_turn: int) -> None:
    """The embedding and the output, in which the clock lives."""
    step = math.tau / words_per_answer
    angles = _angles(tokens, weights.random, math.tau - 2 * step) | {tokens.index("..."): math.tau - 2 * step}
    embedding, output = weights.draw(len(tokens) * _WIDTH, 0.5), array("f", bytes(4 * len(tokens) * _WIDTH))
    for token in range(len(tokens)):
        at, angle = token * _WIDTH, angles.get(token, 0.0)
        embedding[at : at + _CLOSING + 1] = array("f", (_RADIUS * math.cos(angle), _RADIUS * math.sin(angle), 0.0))
        if token in angles:
            behind = angle - step
            output[at : at + _WIDTH] = weights.draw(_WIDTH, 0.2)
            output[at : at + _CLOSING + 1] = array(
                "f", (_STEEPNESS * math.cos(behind), _STEEPNESS * math.sin(behind), 0.0)
            )
    embedding[tokens.index("...") * _WIDTH + _CLOSING] = _RADIUS
    output[end_of_turn * _WIDTH + _CLOSING] = 3 * _STEEPNESS
    output[tokens.index('"') * _WIDTH + _CLOSING] = 2 * _STEEPNESS  # where a JSON grammar forbids to end the turn
    weights.add("token_embd.weight", embedding, _WIDTH, len(tokens))
    weights.norm("output_norm")
    weights.add("output.weight", output, _WIDTH, len(tokens))


def _angles(tokens: list[str], chance: random.Random, last: float) -> dict[int, float]:
    """The tokens that are whole words, in random order along the dial."""
    frequent = {word for word, count in Counter(_corpus().split()).items() if count > 5 and word.isalpha()}
    words = [token for token, text in enumerate(tokens) if text[0] == "\u0120" and text[1:] in frequent]
    chance.shuffle(words)
    return {token: place * last / len(words) for place, token in enumerate(words)}


def _write_embed(path: Path, words: tuple[str, ...]) -> None:
    tokens = [*_BERT_CONTROL, *words]
    weights = _Weights("tiny-embed")
    weights.matrix("token_embd.weight", _WIDTH, len(tokens), 1.0)
    weights.matrix("token_types.weight", _WIDTH, 2, 0.1)
    weights.matrix("position_embd.weight", _WIDTH, EMBED_CONTEXT, 0.1)
    weights.biased_norm("token_embd_norm")
    for block in (f"blk.{layer}" for layer in range(_LAYERS)):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights.biased(f"{block}.{part}", _WIDTH, _WIDTH)
        weights.biased_norm(f"{block}.attn_output_norm")
        weights.biased(f"{block}.ffn_up", _WIDTH, 2 * _WIDTH)
        weights.biased(f"{block}.ffn_down", 2 * _WIDTH, _WIDTH)
        weights.biased_norm(f"{block}.layer_output_norm")
    pad, unknown, begin, end, mask = range(len(_BERT_CONTROL))
    metadata = _architecture("tiny-embed", "bert", EMBED_CONTEXT) | {
        "bert.vocab_size": len(tokens),
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "bert.pooling_type": 1,  # the mean over all tokens
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [_CONTROL, _UNKNOWN, _CONTROL, _CONTROL, _CONTROL] + [_NORMAL] * len(words),
        "tokenizer.ggml.padding_token_id": pad,
        "tokenizer.ggml.unknown_token_id": unknown,
        "tokenizer.ggml.bos_token_id": begin,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.seperator_token_id": end,  # GGUF's own spelling
        "tokenizer.ggml.cls_token_id": begin,
        "tokenizer.ggml.mask_token_id": mask,
    }
    write_gguf(path, metadata, weights.tensors)
