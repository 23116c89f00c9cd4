"""Residency by memory: models stay as long as their footprints fit into the devices together.

A model of unknown footprint is taken to fill every device: it stays alone. Readings of free memory
show what others on the machine hold; that much of the device is not there for us. What a model took when it
was loaded counts from then on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from penstock.core.fitting.residency import Footprint, Residency
from penstock.core.model import Device, Model

GIB = 2**30


class MemoryResidency(Residency):
    def __init__(
        self, devices: Iterable[Device], models: Iterable[Model], *, foreign_bytes: Mapping[str, int] | None = None
    ) -> None:
        self._devices = {device.name: device for device in devices}
        self._models = {model.name: model for model in models if model.is_launched}
        self._foreign_bytes = dict(foreign_bytes or {})

    def fits(self, names: Collection[str]) -> bool:
        return self._fits(names, None)

    def admits(self, target: str, residents: Collection[str]) -> bool:
        """Only what the target takes is looked at: a device that is overfull already does not keep it from another."""
        footprint = self._models[target].footprint if target in self._models else ()
        return self._fits({*residents, target}, None if footprint is None else {device for device, _ in footprint})

    def shortfall(self, target: str) -> str:
        need = self._need_bytes([self._models[target]])
        usable = {device: self._usable_bytes(device) for device in need}
        return "; ".join(
            f"it needs {need[device] / GIB:.1f} GiB on {device}, where {usable[device] / GIB:.1f} GiB are usable"
            for device in need
            if need[device] > usable[device]
        )

    def seeing(self, device: str, free_bytes: int, residents: Collection[str]) -> MemoryResidency:
        """What is neither free nor ours is foreign. A model of unknown footprint explains anything."""
        ours = [self._models[name] for name in residents if name in self._models]
        if device not in self._devices or any(model.footprint is None for model in ours):
            return self
        held_bytes = self._need_bytes(ours).get(device, 0)
        foreign_bytes = max(0, self._devices[device].memory_bytes - held_bytes - free_bytes)
        foreign = {**self._foreign_bytes, device: foreign_bytes}
        return MemoryResidency(self._devices.values(), self._models.values(), foreign_bytes=foreign)

    def knowing(self, sizes: Mapping[str, Footprint]) -> MemoryResidency:
        """What was measured replaces an estimate. Of what the operator declared, the larger counts.

        A declaration may leave room for what an engine takes later; more than was declared is taken all the same.
        """
        known = (
            replace(model, footprint=self._learned(model, sizes[name])) if name in sizes else model
            for name, model in self._models.items()
        )
        return MemoryResidency(self._devices.values(), known, foreign_bytes=self._foreign_bytes)

    def _fits(self, names: Collection[str], devices: Collection[str] | None) -> bool:
        """devices: those that are looked at; None = all."""
        models = [self._models[name] for name in names if name in self._models]
        if any(model.footprint is None for model in models):
            return sum(model.footprint != () for model in models) == 1
        need = self._need_bytes(models)
        looked_at = need.keys() if devices is None else need.keys() & devices
        return all(need[device] <= self._usable_bytes(device) for device in looked_at)

    def _learned(self, model: Model, size: Footprint) -> Footprint:
        """It did run: so it never takes more than there is, and nothing of devices that are not ours."""
        declared = dict(model.footprint or ()) if model.is_size_declared else {}
        taken = {device: max(declared.get(device, 0), dict(size).get(device, 0)) for device in self._devices}
        return tuple((name, min(taken[name], self._devices[name].memory_bytes)) for name in taken if taken[name])

    def _usable_bytes(self, device: str) -> int:
        """Nothing, if the device is not there at all."""
        return self._devices[device].memory_bytes - self._foreign_bytes.get(device, 0) if device in self._devices else 0

    def _need_bytes(self, models: Iterable[Model]) -> dict[str, int]:
        need: dict[str, int] = {}
        for model in models:
            for device, footprint_bytes in model.footprint or ():
                need[device] = need.get(device, 0) + footprint_bytes
        return need
