"""The embedded llama.cpp engine as a process of its own: `python -m penstock.launch.llamacpp_engine -m model.gguf`.

It takes llama-server's usual flags and runs llama.cpp's own HTTP server, from the xllamacpp wheel. It stands
alone: it imports nothing else of Penstock, so that it starts fast. While the model loads, the HTTP side
answers 503; when it is ready, one line says so on stdout: `ready http://127.0.0.1:5801`.

Exit codes: 1 when the model cannot be served, 2 for wrong flags. SIGTERM and SIGINT end it at once.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from xllamacpp import CommonParams


class WrongFlag(Exception):
    """llama.cpp does not accept the value of a flag."""


class Member(NamedTuple):
    """A member of one of xllamacpp's enumerations, by name: the wheel is not imported before the flags are right."""

    enum: str
    name: str


class Value(NamedTuple):
    """A flag that takes a value. field: where CommonParams keeps it."""

    flags: str
    field: str
    read: Callable[[str], object]


class Switch(NamedTuple):
    """A flag that stands alone."""

    flags: str
    field: str
    means: object


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _set(text: str) -> set[str]:
    return set(_words(text))


def _layers(text: str) -> int:
    return {"auto": -1, "all": -2}.get(text) or int(text)


def _shares(text: str) -> list[float]:
    devices = 128  # the wheel wants a share for each device there could ever be
    shares = [float(share) for share in _words(text)]
    return shares + [0.0] * (devices - len(shares))


def _contents(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as exc:
        raise argparse.ArgumentTypeError(f"cannot read {path}: {exc.strerror}") from exc


def _template_kwargs(text: str) -> dict[str, str]:
    import json

    return {name: json.dumps(value) for name, value in json.loads(text).items()}


def _member(enum: str, prefix: str, words: str, **names: str) -> Callable[[str], Member]:
    """Reads one of `words`; the member is called by the prefix and the word in capitals, or as `names` say."""

    def read(word: str) -> Member:
        if word not in words.split():
            raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(words.split())}")
        return Member(enum, prefix + names.get(word, word.upper().replace("-", "_")))

    return read


_CACHE_TYPE = _member("ggml_type", "GGML_TYPE_", "f32 f16 bf16 q8_0 q4_0 q4_1 iq4_nl q5_0 q5_1")
_FLASH = _member("llama_flash_attn_type", "LLAMA_FLASH_ATTN_TYPE_", "on off auto", on="ENABLED", off="DISABLED")
_ROPE = _member("llama_rope_scaling_type", "LLAMA_ROPE_SCALING_TYPE_", "none linear yarn")
_NUMA = _member("ggml_numa_strategy", "GGML_NUMA_STRATEGY_", "distribute isolate numactl")
_SPLIT = _member("llama_split_mode", "LLAMA_SPLIT_MODE_", "none layer row")
_POOLING = _member("llama_pooling_type", "LLAMA_POOLING_TYPE_", "none mean cls last rank")
_REASONING = _member("common_reasoning_format", "COMMON_REASONING_FORMAT_", "none auto deepseek deepseek-legacy")
_LOAD = "llama_load_mode"

