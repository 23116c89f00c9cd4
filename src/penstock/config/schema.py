"""Everything an operator can set, once: name, type, unit, default and meaning of each key.

The JSON schema and docs/configuration.md are generated from here. A field's name is the key's name.
Spans are seconds, memory is bytes, whatever way they were written.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, JsonValue, field_validator

from penstock.config import values as v
from penstock.config.access import KeySettings, checked
from penstock.config.capabilities import CapabilitiesSettings
from penstock.config.capturing import CaptureBuffer, Captured
from penstock.config.filters import FiltersSettings
from penstock.config.routing import PeerSettings, ProfileSettings, SelectorSettings
from penstock.config.sampling import SampleEvery
from penstock.config.sections import (
    BreakerOrOff,
    BreakerSettings,
    DeviceSettings,
    GgufSettings,
    GroupSettings,
    LimitsSettings,
    MatrixSettings,
    PoolSettings,
    PrioritiesSettings,
    Section,
    TimeLimitsSettings,
)
from penstock.config.storage import StoreSettings
from penstock.config.values import ClientKey, LogLevel, Residency, unexpected
from penstock.core.calls.capture import CaptureLevel

NATIVE_PORT = 8080
GGUF_SLOTS = 4

OnDisconnect = Literal["cancel", "drain", "drain_whole"]
UpstreamPages = Literal["sandbox", "trusted"]


class ModelSettings(Section):
    """A name clients may ask for, and how to run it. Exactly one of `cmd`, `gguf` and `upstream` says how."""

    ALSO_WRITTEN: ClassVar[dict[str, str]] = {"unload_timeout": "stop_timeout", "concurrency_limit": "parallel"}

    cmd: v.Text | None = Field(
        default=None,
        description="The command that starts the engine: no shell, `#` lines and line breaks allowed. "
        "`${PORT}` is the port to listen on.",
    )
    gguf: GgufSettings | None = Field(default=None, description="A model file to run: its path, or a mapping (below).")
    upstream: v.Url | None = Field(
        default=None, description="The address of a server that runs already; it is never launched."
    )
    aliases: v.Names = Field(default=(), description="Further names for the model.")
    name: v.Text = Field(default="", description="A title for people, shown in lists.")
    description: v.Text = Field(default="", description="A sentence for people, shown in lists.")
    unlisted: v.Flag = Field(default=False, description="Leave it out of `/v1/models`; it can be used all the same.")
    parallel: v.Slots | None = Field(
        default=None,
        description="Calls the engine serves at once; more wait. Default: read from `cmd` (`-np`, `--max-num-seqs`, "
        f"…), else asked of the running engine, else {GGUF_SLOTS} for `gguf`, 1 for `cmd` and no cap for `upstream`.",
    )
    memory: v.Memory | None = Field(
        default=None,
        description="Memory it takes while loaded. Default: estimated for `gguf`; others are loaded alone.",
    )
    ttl: v.Duration = Field(
        default=0.0, description="Idle time after which it is stopped; 0 = never. Default: the file's `ttl`."
    )
    check_endpoint: v.Endpoint = Field(
        default="/health",
        description="The path that answers 200 once the engine is ready; `none` = ready when started.",
    )
    cmd_stop: v.Text | None = Field(
        default=None, description="A command that stops the engine, instead of SIGTERM. `${PID}` is its process id."
    )
    env: v.Environment = Field(
        default=(), description="Environment variables for the engine, added to the gateway's own."
    )
    cwd: v.Text | None = Field(default=None, description="The folder the engine starts in. Default: the gateway's own.")
    proxy: v.Url = Field(
        default="http://127.0.0.1:${PORT}", description="Where the engine that `cmd` starts will answer."
    )
    port: v.Port | None = Field(
        default=None,
        description="A fixed value for `${PORT}`. Default: counted from `start_port`, or a free port at each launch.",
    )
    use_model_name: v.Text | None = Field(
        default=None, description="The model name written into requests sent to the engine."
    )
    filters: FiltersSettings = Field(
        default=FiltersSettings(), description="Parameters to take out of JSON requests to it, or to set in them."
    )
    load_timeout: v.Duration = Field(
        default=600.0, description="Time it may take to become ready. Default: the file's `load_timeout`."
    )
    stop_timeout: v.Duration = Field(
        default=10.0, description="Time between SIGTERM and SIGKILL. Default: the file's `stop_timeout`."
    )
    pin: v.Flag = Field(default=False, description="Never stop it to make room for another model.")
    max_queue: v.Count | None = Field(
        default=None,
        description="Calls that may wait for it; more are refused with 503 `queue_full`. Default: no limit.",
    )
    max_prompt_tokens: v.Count | None = Field(
        default=None, description="Longest accepted prompt, in estimated tokens; longer ones are refused with 413."
    )
    breaker: BreakerOrOff = Field(
        default=None, description="When to stop sending calls to an engine that fails. Default: the file's `breaker`."
    )
    limits: TimeLimitsSettings = Field(
        default=TimeLimitsSettings(), description="Time limits of its calls. Default: those of the file's `limits`."
    )
    on_disconnect: OnDisconnect = Field(
        default="cancel",
        description="What becomes of a call whose client has left: taken away from the engine (`cancel`), or served to "
        "its end with its slot held (`drain`; `drain_whole`: only if it is no stream, as for an upstream that notices "
        "the end of streams alone). Default: the file's `on_disconnect`; `drain_whole` in a LiteLLM file.",
    )
    ignore_websockets: v.Flag = Field(
        default=False,
        description="A websocket neither loads the model (409 while it is not loaded) nor keeps it from being stopped.",
    )
    send_loading_state: v.Flag = Field(
        default=False,
        description="Tell who waits for a stream about the load, as reasoning text in the stream. "
        "Default: the file's `send_loading_state`.",
    )
    upstream_pages: UpstreamPages = Field(
        default="sandbox",
        description="HTML from the engine is kept away from the gateway's own pages and cookies, or `trusted`. "
        "Default: the file's `upstream_pages`.",
    )
    captures: Captured = Field(
        default=CaptureLevel.FULL,
        description="What is kept of its calls for the operator to look at. Default: the file's `captures`.",
    )
    forward_priority: v.Flag = Field(default=False, description="Leave `priority` in requests to the engine.")
    pool: v.Name | None = Field(default=None, description="The compute pool its calls are charged to.")
    cost: v.Share | None = Field(
        default=None, description="Share of the pool's budget that one call takes. Default: 1 / `parallel`."
    )
    macros: dict[str, JsonValue] = Field(
        default_factory=dict, description="Macros of this model; they override the file's."
    )
    api_key: v.Text | None = Field(
        default=None, repr=False, description="The key sent to the `upstream`. Prefer `${env.NAME}`."
    )
    client_key: ClientKey = Field(
        default=ClientKey.REMOVE, description="What becomes of the client's own key on the way to the `upstream`."
    )
    capabilities: CapabilitiesSettings | None = Field(
        default=None, description="What the model can do; shown with it in `/v1/models`."
    )
    metadata: dict[str, JsonValue] = Field(
        default_factory=dict, description="Anything; shown with the model in `/v1/models`."
    )

    def drains(self, *, is_stream: bool) -> bool:
        """Whether the engine finishes what it does for a client that has left."""
        return self.on_disconnect == "drain" or (self.on_disconnect == "drain_whole" and not is_stream)

    @field_validator("gguf", mode="before")
    @classmethod
    def _path_alone(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value


class Settings(Section):
    """The whole file."""

    ALSO_WRITTEN: ClassVar[dict[str, str]] = {
        "global_ttl": "ttl",
        "globalTTL": "ttl",
        "health_check_timeout": "load_timeout",
        "unload_timeout": "stop_timeout",
    }

    penstock: Literal[1] = Field(
        default=1, description="The version of this form. It must be there: it tells the form."
    )
    listen: v.Addresses = Field(
        default=(),
        description=f"Addresses to listen on; `:PORT` means loopback only. Default: `127.0.0.1:{NATIVE_PORT}`.",
    )
    macros: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Texts to use as `${name}` in any value. A macro may use those written above it.",
    )
    start_port: v.Port | None = Field(
        default=None,
        description="Give `${PORT}` fixed values from here on, in order of the models' names. Default: free ports.",
    )
    models: dict[str, ModelSettings] = Field(default_factory=dict, description="The models, by name.")
    profiles: dict[str, ProfileSettings] = Field(
        default_factory=dict, description="What names mean while a profile is active, by name of the profile."
    )
    selectors: dict[str, SelectorSettings] = Field(
        default_factory=dict, description="Names that stand for several models, one of which serves a call."
    )
    peers: dict[str, PeerSettings] = Field(
        default_factory=dict, description="Other gateways whose models can be used here, by name."
    )
    include_aliases_in_list: v.Flag = Field(
        default=False, description="Give aliases rows of their own in `/v1/models`."
    )
    meta_key: Literal["penstock", "llamaswap"] = Field(
        default="penstock", description="Where `/v1/models` says what a row is: `meta.penstock`, or as llama-swap does."
    )
    devices: dict[str, DeviceSettings] = Field(
        default_factory=dict, description="Memory to share out, by name of the device. Default: the host's memory."
    )
    residency: Residency = Field(
        default=Residency.MEMORY,
        description="Which models may be loaded together: as many as fit in `memory`, what `groups` allow, or what the "
        "sets of the `matrix` allow (and fits, if there are `devices`).",
    )
    groups: dict[str, GroupSettings] = Field(default_factory=dict, description="Groups of models, by name.")
    matrix: MatrixSettings = Field(default_factory=MatrixSettings, description="Sets of models.")
    pools: dict[str, PoolSettings] = Field(default_factory=dict, description="Compute pools, by name.")
    prompt_tiers: v.Tiers = Field(
        default=((2000, 1.0), (8000, 2.0)),
        description="How much more of its pool's budget a call with a long prompt takes: up to so many estimated "
        "tokens, so many times its cost.",
    )
    prompt_beyond: v.Share = Field(default=4.0, description="The same for prompts longer than the last of the tiers.")
    breaker: BreakerOrOff = Field(
        default=BreakerSettings(), description="When to stop sending calls to an engine that fails."
    )
    priorities: PrioritiesSettings = Field(default_factory=PrioritiesSettings, description="Classes of requests.")
    max_resident: v.Count | None = Field(default=None, description="Most models loaded at once. Default: no limit.")
    keys: dict[str, KeySettings] = Field(
        default_factory=dict,
        description="Who may call, by name; beside them those of `penstock keys`. Default: everybody who reaches it.",
    )
    preload: v.Names = Field(default=(), description='Models to load at start; `["*"]` = all.')
    ttl: v.Duration = Field(default=0.0, description="Idle time after which a model is stopped; 0 = never.")
    load_timeout: v.Duration = Field(default=600.0, description="Time a model may take to become ready.")
    stop_timeout: v.Duration = Field(default=10.0, description="Time between SIGTERM and SIGKILL.")
    limits: LimitsSettings = Field(
        default_factory=LimitsSettings, description="Bounds for time, and for what comes from outside."
    )
    on_disconnect: OnDisconnect = Field(
        default="cancel",
        description="What becomes of a call whose client has left: taken away from the engine (`cancel`), or served to "
        "its end (`drain`; `drain_whole`: only if it is no stream).",
    )
    cancel_orphan_loads: v.Flag = Field(
        default=True, description="Stop loading a model when everybody who waited for it has left."
    )
    wait_comments_after: v.DurationOrOff = Field(
        default=15.0,
        description="How long a stream waits in silence before comments tell it where it stands. They settle its "
        "status: what fails later is told in the stream.",
    )
    send_loading_state: v.Flag = Field(
        default=False, description="Tell who waits for a stream about the load, as reasoning text in the stream."
    )
    upstream_pages: UpstreamPages = Field(
        default="sandbox",
        description="HTML from engines is kept away from the gateway's own pages and cookies, or `trusted`.",
    )
    upstream_ignore_paths: v.Patterns = Field(
        default=(),
        description="Regular expressions for paths below `/upstream/MODEL` that never load a model "
        "(409 while it is not loaded).",
    )
    pass_through: v.Url | None = Field(
        default=None,
        description="The address of a gateway behind this one: every path that is not this one's own is passed to it, "
        "without waiting, with the caller's key.",
    )
    cors_origins: v.Texts = Field(
        default=(), description="Origins whose pages may call the gateway; `*` = any, for inference routes only."
    )
    trusted_proxies: v.Texts = Field(
        default=(), description="Addresses or networks whose `X-Forwarded-For` is believed."
    )
    captures: Captured = Field(
        default=CaptureLevel.FULL,
        description="What is kept of calls for the operator to look at: nothing, their headers, or bodies too. Secrets "
        "are masked, sound and pictures left out.",
    )
    capture_buffer: CaptureBuffer = Field(
        default=5 * 2**20,
        description="Memory for it, after compression; the oldest calls go first, and 0 keeps none. Twice as much may "
        "be held of calls that run.",
    )
    state_dir: v.Text | None = Field(
        default=None, description="Where records and state are kept. Default: `$XDG_STATE_HOME/penstock`."
    )
    store: StoreSettings = Field(default_factory=StoreSettings, description="Where records are kept, and how long.")
    sample_every: SampleEvery = Field(
        default=5.0,
        description="How often the host, its GPUs and what engines take of them are measured and recorded.",
    )
    log_level: LogLevel = Field(default=LogLevel.INFO, description="How much the gateway says about itself.")
    journal_fsync: v.DurationOrOff = Field(
        default=None,
        description="How often the journal is forced to disk. `off` survives a killed gateway, not a power cut.",
    )

    @field_validator("keys")
    @classmethod
    def _keys(cls, keys: dict[str, KeySettings]) -> dict[str, KeySettings]:
        return checked(keys)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        from ipaddress import ip_network

        for item, network in enumerate(networks):
            try:
                ip_network(network, strict=False)
            except ValueError:
                raise unexpected("an address or a network such as 10.0.0.0/8", item=item) from None
        return networks
