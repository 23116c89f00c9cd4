"""The keyring: which keys there are, what each may do, and what it has used.

Keys come from the configuration and from `keys.yaml` in the state folder, which is read again when it changes.
A shown secret is found by its SHA-256. Looking that up in a dict gives nothing away by the time it takes: to make
digests share a prefix with a real one, an attacker would have to search for it, and a prefix is of no use.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from penstock.config.access import KeySettings, key_of, quota_text
from penstock.config.faults import ConfigError
from penstock.config.schema import ModelSettings
from penstock.core.accounting.record import CallRecord
from penstock.core.calls.flood import Flood
from penstock.core.calls.key import Key
from penstock.core.calls.message import Head, Headers
from penstock.core.calls.quota import Charge, Tally, fullest
from penstock.core.scheduling.plan import KeyTerms
from penstock.errors import (
    MAX_RETRY_AFTER_S,
    AmbiguousKey,
    ExpiredKey,
    KeyForbidden,
    MissingKey,
    QuotaExceeded,
    QuotaSpent,
    Unauthorized,
    UnknownKey,
)
from penstock.runtime.access.credential import shown_digest
from penstock.runtime.access.key_file import KeyFile
from penstock.runtime.access.quota_file import QuotaFile
from penstock.runtime.access.sessions import Sessions

log = logging.getLogger("penstock.keys")


class Keyring:
    """All keys of a gateway. Everything that the relay asks is answered at once."""

    def __init__(
        self,
        settings: Mapping[str, KeySettings],
        state_dir: Path,
        gateway_id: str,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises ConfigError if `keys.yaml` is there and cannot be read: a gateway that guesses would be open."""
        self._now = wall_clock
        self._written = settings
        self._file = KeyFile(state_dir)
        self._stamp = self._file.stamp()
        self._made = self._file.read()
        self.fault: str | None = None
        self.flood = Flood()
        """Refusals of keys, by address: beyond a rate they leave no records of their own."""
        self.sessions = Sessions(gateway_id, wall_clock)
        keys = self._merged()
        self._quotas = QuotaFile(state_dir, keys)
        self._by_digest: dict[bytes, Key] = {}
        self._tallies: dict[bytes, tuple[Tally, ...]] = {}
        self.is_open = False
        """No keys are configured: everybody may call, whatever they show."""
        self._take(keys)

    # Asked for each call.

    def judge(self, head: Head) -> Key | Unauthorized | None:
        """Whose call it is; None = no keys are configured, and nobody is refused."""
        return self.judge_fields(head.fields, head.headers)

    def judge_fields(self, fields: Mapping[bytes, bytes], headers: Headers) -> Key | Unauthorized | None:
        """The same of headers that are not a Head's: `fields` has one value of each, by its name in lower case."""
        if self.is_open:
            return None
        try:
            digest = shown_digest(fields, headers)
        except AmbiguousKey as error:
            return error
        if digest is not None:
            return self.known(digest)
        # The page's own requests carry its header; a link or a form of another site cannot send it.
        return (self.in_session(fields) if b"x-penstock-page" in fields else None) or MissingKey()

    def in_session(self, fields: Mapping[bytes, bytes]) -> Key | None:
        """The key that the page's cookie stands for, as long as it is good."""
        digest = self.sessions.find(fields.get(b"cookie", b""))
        key = None if digest is None else self.known(digest)
        return key if isinstance(key, Key) else None

    def known(self, digest: bytes) -> Key | Unauthorized:
        """The key with this SHA-256."""
        key = self._by_digest.get(digest)
        if key is None or not hmac.compare_digest(key.digest, digest):
            return UnknownKey()
        return ExpiredKey(key=key.name) if key.is_expired(self._now()) else key

    def may_use(
        self, key: Key | None, model: str, settings: ModelSettings, selector: str | None = None
    ) -> KeyForbidden | None:
        """Why the key may not use the model, which goes by its name, its aliases and a selector's; None = it may."""
        names = (model, *settings.aliases) if selector is None else (model, *settings.aliases, selector)
        if key is None or key.may_use(names):
            return None
        return KeyForbidden(key=key.name, model=model)

    def is_admin(self, key: Key | None) -> bool:
        """Whether it may do what changes engines. Without keys that is decided by where the request comes from."""
        return key is not None and key.may_change

    # Quotas.

    def quota_refusal(self, key: Key | None) -> QuotaExceeded | None:
        """Why the key may not enter another call now; None = it may. Charges nothing."""
        tallies = None if key is None else self._tallies.get(key.digest)
        if not tallies or key is None or (full := fullest(tallies, now := self._now())) is None:
            return None
        tally, room_at = full
        wait_s = room_at - now
        kind = QuotaExceeded if wait_s <= MAX_RETRY_AFTER_S else QuotaSpent
        until = datetime.fromtimestamp(room_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return kind(key=key.name, quota=quota_text(tally.quota), until=until, retry_after_s=wait_s)

    def charge(self, key: Key | None, prompt_tokens: int) -> Charge | None:
        """The call enters, with this estimate of its prompt; None = the key has no quotas."""
        tallies = None if key is None else self._tallies.get(key.digest)
        return Charge(tallies, prompt_tokens, self._now()) if tallies else None

    def charged(self, key: Key, prompt_tokens: int) -> Charge | None:
        """The same, if there is room. Raises QuotaExceeded."""
        if (error := self.quota_refusal(key)) is not None:
            raise error
        return self.charge(key, prompt_tokens)

    def settle(self, charge: Charge, record: CallRecord) -> None:
        """The call has ended. What was not sent to an engine costs nothing; unknown tokens count as estimated."""
        now = self._now()
        if record.sent_s is None:
            charge.give_back(now)
            return
        prompt = record.prompt_tokens if record.prompt_tokens is not None else record.prompt_tokens_estimated
        charge.settle((prompt or 0) + (record.completion_tokens or 0), now)

    def used(self, key: Key) -> tuple[int, ...]:
        """What it has used of each of its quotas, in their order."""
        return tuple(tally.used(self._now()) for tally in self._tallies.get(key.digest, ()))

    # Changes.

    @property
    def keys(self) -> tuple[Key, ...]:
        return tuple(self._by_digest.values())

    def terms(self) -> dict[str, KeyTerms]:
        """How each key is served, by its name."""
        return {key.name: KeyTerms(key.weight, key.max_concurrent) for key in self.keys}

    def configure(self, settings: Mapping[str, KeySettings]) -> None:
        """The configuration was read again. What was used stays used."""
        self._written = settings
        self._take(self._merged())

    def has_changed(self) -> bool:
        """Whether `keys.yaml` is another one than when this was asked last. Asked about once a second."""
        stamp = self._file.stamp()
        changed, self._stamp = stamp != self._stamp, stamp
        return changed

    async def read_again(self) -> None:
        """Take what `keys.yaml` says now. A file with faults changes nothing, and is told."""
        try:
            self._made = await asyncio.to_thread(self._file.read)
        except ConfigError as exc:
            self.fault = f"{self._file.path} has faults, the keys of before stay in force: {exc.faults[0].message}"
            log.warning("keys_refused %s", exc)
            return
        self.fault = None
        self._take(self._merged())
        log.info("keys_read path=%s keys=%d", self._file.path, len(self._by_digest))

    def close(self) -> None:
        self._quotas.close()

    def _merged(self) -> list[Key]:
        """Of two keys with one name, or one secret, the configuration's counts."""
        keys = {name: key_of(name, key) for name, key in self._written.items()}
        digests = {key.digest for key in keys.values()}
        for name, settings in (self._made or {}).items():
            key = key_of(name, settings)
            if name in keys or key.digest in digests:
                log.warning("key_ignored name=%s: %s and the configuration both have it", name, self._file.path)
            else:
                keys[name] = key
        return list(keys.values())

    def _take(self, keys: list[Key]) -> None:
        self._by_digest = {key.digest: key for key in keys}
        self._tallies = {key.digest: self._quotas.tallies(key) for key in keys if key.quotas}
        self.is_open = not self._written and self._made is None
