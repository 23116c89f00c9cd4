"""What a GGUF file is, told from its header: a chat model, an embedding model, a projector; and how large."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from pathlib import Path

from penstock.core.fitting.footprint import Layer, Shape
from penstock.discovery.gguf_header import GgufError, Header, Passed, Scalar, Value, read_header

__all__ = ["GgufError", "GgufFacts", "Use", "read_gguf", "shards_of", "without_shard"]

_SHARD = re.compile(r"-\d{5}-of-(\d{5})$")


class Use(enum.Enum):
    """What the file is for."""

    CHAT = "chat"  # generates text
    EMBEDDING = "embedding"
    RERANK = "rerank"
    PROJECTOR = "projector"  # the eyes or ears of another model (mmproj)
    PART = "part"  # a shard other than the first
    OTHER = "other"  # an adapter, an image model, a vocabulary: nothing that an engine here serves


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """The header's answers; None and "" where it is silent.

    file_bytes, tensors_bytes, parameters: of this file alone. width: of the embedding (for a projector: of the model
    that it belongs to). shard: counted from 0. quantisation: as in the names of files, "Q4_K_M".
    """

    use: Use
    architecture: str
    name: str
    quantisation: str
    file_bytes: int
    tensors_bytes: int
    parameters: int
    context_tokens: int | None
    width: int
    vocabulary: int
    layers: tuple[Layer, ...]
    has_chat_template: bool
    shard: int = 0
    shards: int = 1

    def shape(self, weights_bytes: int | None = None) -> Shape:
        """For the estimate of its memory. weights_bytes: of all shards together, where there are several."""
        return Shape(weights_bytes or self.tensors_bytes, self.layers, self.width, self.vocabulary)


def read_gguf(path: Path) -> GgufFacts:
    """Read the header, and nothing else; raises GgufError."""
    header = read_header(path)
    keys = _Keys(header)
    return GgufFacts(
        use=_use(keys, header),
        architecture=keys.architecture,
        name=keys.text("general.name"),
        quantisation=_quantisation(keys),
        file_bytes=header.file_bytes,
        tensors_bytes=header.tensors_bytes,
        parameters=header.parameters,
        context_tokens=keys.own("context_length") or None,
        width=_width(keys),
        vocabulary=keys.length("tokenizer.ggml.tokens") or keys.own("vocab_size"),
        layers=_layers(keys),
        has_chat_template="tokenizer.chat_template" in header.metadata,
        shard=keys.number("split.no"),
        shards=keys.number("split.count") or 1,
    )


def shards_of(path: Path) -> list[Path]:
    """All files of a model that was split, told from the name of one; whether they are there is not looked at."""
    found = _SHARD.search(path.stem)
    if found is None:
        return [path]
    stem = without_shard(path.stem)
    return [path.with_stem(f"{stem}-{number:05}-of-{found[1]}") for number in range(1, int(found[1]) + 1)]


def without_shard(stem: str) -> str:
    """The name of a file less the part that numbers it."""
    return _SHARD.sub("", stem)


_FILE_TYPES = (  # by llama.cpp's number
    "F32 F16 Q4_0 Q4_1 Q4_1_F16 Q4_2 Q4_3 Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K "
    "IQ2_XXS IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16 Q4_0_4_4 Q4_0_4_8 "
    "Q4_0_8_8 TQ1_0 TQ2_0 MXFP4 NVFP4"
)
_POOLINGS = {1: Use.EMBEDDING, 2: Use.EMBEDDING, 3: Use.EMBEDDING, 4: Use.RERANK}  # mean, cls, last, rank
_ENCODERS = re.compile(r".*bert.*|t5encoder|gemma-embedding|llama-embed")
_WINDOWED_OF = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "exaone4": 4, "olmo2": 4}
"""Where the header does not say which layers look back through a window: all but the last of each so many."""


class _Keys:
    """The metadata, read with the types that are expected: what has another type counts as absent."""

    def __init__(self, header: Header) -> None:
        self._metadata = header.metadata
        self.architecture = self.text("general.architecture")

    def text(self, key: str) -> str:
        value = self._metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str, default: int = 0) -> int:
        value = self._metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48 else default

    def own(self, key: str) -> int:
        """A number under the architecture's name."""
        return self.number(f"{self.architecture}.{key}")

    def per_layer(self, key: str, layers: int, default: int) -> list[int]:
        """A number for each layer: one for all, or an array."""
        value: Value | Passed | None = self._metadata.get(f"{self.architecture}.{key}")
        if isinstance(value, tuple):
            numbers = [_natural(item) for item in value[:layers]]
            return numbers + [default] * (layers - len(numbers))
        return [self.number(f"{self.architecture}.{key}", default)] * layers

    def length(self, key: str) -> int:
        """Of an array, or 0; one can claim to be longer than its file."""
        value = self._metadata.get(key)
        length = value.length if isinstance(value, Passed) else 0
        return min(length, 2**32)


