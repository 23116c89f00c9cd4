"""The composition root of the gateway process: builds every part, ties them together, and takes them down.

Only here do concrete launchers, stores and sockets have names.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from socket import socket

import uvicorn
from uvicorn.server import ServerState

from penstock import __version__
from penstock.config.plan import plan
from penstock.config.schema import Settings
from penstock.config.secret_values import secret_values
from penstock.config.store_address import StoreAddress
from penstock.core.calls.breaker import Breaker, BreakerPolicy
from penstock.core.calls.message import Head
from penstock.core.calls.priority import Thresholds
from penstock.core.calls.redact import Redactor
from penstock.core.scheduling.commands import Load
from penstock.core.scheduling.scheduler import Scheduler
from penstock.launch.process import ProcessLauncher
from penstock.runtime.access.keys import Keyring
from penstock.runtime.calls.call import CallContext
from penstock.runtime.calls.catalog import BEHIND, Catalog, behind
from penstock.runtime.calls.opening import open_call
from penstock.runtime.calls.outgoing import asks_websocket
from penstock.runtime.calls.routing import Router
from penstock.runtime.captures.captures import Captures
from penstock.runtime.captures.keeping import Keeper
from penstock.runtime.engines import observed
from penstock.runtime.engines.dispatcher import Dispatcher
from penstock.runtime.engines.recipes import recipe
from penstock.runtime.engines.replica import RemoteEngine, ReplicaLife
from penstock.runtime.live.feed import Feed
from penstock.runtime.live.live import Live
from penstock.runtime.live.views import GatewayView
from penstock.runtime.measuring import Measuring
from penstock.runtime.records import bookkeeping
from penstock.runtime.records.bookkeeping import Bookkeeping
from penstock.runtime.records.recorder import Recorder
from penstock.runtime.rounds import every_second
from penstock.runtime.state_dir import StateDir
from penstock.sample.machine import this_machine
from penstock.store.journal import Journal
from penstock.wire.body import BodyStore
from penstock.wire.exchange import HotHandler
from penstock.wire.ingress import KEEP_ALIVE_S, Doors, Ingress, bind
from penstock.wire.listen import Address, open_sockets
from penstock.wire.outbox import Outbox

log = logging.getLogger("penstock.gateway")

SWITCH_S = 0.0005
"""How long the loop waits for a thread that holds the interpreter; Python's own 5 ms are felt by every call."""
FINISH_WITHIN_S = 10.0
"""How long calls in flight may go on once the gateway was asked to stop."""


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """What the command line adds to the settings."""

    settings: Settings
    addresses: tuple[Address, ...]
    state_dir: Path
    environ: Mapping[str, str]
    folder: Path | None  # of the configuration file
    host_memory_bytes: int
    footprints: Mapping[str, tuple[tuple[str, int], ...]]
    kinds: Mapping[str, str]
    store: StoreAddress | None = None  # None = SQLite in the state folder
    usage_app: str | None = None  # what answers questions of the records, in the bookkeeper; None = nothing does


App = Callable[["Gateway"], object]
"""Makes the ASGI application that answers everything which is no call."""


