"""What the files of `gguf:` models say about all of them: their use, and the memory they will take."""

from __future__ import annotations

from collections.abc import Collection

from penstock.config.plan import HOST_DEVICE
from penstock.config.schema import Settings
from penstock.core.footprint import Footprint
from penstock.launch.gguf import estimated_footprint, use_of

Placed = tuple[tuple[str, int], ...]
"""(device, bytes) pairs."""


def kinds(settings: Settings) -> dict[str, str]:
    """What each model is for ("chat", "embedding", "rerank"), by name. Absent = unknown."""
    uses = {name: use_of(model.gguf) for name, model in settings.models.items() if model.gguf is not None}
    return {name: use.value for name, use in uses.items() if use is not None}


def estimated_footprints(settings: Settings) -> dict[str, Placed]:
    """For those whose settings do not say it, by name. Absent = its file cannot be read, so nothing is known."""
    devices = tuple(settings.devices) or (HOST_DEVICE,)
    estimates = {
        name: estimated_footprint(model.gguf, model.parallel)
        for name, model in settings.models.items()
        if model.gguf is not None and model.memory is None
    }
    return {name: _placed(estimate, devices) for name, estimate in estimates.items() if estimate is not None}


def _placed(estimate: Footprint, devices: Collection[str]) -> Placed:
    """Offloaded layers go to the first GPU. Where the host's memory is the only device, or none, there is one pool."""
    gpus = [device for device in devices if device != HOST_DEVICE]
    if gpus and HOST_DEVICE in devices:
        return ((gpus[0], estimate.gpu_bytes), (HOST_DEVICE, estimate.host_bytes))
    return ((next(iter(devices)), estimate.total_bytes),)