FLAGS: tuple[Value | Switch, ...] = (
    # the model
    Value("-m --model", "model.path", str),
    Value("-mm --mmproj", "mmproj.path", str),
    Switch("--no-mmproj", "no_mmproj", True),
    Switch("--no-mmproj-offload", "mmproj_use_gpu", False),
    Value("-a --alias", "model_alias", _set),
    Switch("--mlock", "load_mode", Member(_LOAD, "LLAMA_LOAD_MODE_MMAP_MLOCK")),
    Switch("--no-mmap", "load_mode", Member(_LOAD, "LLAMA_LOAD_MODE_NONE")),
    Switch("--warmup", "warmup", True),
    Switch("--no-warmup", "warmup", False),
    # the context
    Value("-c --ctx-size", "n_ctx", int),
    Value("-np --parallel", "n_parallel", int),
    Value("-b --batch-size", "n_batch", int),
    Value("-ub --ubatch-size", "n_ubatch", int),
    Value("-n --predict --n-predict", "n_predict", int),
    Value("--keep", "n_keep", int),
    Switch("-kvu --kv-unified", "kv_unified", True),
    Switch("-no-kvu --no-kv-unified", "kv_unified", False),
    Switch("--context-shift", "ctx_shift", True),
    Switch("--no-context-shift", "ctx_shift", False),
    Switch("--swa-full", "swa_full", True),
    Switch("-cb --cont-batching", "cont_batching", True),
    Switch("-nocb --no-cont-batching", "cont_batching", False),
    Value("-fa --flash-attn", "flash_attn_type", _FLASH),
    Value("-ctk --cache-type-k", "cache_type_k", _CACHE_TYPE),
    Value("-ctv --cache-type-v", "cache_type_v", _CACHE_TYPE),
    Value("-cram --cache-ram", "cache_ram_mib", int),
    Value("--cache-reuse", "n_cache_reuse", int),
    Switch("--cache-prompt", "cache_prompt", True),
    Switch("--no-cache-prompt", "cache_prompt", False),
    Value("-sps --slot-prompt-similarity", "slot_prompt_similarity", float),
    Value("--slot-save-path", "slot_save_path", str),
    Value("--rope-scaling", "rope_scaling_type", _ROPE),
    Value("--rope-freq-base", "rope_freq_base", float),
    Value("--rope-freq-scale", "rope_freq_scale", float),
    Value("--yarn-orig-ctx", "yarn_orig_ctx", int),
    # where it runs
    Value("-t --threads", "cpuparams.n_threads", int),
    Value("-tb --threads-batch", "cpuparams_batch.n_threads", int),
    Value("--threads-http", "n_threads_http", int),
    Value("--numa", "numa", _NUMA),
    Value("-ngl --gpu-layers --n-gpu-layers", "n_gpu_layers", _layers),
    Value("-mg --main-gpu", "main_gpu", int),
    Value("-ts --tensor-split", "tensor_split", _shares),
    Value("-sm --split-mode", "split_mode", _SPLIT),
    Value("-ot --override-tensor", "tensor_buft_overrides", str),
    Switch("-nkvo --no-kv-offload", "no_kv_offload", True),
    # what it answers
    Value("--host", "hostnames", _words),
    Value("--port", "port", int),
    Value("--api-key", "api_keys", _words),
    Value("--api-prefix", "api_prefix", str),
    Value("-to --timeout", "timeout_read", int),
    Value("--sleep-idle-seconds", "sleep_idle_seconds", int),
    Switch("--embedding --embeddings", "embedding", True),
    Switch("--rerank --reranking", "pooling_type", Member("llama_pooling_type", "LLAMA_POOLING_TYPE_RANK")),
    Value("--pooling", "pooling_type", _POOLING),
    Switch("--metrics", "endpoint_metrics", True),
    Switch("--props", "endpoint_props", True),
    Switch("--slots", "endpoint_slots", True),
    Switch("--no-slots", "endpoint_slots", False),
    Switch("--ui --webui", "ui", True),
    Switch("--no-ui --no-webui", "ui", False),
    Switch("--jinja", "use_jinja", True),
    Switch("--no-jinja", "use_jinja", False),
    Value("--chat-template", "chat_template", str),
    Value("--chat-template-file", "chat_template", _contents),
    Value("--chat-template-kwargs", "default_template_kwargs", _template_kwargs),
    Switch("--no-prefill-assistant", "prefill_assistant", False),
    Value("--reasoning-format", "reasoning_format", _REASONING),
    Value("--reasoning-budget", "sampling.reasoning_budget_tokens", int),
    # how it draws, unless a request says otherwise
    Value("-s --seed", "sampling.seed", int),
    Value("--temp --temperature", "sampling.temp", float),
    Value("--top-k", "sampling.top_k", int),
    Value("--top-p", "sampling.top_p", float),
    Value("--min-p", "sampling.min_p", float),
    Value("--repeat-penalty", "sampling.penalty_repeat", float),
    Value("--repeat-last-n", "sampling.penalty_last_n", int),
    Value("--presence-penalty", "sampling.penalty_present", float),
    Value("--frequency-penalty", "sampling.penalty_freq", float),
    Value("-lv --verbosity --log-verbosity", "verbosity", int),
)


def read_flags(argv: Sequence[str]) -> dict[str, object]:
    """What was asked for, by field of CommonParams; exits with code 2 and says why when a flag is wrong."""
    parser = argparse.ArgumentParser("llamacpp_engine", allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for flag in FLAGS:
        names = flag.flags.split()
        if isinstance(flag, Switch):
            parser.add_argument(*names, dest=flag.field, action="store_const", const=flag.means)
        else:
            parser.add_argument(*names, dest=flag.field, type=flag.read, metavar="VALUE", required="-m" in names)
    settings: dict[str, object] = vars(parser.parse_args(argv))
    settings.setdefault("cpuparams_batch.n_threads", settings.get("cpuparams.n_threads", -1))
    if settings.get("pooling_type") == _POOLING("rank"):
        settings["embedding"] = True
    return settings


def configure(params: CommonParams, settings: dict[str, object]) -> None:
    """Put the settings where llama.cpp reads them; what an operator may look at is on unless it was switched off."""
    import xllamacpp

    params.endpoint_metrics = params.endpoint_props = params.endpoint_slots = True
    for field, value in settings.items():
        owner, _, name = field.rpartition(".")
        resolved = getattr(getattr(xllamacpp, value.enum), value.name) if isinstance(value, Member) else value
        try:
            setattr(attrgetter(owner)(params) if owner else params, name, resolved)
        except (ValueError, OverflowError) as exc:
            raise WrongFlag(f"llama.cpp refuses {name} = {value!r}: {exc}") from exc


def main(argv: Sequence[str]) -> int:
    """Serve until a signal ends the process; return only when that cannot be done."""
    # The kernel's own default, not Python's handlers: those would have to wait for the load, which may take minutes.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, signal.SIG_DFL)
    settings = read_flags(argv)
    for file in (settings["model.path"], settings.get("mmproj.path")):
        if isinstance(file, str) and not os.path.isfile(file):
            return _complain(f"there is no file {file}")
    import xllamacpp

    params = xllamacpp.CommonParams()
    try:
        configure(params, settings)
        server = xllamacpp.Server(params)
    except WrongFlag as exc:
        _complain(str(exc))
        return 2
    except RuntimeError as exc:
        return _complain(f"cannot serve {settings['model.path']}: {exc} The lines above say why.")
    print(f"ready {server.listening_address}", flush=True)  # noqa: T201
    while True:
        signal.pause()


def _complain(reason: str) -> int:
    print(f"llamacpp_engine: {reason}", file=sys.stderr, flush=True)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
