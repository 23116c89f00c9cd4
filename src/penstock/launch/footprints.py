"""What the files of `gguf:` models say about all of them: their use, and the memory they will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.config.plan import HOST_DEVICE
from penstock.config.schema import Settings
from penstock.core.fitting.footprint import Footprint
from penstock.launch.gguf import estimated_footprint, use_of

Placed = tuple[tuple[str, int], ...]
"""(device, bytes) pairs."""

_CHOOSING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""Variables that say which GPUs an engine may use."""
_NONE = frozenset({"", "-1"})


def kinds(settings: Settings) -> dict[str, str]:
    """What each model is for ("chat", "embedding", "rerank"), by name. Absent = unknown."""
    uses = {name: use_of(model.gguf) for name, model in settings.models.items() if model.gguf is not None}
    return {name: use.value for name, use in uses.items() if use is not None}


def estimated_footprints(settings: Settings) -> dict[str, Placed]:
    """For those whose settings do not say it, by name. Absent = its file cannot be read, so nothing is known."""
    devices = {name: device.memory for name, device in settings.devices.items()} or {HOST_DEVICE: 1}
    estimates = {
        name: estimated_footprint(model.gguf, model.parallel)
        for name, model in settings.models.items()
        if model.gguf is not None and model.memory is None
    }
    return {
        name: _placed(estimate, devices, dict(settings.models[name].env))
        for name, estimate in estimates.items()
        if estimate is not None
    }


def _placed(estimate: Footprint, devices: Mapping[str, int], env: Mapping[str, str]) -> Placed:
    """Offloaded layers are shared by the GPUs that the engine sees, in proportion to their memory, as it does itself.

    Where the host's memory is not among the devices, or nothing else is, all of it goes to what there is.
    devices: their bytes.
    """
    gpus = [device for device in devices if device != HOST_DEVICE]
    if not gpus:
        return ((HOST_DEVICE, estimate.total_bytes),)
    seen = _seen(gpus, env)
    if HOST_DEVICE in devices and not seen:
        return ((HOST_DEVICE, estimate.total_bytes),)
    if HOST_DEVICE in devices:
        return (*_shared(estimate.gpu_bytes, seen, devices), (HOST_DEVICE, estimate.host_bytes))
    return _shared(estimate.total_bytes, seen or gpus, devices)


def _seen(gpus: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Those that the environment of an engine names, by their numbers; all, if it names none that is known here."""
    chosen = next((env[name] for name in _CHOOSING if name in env), None)
    if chosen is None:
        return list(gpus)
    if chosen.strip() in _NONE:
        return []
    return [gpu for number in chosen.split(",") if (gpu := f"gpu{number.strip()}") in gpus] or list(gpus)


def _shared(size_bytes: int, among: Sequence[str], devices: Mapping[str, int]) -> Placed:
    whole_bytes = sum(devices[device] for device in among)
    shares = [(device, size_bytes * devices[device] // whole_bytes) for device in among]
    first, share_bytes = shares[0]
    rest_bytes = size_bytes - sum(share for _, share in shares)
    return ((first, share_bytes + rest_bytes), *shares[1:])