class Gateway:
    """One running gateway: built on the loop, then `serve` until `stop`."""

    def __init__(self, options: GatewayOptions, make_app: App) -> None:
        """Raises StateDirInUse, ConfigError (of `keys.yaml`), OSError. Must be called on the running loop."""
        settings = options.settings
        self.options = options
        self.settings = settings
        self.started_at = time.time()
        self.address = ""
        self.boot_id = str(uuid.uuid4())
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._state = StateDir(options.state_dir)
        self.journal = Journal(options.state_dir, boot_id=self.boot_id, fsync_every_s=settings.journal_fsync)
        self.bookkeeping = self._make_bookkeeping()
        self.recorder = Recorder(
            self.journal,
            gateway_id=self._state.gateway_id,
            boot_id=self.boot_id,
            version=__version__,
            refuses_when_full=settings.store.journal_full == "refuse",
        )
        self._outbox = Outbox(self._loop, self.recorder.flush)
        self.recorder.wake = self._outbox.wake
        self._launcher = ProcessLauncher()
        self.tasks = asyncio.TaskGroup()
        self.engines = self._make_engines()
        self.keyring = Keyring(settings.keys, options.state_dir, self._state.gateway_id)
        self.dispatcher = self._make_dispatcher()
        self.measuring = self._make_measuring()
        self.captures = _captures(settings)
        self._aside = ThreadPoolExecutor(1, "bodies")
        self.context = self._make_context()
        self._router = Router(
            self.context.catalog,
            self.dispatcher,
            ignored=settings.upstream_ignore_paths,
            passes_through=settings.pass_through is not None,
        )
        self.live = Live(
            self.context, settings.models, options.kinds, dict(self.engines), self.view, self.measuring.sampling
        )
        self.feed = Feed(self.live)
        self.measuring.serving = self.context.serving
        self.recorder.on_change = self.dispatcher.on_change = self.measuring.on_change = self.feed.changed
        self.doors = self._make_doors()
        self._app = make_app(self)
        self._servers: list[asyncio.Server] = []

    # Building.

    def _make_bookkeeping(self) -> Bookkeeping:
        options, ids = self.options, {"gateway_id": self._state.gateway_id, "boot_id": self.boot_id}
        bookkeeping.say_whose(options.state_dir, options.store)
        return Bookkeeping(
            bookkeeping.command(options.state_dir, **ids, keep=self.settings.store, usage_app=options.usage_app),
            environ=bookkeeping.environment(options.store),
        )

    def _make_dispatcher(self) -> Dispatcher:
        options = self.options
        first_plan = plan(
            self.settings,
            host_memory_bytes=options.host_memory_bytes,
            footprints=options.footprints,
            keys=self.keyring.terms(),
        )
        dispatcher = Dispatcher(Scheduler(first_plan), dict(self.engines), time.monotonic)
        for engine in self.engines.values():
            engine.reports = dispatcher
        return dispatcher

    def _make_measuring(self) -> Measuring:
        engines = dict(self.engines)
        return Measuring(
            this_machine(), self.settings, engines, self.dispatcher, self.recorder, self.journal, self.tasks
        )

    def _make_context(self) -> CallContext:
        settings = self.settings
        return CallContext(
            catalog=Catalog(settings),
            behind=behind(settings),
            keyring=self.keyring,
            captures=self.captures,
            loads=self.measuring.loads,
            dispatcher=self.dispatcher,
            recorder=self.recorder,
            engines=dict(self.engines),
            clock=time.monotonic,
            thresholds=Thresholds(settings.priorities.high.at_least, settings.priorities.normal.at_least),
            checks_host=all(address.is_loopback for address in self.options.addresses),
            allowed_origins=tuple(settings.cors_origins),
            breakers=_breakers(settings),
            trusted_proxies=tuple(ip_network(each, strict=False) for each in settings.trusted_proxies),
            comments_after_s=settings.wait_comments_after,
            aside=self._aside,
        )

    def _make_doors(self) -> Doors:
        limits, spool = self.settings.limits, self.options.state_dir / "spool"
        spool.mkdir(mode=0o700, exist_ok=True)
        return Doors(
            route=self._route,
            outbox=self._outbox,
            bodies=BodyStore(spool, above_bytes=limits.spool, memory_bytes=limits.waiting_bodies),
            max_head_bytes=limits.head,
            max_head_fields=limits.head_fields,
            max_body_bytes=limits.body,
            max_connections=limits.connections,
            takes_websocket=self._takes_websocket,
        )

    def _make_engines(self) -> dict[str, ReplicaLife | RemoteEngine]:
        options = self.options
        engines: dict[str, ReplicaLife | RemoteEngine] = {}
        for name, model in self.settings.models.items():
            if model.upstream is not None:
                engines[name] = RemoteEngine(model.upstream, self._outbox)
            else:
                how = recipe(name, model, self._launcher, options.environ, options.folder)
                engines[name] = ReplicaLife(name, how, self._outbox, self.tasks)
        if self.settings.pass_through is not None:
            engines[BEHIND] = RemoteEngine(self.settings.pass_through, self._outbox)
        return engines

    # Running.

    async def serve(self, on_listening: Callable[[Gateway], None]) -> None:
        """Serve until `stop` was called and everything is down. Raises OSError when an address cannot be had."""
        sockets = open_sockets(self.options.addresses)
        try:
            async with self.tasks:
                self.bookkeeping.start()
                sampling = self.measuring.sampling
                sampling.begin()
                rounds = [self.tasks.create_task(each) for each in (every_second(self), sampling.watch())]
                if url := self.options.environ.get(observed.VARIABLE):
                    rounds.append(self.tasks.create_task(observed.watch(url, self.measuring.observed, self._outbox)))
                await self._listen(sockets)
                self.dispatcher.begin()
                for name in self._preloaded():
                    self.measuring.loads.preloading.add(name)
                    self.dispatcher.command(Load(name))
                sys.setswitchinterval(SWITCH_S)
                gc.collect()
                gc.freeze()  # what lives as long as the program need not be looked at again
                on_listening(self)
                await self._stopping.wait()
                await self._wind_down()
                for each in rounds:
                    each.cancel()
                self.measuring.close()
        finally:
            await self._close()

    def stop(self) -> None:
        """Begin to wind down. Idempotent; a second time, what is still in flight is cut."""
        if self._stopping.is_set():
            self._interrupt_all()
        self._stopping.set()

    async def _listen(self, sockets: list[socket]) -> None:
        config = uvicorn.Config(
            self._app,  # type: ignore[arg-type]
            http=Ingress,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(KEEP_ALIVE_S),
        )
        config.load()
        state, protocol = ServerState(), bind(self.doors)
        for each in sockets:
            server = await self._loop.create_server(lambda: protocol(config, state, {}), sock=each, backlog=4096)
            self._servers.append(server)
        host, port = self._servers[0].sockets[0].getsockname()[:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def _preloaded(self) -> list[str]:
        names = self.settings.preload
        launched = [name for name, model in self.settings.models.items() if model.upstream is None]
        return launched if "*" in names else [self.context.catalog.model(name) for name in names]

    async def _wind_down(self) -> None:
        """No new connections, no new admissions; what is in flight may finish."""
        log.info("gateway_stopping in_flight=%d", len(self.context.active))
        for server in self._servers:
            server.close()
        for connection in list(self.doors.connections):
            connection.shutdown()  # first: then who is refused now is told so before the connection closes
        self.dispatcher.close()
        try:
            async with asyncio.timeout(FINISH_WITHIN_S):
                await self.context.until_idle()
        except TimeoutError:
            self._interrupt_all()
        for engine in self.engines.values():
            engine.stop()
        await self._launcher.close()

    def _interrupt_all(self) -> None:
        for each in list(self.context.active.values()):
            each.interrupt()

    async def _close(self) -> None:
        self.recorder.flush()
        for connection in list(self.doors.connections):
            connection.transport.close()
        await self._launcher.close()
        self.measuring.close()
        self.journal.close()
        self.keyring.close()
        self.captures.close()
        self._aside.shutdown(wait=False, cancel_futures=True)
        await self.bookkeeping.close()
        self._state.close()

    # Asked by others.

    def _route(self, head: Head) -> HotHandler | None:
        endpoint = self._router.endpoint(head)
        return None if endpoint is None else partial(open_call, self.context, endpoint)

    def _takes_websocket(self, head: Head) -> bool:
        endpoint = self._router.endpoint(head)
        return endpoint is not None and asks_websocket(endpoint, head)

    def view(self) -> GatewayView:
        reasons = self.health_reasons()
        health = "degraded" if reasons else "ok"
        return GatewayView(__version__, self.boot_id, self.started_at, self.address, health, reasons)

    @property
    def records_lost(self) -> int:
        return self.journal.records_lost

    def health_reasons(self) -> tuple[str, ...]:
        """What is not as it should be; empty = all is well."""
        reasons = []
        if self.journal.is_failing:
            reasons.append(f"the journal cannot be written ({self.journal.failure}); records are kept in memory")
        if self.journal.records_lost:
            reasons.append(f"{self.journal.records_lost} records were lost")
        if self.keyring.fault is not None:
            reasons.append(self.keyring.fault)
        status = self.bookkeeping.status
        if status is not None and status.store not in {"ok", "starting"}:
            reasons.append(f"the store is {status.store}")
        return tuple(reasons)


def _breakers(settings: Settings) -> dict[str, Breaker]:
    wanted = {name: model.breaker for name, model in settings.models.items() if model.breaker is not None}
    return {
        name: Breaker(name, BreakerPolicy(breaker.failures, breaker.pause, breaker.max_pause))
        for name, breaker in wanted.items()
    }


def _captures(settings: Settings) -> Captures:
    return Captures(
        Keeper(Redactor(secret_values(settings))),
        buffer_bytes=settings.capture_buffer,
        level=settings.captures,
        model_levels={model.captures for model in settings.models.values()},
    )
