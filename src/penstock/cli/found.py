"""Serving without a configuration: what is on this machine, else three tiny models to look around with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from penstock.discovery.demo import ensure_demo_models
from penstock.discovery.first_config import configuration_found, demo_configuration
from penstock.discovery.machine import Engine, find_engine, host_memory_bytes
from penstock.discovery.models import find_models
from penstock.discovery.placing import Gpu
from penstock.sample.machine import NVIDIA_DRIVER
from penstock.sample.nvidia import Nvidia, Nvml, load_nvml

log = logging.getLogger("penstock.found")

NOTHING = "penstock: 1\nmodels: {}\n"


def found_on_this_machine(environ: Mapping[str, str], models_dir: Path | None) -> str:
    """The native configuration, as text, that serves what is here."""
    engine = find_engine(environ)
    if engine is None:
        log.warning(
            "no_engine there is neither a llama-server on PATH nor the embedded engine: "
            "install it with `pip install 'penstock[llamacpp]'`, or name engines in a penstock.yaml"
        )
        return NOTHING
    home = Path(environ.get("HOME") or Path.home())
    found = find_models(environ, home, () if models_dir is None else (models_dir,))
    if found:
        return configuration_found(found, engine, host_memory_bytes(), usable_gpus(engine))
    log.warning("no_models no GGUF model was found: serving three tiny ones with random weights, to look around with")
    return demo_configuration(ensure_demo_models(_cache_dir(environ, home) / "demo-models"))


def usable_gpus(engine: Engine) -> list[Gpu]:
    """NVIDIA's, for a `llama-server` that somebody has installed. The embedded engine computes on the CPU."""
    if not NVIDIA_DRIVER.exists():
        return []
    if engine.program is None:
        log.warning("gpu_unused the embedded engine does not use the GPU: a llama-server on PATH would")
        return []
    nvml = load_nvml()
    if nvml is None:
        log.warning(
            "gpu_unused its memory cannot be read: `pip install 'penstock[nvidia]'` lets models be placed on it"
        )
        return []
    return gpus_of(nvml)


def gpus_of(nvml: Nvml) -> list[Gpu]:
    """Those with memory of their own."""
    samples = [reading.sample for reading in Nvidia(nvml).read([])]
    return [
        Gpu(sample.name, sample.memory_total_bytes, sample.product) for sample in samples if sample.memory_total_bytes
    ]


def _cache_dir(environ: Mapping[str, str], home: Path) -> Path:
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else home / ".cache") / "penstock"
