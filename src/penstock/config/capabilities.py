"""The section `capabilities`: what a model can do, and how clients are told."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from penstock.config import values as v
from penstock.config.sections import Section

MODALITIES = ("text", "audio", "image")


def _modalities(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(each in MODALITIES for each in value):
        raise v.unexpected("a list of `text`, `audio` and `image`")
    return tuple(value)


Modalities = Annotated[
    tuple[str, ...],
    BeforeValidator(_modalities),
    WithJsonSchema({"title": "list", "type": "array", "items": {"enum": list(MODALITIES)}}),
]


class CapabilitiesSettings(Section):
    """What a model can do, for clients that choose by it. The gateway itself decides nothing by it."""

    ALSO_WRITTEN: ClassVar[dict[str, str]] = {"in": "input", "out": "output"}

    input: Modalities = Field(default=(), description="What it reads: `text`, `audio`, `image`.")
    output: Modalities = Field(default=(), description="What it makes: `text`, `audio`, `image`.")
    tools: v.Flag = Field(default=False, description="It calls tools.")
    reranker: v.Flag = Field(default=False, description="It ranks documents.")
    context: v.Count | None = Field(default=None, description="Tokens of context.")

    @property
    def abilities(self) -> tuple[str, ...]:
        """In the words that clients of llama-swap know."""
        reads, makes = self.input, self.output
        told = {
            "vision": "image" in reads,
            "audio_transcriptions": "audio" in reads and "text" in makes,
            "audio_speech": "text" in reads and "audio" in makes,
            "image_generation": "text" in reads and "image" in makes,
            "image_to_image": "image" in reads and "image" in makes,
            "function_calling": self.tools,
            "reranker": self.reranker,
        }
        return tuple(name for name, is_so in told.items() if is_so)
