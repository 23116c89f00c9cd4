"""What a name means at this moment: the active profile's pin first, then a model or its alias, a selector, a peer.

Everything is worked out when the configuration is read and when a profile is activated; a call costs one look-up.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes

from penstock.config import filters
from penstock.config.routing import ProfileSettings, SelectorSettings
from penstock.config.schema import ModelSettings, Settings
from penstock.config.values import ClientKey
from penstock.core.calls.capture import CaptureLevel
from penstock.core.calls.message import Edits
from penstock.core.model import Choice, Strategy
from penstock.errors import UnknownModel, UnknownProfile

Credentials = tuple[tuple[bytes, bytes], ...]

BEHIND = ""
"""Stands for the gateway behind us, where a model's name would stand."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a name leads to, as the relay needs it. Where a selector chooses, it speaks of the first of its models.

    captures, trusts_pages, connect_s, queue_wait_s: settings that every call asks for, which here is quickly done.
    edits: what to change in the body of a request that asks for this name; None = nothing.
    engine_name: the name to write into requests; None = leave the caller's.
    credentials: headers that take the place of the caller's own; () = there are none to send.
    choice: what the scheduler is to choose from; None = it is `model`.
    candidates: a target for each model of the choice.
    """

    model: str
    settings: ModelSettings
    edits: Edits | None
    engine_name: str | None
    forwards_client_key: bool
    api_key: str | None
    captures: CaptureLevel
    trusts_pages: bool
    connect_s: float | None  # how long making a connection may take; None = as long as it takes
    queue_wait_s: float | None  # how long a call may wait; None = as long as it takes
    credentials: Credentials = ()
    selector: str | None = None
    choice: Choice | None = None
    candidates: tuple[Target, ...] = ()

    def may_fail_over(self, tried: Collection[str]) -> bool:
        """Whether there is another model to try after these."""
        choice = self.choice
        return choice is not None and choice.strategy is Strategy.FAILOVER and len(tried) < len(choice.models)

    def of(self, model: str) -> Target:
        """The target once a model was chosen."""
        for candidate in self.candidates:
            if candidate.model == model:
                return candidate
        return self


class Catalog:
    """The names of a configuration. Which profile is active is all that changes; at first it is none."""

    def __init__(self, settings: Settings) -> None:
        self.profiles: Mapping[str, ProfileSettings] = settings.profiles
        self.active: str | None = None
        self._own = _own_targets(settings)
        self._targets = self._own
        self._off: frozenset[str] = frozenset()  # names that the active profile takes away
        self._max_steps = 0
        self.activate(None)

    def activate(self, profile: str | None) -> None:
        """From now on names mean what this profile says; None = what is configured. Raises UnknownProfile."""
        if profile is not None and profile not in self.profiles:
            raise UnknownProfile(name=profile)
        self.active = profile
        pins = self.pins()
        self._off = frozenset(name for name, target in pins.items() if not target)
        pinned = {name: _renamed(self._own[target], name, target) for name, target in pins.items() if target}
        self._targets = {name: target for name, target in self._own.items() if name not in self._off} | pinned
        self._max_steps = 1 + max((name.count("/") for name in (*self._targets, *self._off)), default=0)

    def resolve(self, name: str) -> Target:
        """Raises UnknownModel, with the nearest name as a hint."""
        target = self._targets.get(name)
        if target is None:
            raise self.unknown(name)
        return target

    def unknown(self, name: str) -> UnknownModel:
        """What is said of a name that leads nowhere."""
        known = {each.lower(): each for each in self._targets}
        near = difflib.get_close_matches(name[:80].lower(), known, n=1)
        hint = f" Did you mean `{known[near[0]]}`?" if near and known[near[0]] != name else ""
        if name in self._off:
            hint = f" The active profile `{self.active}` has switched it off."
        elif name in self._targets:
            hint = " It stands for several models: it is a selector's, or pinned to one."
        return UnknownModel(model=name, hint=hint)

    def model(self, name: str) -> str:
        """The model that an operator means, by its name or an alias, whatever is pinned. Raises UnknownModel."""
        target = self._own.get(name)
        if target is None or target.selector is not None:
            raise self.unknown(name)
        return target.model

    def longest_prefix(self, path: bytes) -> tuple[Target, bytes] | None:
        """The model whose name a path begins with, and the rest of the path, as it is escaped.

        path: without a leading slash; a slash within a name may stand there as `%2F`. The rest is empty or begins
        with a slash. The longest name counts; None also if it is a selector's, or switched off.
        """
        name_end = -1
        ends: list[int] = []
        while len(ends) < self._max_steps:
            name_end = path.find(b"/", name_end + 1)
            ends.append(name_end if name_end >= 0 else len(path))
            if name_end < 0:
                break
        for end in reversed(ends):
            name = unquote_to_bytes(path[:end]).decode("utf-8", "surrogateescape")
            target = self._targets.get(name)
            if target is not None:
                return (target, path[end:]) if target.selector is None else None
            if name in self._off:
                return None
        return None

    def names(self) -> Mapping[str, Target]:
        """Every name that can be asked for now."""
        return self._targets

    def pins(self) -> Mapping[str, str | None]:
        """What the active profile pins."""
        return {} if self.active is None else self.profiles[self.active].pins


def behind(settings: Settings) -> Target | None:
    """What is neither a call to a model nor ours goes there; None = nowhere."""
    if settings.pass_through is None:
        return None
    gateway = ModelSettings.model_construct(
        upstream=settings.pass_through,
        client_key=ClientKey.FORWARD,
        upstream_pages=settings.upstream_pages,
        limits=settings.limits,
    )
    return _target(BEHIND, gateway, BEHIND)


def _own_targets(settings: Settings) -> dict[str, Target]:
    """What names mean while no profile is active. Peers' models are among the models already."""
    targets = {
        known: _target(name, model, known)
        for name, model in settings.models.items()
        for known in (name, *model.aliases)
    }
    return targets | {name: _selected(name, selector, targets) for name, selector in settings.selectors.items()}


