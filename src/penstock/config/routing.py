"""The sections `profiles`, `selectors` and `peers`: names beside those of the models, and what they lead to."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, JsonValue

from penstock.config import values as v
from penstock.config.filters import FiltersSettings
from penstock.config.sections import BreakerOrOff, Section, TimeLimitsSettings
from penstock.core.model import Strategy


class ProfileSettings(Section):
    """What names mean while the profile is active. One at most is; none when the gateway starts."""

    description: v.Text = Field(default="", description="A sentence for people, shown in lists.")
    pins: dict[str, v.Text | None] = Field(
        default_factory=dict,
        description="From a requested name, which may be a new one, to the model, alias, selector or `peer/model` that "
        'serves it instead; nothing or `""` = the name is not to be had. A pin does not lead to another pin.',
    )


class SelectorSettings(Section):
    """A name that stands for several models, one of which is chosen for each call."""

    strategy: Strategy = Field(
        description="`pin`: the first target. `warm`: one that is loaded, else one that is loading, else the first. "
        "`spillover`: the one in use with the fewest calls, and one more is loaded when all of those have `spillover` "
        "calls. `failover`: the first, and the next one when its engine fails before the first byte of its answer."
    )
    targets: v.Names = Field(description="Models, aliases or `peer/model`, in order of preference.")
    spillover: v.Count = Field(default=1, description="Calls that a target may have before another one is loaded.")
    name: v.Text = Field(default="", description="A title for people, shown in lists.")
    description: v.Text = Field(default="", description="A sentence for people, shown in lists.")
    unlisted: v.Flag = Field(default=False, description="Leave it out of `/v1/models`; it can be used all the same.")
    metadata: dict[str, JsonValue] = Field(
        default_factory=dict, description="Anything; shown with the selector in `/v1/models`."
    )


class PeerSettings(Section):
    """Another gateway, or any API of OpenAI's kind, and the models to use there.

    Each is called `PEER/MODEL` here, and `MODEL` alone if no other peer has it and nothing else is called so.
    """

    ALSO_WRITTEN: ClassVar[dict[str, str]] = {"proxy": "upstream", "concurrency_limit": "parallel"}

    upstream: v.Url = Field(description="Its address.")
    models: v.Names = Field(description="Names of its models, as it calls them.")
    api_key: v.Text | None = Field(
        default=None,
        repr=False,
        description="The key sent to it, as `Authorization` and as `x-api-key`. The caller's own never is. "
        "Prefer `${env.NAME}`.",
    )
    parallel: v.Slots | None = Field(
        default=None, description="Calls to each of its models at once; more wait. Default: no cap."
    )
    filters: FiltersSettings = Field(
        default=FiltersSettings(), description="Parameters to take out of JSON requests to it, or to set in them."
    )
    limits: TimeLimitsSettings = Field(
        default=TimeLimitsSettings(), description="Time limits of calls to it. Default: those of the file's `limits`."
    )
    breaker: BreakerOrOff = Field(
        default=None, description="When to stop sending calls to it. Default: the file's `breaker`."
    )
    forward_priority: v.Flag = Field(default=False, description="Leave `priority` in requests to it.")
