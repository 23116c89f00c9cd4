"""The sections of the file beside its models: each a mapping with known keys.

Spans are seconds, memory is bytes, whatever way they were written.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from penstock.config import values as v


class Section(BaseModel):
    """A mapping with known keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    ALSO_WRITTEN: ClassVar[dict[str, str]] = {}
    """Further spellings of keys, beside snake_case and camelCase."""


class BreakerSettings(Section):
    """When calls to a model whose engine keeps failing are refused for a while; `off` = never."""

    failures: v.Count = Field(default=5, description="Faults of the engine in a row after which calls are refused.")
    pause: v.Duration = Field(
        default=10.0, description="How long, until one call is let through; doubled each time that one fails too."
    )
    max_pause: v.Duration = Field(default=300.0, description="The longest such pause.")


def _unless_off(value: object) -> object:
    return None if value in ("off", False) else value


BreakerOrOff = Annotated[BreakerSettings | None, BeforeValidator(_unless_off)]


class DeviceSettings(Section):
    """One pool of memory that models occupy. `gpu0`, `gpu1`, … are the GPUs as nvidia-smi counts them (AMD's where
    there is none of NVIDIA): what they really have free is looked at. `ram` is the host's memory. Other names are free.
    Layers of a `gguf:` model on GPUs are estimated to be shared by all of them in proportion to their memory, or by
    those that the model's `env` names in `CUDA_VISIBLE_DEVICES`.
    """

    memory: v.Size = Field(description="Memory that models may fill.")


class GgufSettings(Section):
    """A model file, run by the embedded llama.cpp engine or by a `llama-server` on this machine."""

    path: v.Text = Field(description="The model file. A relative path starts at the folder of the configuration.")
    mmproj: v.Text | None = Field(default=None, description="The projector file of a model that sees or hears.")
    server: v.Text | None = Field(
        default=None,
        description="The `llama-server` program to run it with. Default: the embedded engine, or the one on PATH.",
    )
    context: v.Count | None = Field(
        default=None, description="Tokens of context, shared by all slots. Default: what the model was trained for."
    )
    gpu_layers: v.Whole | None = Field(
        default=None, description="Layers kept on the GPU; 99 = all. Default: the engine decides."
    )
    batch: v.Count | None = Field(default=None, description="Tokens of a prompt computed at once.")
    threads: v.Count | None = Field(default=None, description="CPU threads for generating.")
    args: v.Texts = Field(
        default=(), description="Further arguments for the engine, one list item each, passed as they are."
    )


class GroupSettings(Section):
    """Models that belong together, for `residency: groups`."""

    members: v.Names = Field(description="Names of models; a model is in at most one group.")
    swap: v.Flag = Field(default=True, description="Only one member is loaded at a time.")
    exclusive: v.Flag = Field(default=True, description="Loading a member stops the models of other groups.")
    persistent: v.Flag = Field(default=False, description="Loading a model of another group does not stop the members.")


class MatrixSettings(Section):
    """Sets of models that may be loaded together, for `residency: matrix`. A model in no set is loaded alone."""

    vars: dict[str, v.Name] = Field(
        default_factory=dict,
        description="Short names for models, to be used in the sets: 1 to 32 letters, digits, `.` and `-`.",
    )
    evict_costs: dict[str, v.Count] = Field(
        default_factory=dict,
        description="How much it counts to stop a model, by its name or var, when another needs the place. Default: 1.",
    )
    sets: dict[str, v.Text] = Field(
        default_factory=dict,
        description="Expressions, by name: `&` all of them, `|` one of them, parentheses, `+NAME` another set; "
        "`(big | small) & embed` lets `embed` stay with either. Any part of what a set allows is allowed too; "
        "of two sets that are equally cheap to reach, the upper one counts.",
    )


class PoolSettings(Section):
    """A shared compute budget: the costs of the calls that run at once never exceed it."""

    budget: v.Share = Field(default=1.0, description="Most that the running calls may cost together.")
    exclusive: v.Flag = Field(default=False, description="Calls of only one model of the pool run at a time.")


class LowestSettings(Section):
    """The class of requests that is served when there is time; it takes every `priority` below the others'."""

    patience_s: v.Duration = Field(default=900.0, description="How long such a call may be passed over by later ones.")
    weight: v.Share = Field(default=1.0, description="How much waiting in this class counts beside the others.")


class NormalSettings(LowestSettings):
    """The class of requests that ask for nothing."""

    at_least: v.Whole = Field(default=0, description="The smallest `priority` in a request's body that belongs here.")
    patience_s: v.Duration = Field(default=90.0, description="How long such a call may be passed over by later ones.")
    weight: v.Share = Field(default=4.0, description="How much waiting in this class counts beside the others.")


class HighSettings(NormalSettings):
    """The class of requests that is served soonest."""

    at_least: v.Whole = Field(default=1, description="The smallest `priority` in a request's body that belongs here.")
    patience_s: v.Duration = Field(default=15.0, description="How long such a call may be passed over by later ones.")
    weight: v.Share = Field(default=16.0, description="How much waiting in this class counts beside the others.")


class PrioritiesSettings(Section):
    """The three classes of requests; what is not written keeps its default."""

    high: HighSettings = Field(default=HighSettings(), description="Served soonest.")
    normal: NormalSettings = Field(default=NormalSettings(), description="What asks for nothing.")
    low: LowestSettings = Field(default=LowestSettings(), description="Served when there is time.")


class TimeLimitsSettings(Section):
    """How long the parts of a call may take. A load has its own: `load_timeout`."""

    connect: v.DurationOrOff = Field(default=10.0, description="Longest time until an engine takes a connection.")
    queue_wait: v.DurationOrOff = Field(
        default=None, description="Longest time that a call waits for its slot; then it is refused with 504."
    )
    first_byte: v.DurationOrOff = Field(
        default=600.0,
        description="Longest time from a call's slot to the engine's first byte, which a call that is not streamed "
        "gets when all of its answer is made.",
    )
    idle: v.Duration = Field(default=600.0, description="Longest silence of an engine between two bytes.")
    call: v.Duration = Field(default=3600.0, description="Longest time from a call's slot to its last byte.")


class LimitsSettings(TimeLimitsSettings):
    """What takes time, and what comes from outside, is bounded. The times are for models that do not say their own."""

    head: v.Size = Field(default=64 * 2**10, description="Largest head of a request.")
    head_fields: v.Count = Field(default=128, description="Most header fields of a request.")
    body: v.Size = Field(
        default=256 * 2**20, description="Largest body of a request; larger ones are refused with 413."
    )
    spool: v.Size = Field(default=2**20, description="Bodies larger than this wait on disk instead of in memory.")
    waiting_bodies: v.Size = Field(
        default=256 * 2**20, description="Memory for the bodies of waiting calls; what exceeds it waits on disk."
    )
    waiting: v.Count = Field(
        default=100_000, description="Calls that may wait; more are refused with 503 `queue_full`."
    )
    connections: v.Count = Field(default=20_000, description="Client connections open at once.")
