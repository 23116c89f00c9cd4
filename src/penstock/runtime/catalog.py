"""Which model a name means."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from penstock.config.schema import ModelSettings, Settings
from penstock.config.values import ClientKey
from penstock.errors import UnknownModel


@dataclass(frozen=True, slots=True)
class Target:
    """A model as the relay needs it. `engine_name`: the name to write into requests; None = leave the caller's."""

    model: str
    engine_name: str | None
    forwards_client_key: bool
    api_key: str | None
    settings: ModelSettings


class Catalog:
    """The names of the configuration, aliases included."""

    def __init__(self, settings: Settings) -> None:
        self.models = settings.models
        self._targets: dict[str, Target] = {}
        for name, model in settings.models.items():
            target = Target(
                name,
                model.use_model_name,
                model.client_key is ClientKey.FORWARD,
                model.api_key,
                model,
            )
            for known in (name, *model.aliases):
                self._targets[known] = target

    def resolve(self, name: str) -> Target:
        """Raises UnknownModel, with the nearest name as a hint."""
        target = self._targets.get(name)
        if target is not None:
            return target
        near = difflib.get_close_matches(name[:80], self._targets, n=1)
        raise UnknownModel(model=name, hint=f" Did you mean `{near[0]}`?" if near else "")