def _target(name: str, model: ModelSettings, asked: str) -> Target:
    return Target(
        name,
        model,
        _edits(model, asked, model.use_model_name, asked),
        model.use_model_name,
        model.client_key is ClientKey.FORWARD,
        model.api_key,
        model.captures,
        model.upstream_pages == "trusted",
        model.limits.connect,
        model.limits.queue_wait,
        _credentials(model.api_key),
    )


def _selected(name: str, selector: SelectorSettings, targets: Mapping[str, Target]) -> Target:
    by_model: dict[str, Target] = {}
    for written in selector.targets:
        candidate = replace(_renamed(targets[written], name, written), selector=name)
        by_model.setdefault(candidate.model, candidate)
    candidates = tuple(by_model.values())
    if selector.strategy is Strategy.PIN or len(candidates) == 1:
        return candidates[0]
    choice = Choice(selector.strategy, tuple(by_model), selector.spillover)
    return replace(candidates[0], choice=choice, candidates=candidates)


def _renamed(target: Target, asked: str, written: str) -> Target:
    """The target of the name `written`, asked for by another name: what the engine reads is what was meant."""
    if target.selector is not None:
        return target
    name = target.engine_name or written
    return replace(target, engine_name=name, edits=_edits(target.settings, written, name, asked))


def _edits(model: ModelSettings, meant: str, engine_name: str | None, asked: str) -> Edits | None:
    """What changes in a request that says `asked`. meant: the name that counts for `set_params_by_id`: a profile or a
    selector may have put it in the place of the other."""
    edits = replace(filters.edits(model.filters, meant), model=None if engine_name == asked else engine_name)
    return None if edits.is_empty else edits


def _credentials(api_key: str | None) -> Credentials:
    """In both headers, because servers differ in which of them they read."""
    if api_key is None:
        return ()
    secret = api_key.encode("utf-8")
    return (b"authorization", b"Bearer " + secret), (b"x-api-key", secret)
