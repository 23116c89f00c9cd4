"""From the text of a configuration file to Settings with nothing left to fill in, or to all its faults at once."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.config import macros
from penstock.config.checks import examine
from penstock.config.commands import argv, declared_slots
from penstock.config.faults import ConfigError, Fault, Findings, Mark, in_file_order, listed
from penstock.config.filters import with_aliases
from penstock.config.formats import litellm, llama_swap, router_model_custom
from penstock.config.keys import spelled
from penstock.config.machine import look_around
from penstock.config.positions import MAX_TEXT_CHARS, Node, parse
from penstock.config.resolve import resolved
from penstock.config.schema import NATIVE_PORT, Settings
from penstock.config.validate import described, understood

__all__ = ["FORMATS", "ConfigError", "Fault", "Loaded", "argv", "declared_slots", "load", "loads"]

NATIVE, LLAMA_SWAP, LITELLM, ROUTER_MODEL_CUSTOM = FORMATS = ("native", "llama-swap", "litellm", "router-model-custom")

MAX_FILE_BYTES = 4 * MAX_TEXT_CHARS


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that can be served. default_port: where its system's clients expect it, unless `settings.listen` says."""

    settings: Settings
    format: str
    path: Path | None
    warnings: tuple[Fault, ...]
    default_port: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a file's meaning depends on beside its text. upstream: where the LiteLLM of a LiteLLM file answers."""

    environ: Mapping[str, str]
    upstream: str | None = None
    folder: Path | None = None


def load(
    path: Path,
    *,
    environ: Mapping[str, str],
    upstream: str | None = None,
    format: str | None = None,  # noqa: A002
) -> Loaded:
    """Read a file; `format` None = told by its content. Raises ConfigError."""
    around = Surroundings(environ, upstream, path.absolute().parent)
    return _loaded(_text_of(path), str(path), around, format, path)


def loads(
    text: str,
    *,
    name: str,
    environ: Mapping[str, str],
    upstream: str | None = None,
    format: str | None = None,  # noqa: A002
) -> Loaded:
    """Read a text as if it stood in the file `name`; relative paths stay relative. Raises ConfigError."""
    return _loaded(text, name, Surroundings(environ, upstream), format, None)


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            fault = Fault(str(path), None, "", f"more than {MAX_FILE_BYTES} bytes", "a configuration file")
            raise ConfigError([fault])
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ConfigError([Fault(str(path), None, "", "text in UTF-16", "text in UTF-8")]) from error
        before = error.object[: error.start].decode("utf-8", "replace")
        mark = Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise ConfigError([Fault(str(path), mark, "", "a byte that is not UTF-8", "text in UTF-8")]) from error
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        fault = Fault(str(path), None, "", f"nothing to read ({reason})", "a configuration file")
        raise ConfigError([fault]) from error


def _loaded(text: str, name: str, around: Surroundings, format_name: str | None, path: Path | None) -> Loaded:
    if format_name is not None and format_name not in FORMATS:
        raise ConfigError([Fault(name, None, "", f"the unknown format `{format_name}`", f"one of {listed(FORMATS)}")])
    findings = Findings(name)
    kind, port, root = _native(text, around, format_name, findings)
    root = with_aliases(root)
    settings = understood(root, findings)
    if settings is not None:
        examine(settings, root, findings)
    findings.refuse()
    assert settings is not None
    settings = resolved(settings, around.folder)
    if path is not None:
        look_around(settings, root, around.environ, findings)
    return Loaded(settings, kind, path, in_file_order(findings.warnings), port)


def _native(text: str, around: Surroundings, kind: str | None, findings: Findings) -> tuple[str, int, Node]:
    """The format, its port, and the file as a tree of the native form with macros filled in."""
    root = parse(text, findings)
    kind = kind or _told(root, text)
    if kind != LLAMA_SWAP:
        _refuse_keyless(root, findings)
    if kind == LITELLM:
        return kind, litellm.DEFAULT_PORT, litellm.translated(root, around.upstream, findings)
    if kind == ROUTER_MODEL_CUSTOM:
        port = router_model_custom.port_of(root)
        return kind, port, router_model_custom.translated(root, around.environ, findings)
    if kind == LLAMA_SWAP:
        return kind, NATIVE_PORT, _llama_swap(text, around.environ, findings)
    root = macros.without_comments_in_commands(spelled(root, Settings, findings))
    return kind, NATIVE_PORT, macros.expanded(macros.with_environment(root, around.environ, findings), findings)


def _llama_swap(text: str, environ: Mapping[str, str], findings: Findings) -> Node:
    """Read once more: there the environment is part of the text, and may make another text of it."""
    findings.faults.clear()
    root = parse(llama_swap.with_environment(text, environ), findings)
    _refuse_keyless(root, findings)
    root = macros.without_comments_in_commands(llama_swap.less_unknown(root, findings))
    llama_swap.report_environment(root, environ, findings)
    return llama_swap.translated(macros.expanded(root, findings), findings)


def _refuse_keyless(root: Node, findings: Findings) -> None:
    """Raises ConfigError for what is no configuration at all. An empty file is one that says nothing."""
    if not isinstance(root.value, dict):
        expected = "keys and their values; a file of Penstock's own begins with `penstock: 1`"
        findings.faults.append(Fault(findings.file, root.mark, "", described(root), expected))
        findings.refuse()


def _told(root: Node, text: str) -> str:
    """Which system's file this is, by its content; broken YAML is judged by the keys that begin a line."""
    keys = set(root.members) or set(re.findall(r"^(\w+):", text, flags=re.MULTILINE))
    if "penstock" in keys:
        return NATIVE
    if "model_list" in keys:
        return LITELLM
    is_json = text.lstrip("\ufeff \t\r\n").startswith("{")
    return ROUTER_MODEL_CUSTOM if is_json and keys >= {"api", "system", "models"} else LLAMA_SWAP