def _natural(item: Scalar) -> int:
    return int(item) if isinstance(item, int) and 0 <= item < 2**48 else 0


def _quantisation(keys: _Keys) -> str:
    names = _FILE_TYPES.split()
    number = keys.number("general.file_type", len(names))
    return names[number] if number < len(names) else ""


def _width(keys: _Keys) -> int:
    if keys.architecture == "clip":
        return keys.number("clip.vision.projection_dim") or keys.number("clip.audio.projection_dim")
    return keys.own("embedding_length")


def _use(keys: _Keys, header: Header) -> Use:
    if keys.number("split.no"):
        return Use.PART
    if keys.architecture == "clip" or keys.text("general.type") == "mmproj":
        return Use.PROJECTOR
    if keys.text("general.type") not in ("", "model") or not header.parameters or not keys.text("tokenizer.ggml.model"):
        return Use.OTHER
    pooled = _POOLINGS.get(keys.own("pooling_type"))
    return pooled or (Use.EMBEDDING if _ENCODERS.fullmatch(keys.architecture) else Use.CHAT)


def _layers(keys: _Keys) -> tuple[Layer, ...]:
    """What each layer keeps of the past. An encoder keeps nothing: it sees its text at once."""
    count = min(keys.own("block_count"), 1024)
    if _ENCODERS.fullmatch(keys.architecture):
        return (Layer(0, 0),) * count
    heads = keys.per_layer("attention.head_count", count, 1)
    kv_heads = keys.per_layer("attention.head_count_kv", count, max(heads, default=0))
    head_width = keys.own("embedding_length") // max(max(heads, default=0), 1)
    key_width = keys.own("attention.key_length") or head_width
    value_width = keys.own("attention.value_length") or head_width
    windows, state = _windows(keys, count), _state_width(keys)
    attends_every = keys.own("full_attention_interval") or 1
    return tuple(
        Layer(kv * key_width, kv * value_width, windows[layer])
        if kv and (layer + 1) % attends_every == 0
        else Layer(0, 0, state_width=state)
        for layer, kv in enumerate(kv_heads)
    )


def _windows(keys: _Keys, count: int) -> list[int | None]:
    window = keys.own("attention.sliding_window") or None
    if window is None:
        return [None] * count
    pattern = keys.per_layer("attention.sliding_window_pattern", count, 0)
    period = keys.own("attention.sliding_window_pattern") or _WINDOWED_OF.get(keys.architecture, 0)
    if len(set(pattern)) > 1 or not period:  # said for each layer, or not at all
        return [window if flag else None for flag in pattern]
    return [None if (layer + 1) % period == 0 else window for layer in range(count)]


def _state_width(keys: _Keys) -> int:
    """Of a recurrent layer: what its convolution and its state keep for each slot."""
    inner, state, groups = (keys.own(f"ssm.{key}") for key in ("inner_size", "state_size", "group_count"))
    return max(keys.own("ssm.conv_kernel") - 1, 0) * (inner + 2 * groups * state) + inner * state
