"""`${name}` in values: the environment's, the file's and each model's macros, in the order they were declared.

A macro may use those declared before it. A model's macro takes the place of the file's of the same name, so
that other macros which use it see the model's value. `${PORT}` and `${PID}` are known later and stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from penstock.config.commands import without_comments
from penstock.config.faults import Fault, Findings, did_you_mean
from penstock.config.filters import with_filled_ids
from penstock.config.positions import Node, Scalar

LATE = frozenset({"PORT", "PID"})
RESERVED = LATE | {"MODEL_ID"}
MAX_NAME_CHARS = 63
MAX_VALUE_CHARS = 2**20
"""A macro that doubles another, fifty times over, is no command any more."""

REFERENCE = re.compile(r"\$\{([a-zA-Z0-9_-]+)\}")
ENV_REFERENCE = re.compile(r"\$\{env\.([a-zA-Z_][a-zA-Z0-9_]*)\}")
_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_COMMANDS = frozenset({"cmd", "cmdStop", "cmd_stop"})

Macros = dict[str, Scalar]
Rewrite = Callable[[str, Node], Scalar]


def without_comments_in_commands(root: Node) -> Node:
    """The tree less the comment lines of its commands: a macro in a comment is none."""
    models = root.members.get("models")
    if models is None:
        return root
    without = {name: _uncommented(model) for name, model in models.members.items()}
    return root.made({**root.members, "models": models.made(dict(without) or models.value)})


def _uncommented(model: Node) -> Node:
    commands = {
        key: node.made(without_comments(node.value))
        for key, node in model.members.items()
        if key in _COMMANDS and isinstance(node.value, str)
    }
    return model.made({**model.members, **commands}) if commands else model


def with_environment(node: Node, environ: Mapping[str, str], findings: Findings) -> Node:
    """The tree with `${env.NAME}` filled in; a variable that is not set is a fault, one that is empty is not."""

    def fill(text: str, at: Node) -> str:
        for name in ENV_REFERENCE.findall(text):
            if name not in environ:
                found, expected = f"`${{env.{name}}}`, which is not set", "the name of an environment variable"
                suggestion = did_you_mean(name, environ)
                findings.faults.append(Fault(findings.file, at.mark, at.key, found, expected, suggestion))
        return ENV_REFERENCE.sub(lambda found: environ.get(found[1], str(found[0])), text)

    return _rewritten(node, fill)


def expanded(root: Node, findings: Findings) -> Node:
    """The tree with every macro filled in, except `${PORT}` and `${PID}`. Keys are not touched."""
    members = root.members
    file_macros = _declared(members.get("macros"), findings)
    done = {
        key: _filled(node, file_macros, findings) for key, node in members.items() if key not in ("macros", "models")
    }
    models = members.get("models")
    if models is not None:
        done["models"] = models.made(
            {name: _model(name, node, file_macros, findings) for name, node in models.members.items()} or models.value
        )
    # In the order of the file: positions and messages follow it.
    return root.made({key: done.get(key, node) for key, node in members.items()})


def _model(name: str, node: Node, file_macros: Macros, findings: Findings) -> Node:
    own = node.members.get("macros")
    macros: Macros = {"MODEL_ID": name, **file_macros}
    macros.update(_declared(own, findings))  # in place for a name that is there already
    filled = {
        key: member if member is own else _filled(member, macros, findings) for key, member in node.members.items()
    }
    return _with_filled_ids(node.made(filled or node.value), macros, findings)


def _with_filled_ids(model: Node, macros: Macros, findings: Findings) -> Node:
    """The only keys in which macros are filled in."""
    made, twice = with_filled_ids(model, lambda text, at: _expanded_text(text, at, macros, findings))
    for at, name in twice:
        found, expected = f"the name `{name}` a second time, once its macros are filled in", "each name once"
        findings.faults.append(Fault(findings.file, at.key_mark, at.key, found, expected))
    return made


def _declared(node: Node | None, findings: Findings) -> Macros:
    """Name to value, in order; what cannot be a macro is reported and left out."""
    macros: Macros = {}
    for name, macro in (node.members if node else {}).items():
        problem = _problem(name, macro)
        if problem is None:
            assert not isinstance(macro.value, list | dict)
            macros[name] = macro.value
        else:
            found, expected = problem
            findings.faults.append(Fault(findings.file, macro.key_mark, macro.key, found, expected))
    if node is not None and node.value is not None and not isinstance(node.value, dict):
        findings.faults.append(
            Fault(findings.file, node.mark, node.key, "something else", "a mapping from names to values")
        )
    return macros


def _problem(name: str, macro: Node) -> tuple[str, str] | None:
    """What is wrong with a declaration: (found, expected)."""
    if name in RESERVED:
        return "a reserved name", "another name: PORT, PID and MODEL_ID are filled in by the gateway"
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        return f"the name `{name[:80]}`", f"at most {MAX_NAME_CHARS} letters, digits, `_` and `-`"
    if isinstance(macro.value, list | dict) or macro.value is None:
        return "no single value", "a text, a number, true or false"
    if isinstance(macro.value, str) and f"${{{name}}}" in macro.value:
        return "a macro that uses itself", "a value made of macros declared above it"
    return None


def _filled(node: Node, macros: Macros, findings: Findings) -> Node:
    return _rewritten(node, lambda text, at: _expanded_text(text, at, macros, findings))


def _expanded_text(text: str, at: Node, macros: Macros, findings: Findings) -> Scalar:
    if "${" not in text:
        return text
    value = text
    for name, macro in reversed(macros.items()):  # last first: a macro's own references are to earlier ones
        reference, replacement = f"${{{name}}}", _as_text(macro)
        if value == reference and not isinstance(macro, str):
            return macro  # alone it keeps its type
        if len(value) + value.count(reference) * len(replacement) > MAX_VALUE_CHARS:
            found, expected = "a value that macros make too long", f"at most {MAX_VALUE_CHARS} characters"
            findings.faults.append(Fault(findings.file, at.mark, at.key, found, expected))
            return text
        value = value.replace(reference, replacement)
    for unknown in dict.fromkeys(_unknown_in(value)):
        _report_unknown(unknown, at, macros, text, findings)
    return value


def _unknown_in(text: str) -> Iterator[str]:
    return (name for name in REFERENCE.findall(text) if name not in LATE)


def _report_unknown(name: str, at: Node, macros: Macros, text: str, findings: Findings) -> None:
    found, expected = f"the unknown macro `${{{name}}}`", "a macro of the file or of the model"
    suggestion = did_you_mean(name, macros)
    user = next((other for other, value in macros.items() if f"${{{name}}}" in str(value)), name)
    if name in macros:
        found = f"`${{{name}}}` by way of `${{{user}}}`, which is declared above it"
        expected, suggestion = "macros that use only those declared before them", f"move `{name}` above `{user}`"
    elif f"${{{name}}}" not in text:
        found = f"{found} by way of `${{{user}}}`"
    elif suggestion is None:
        suggestion = f"an environment variable is written `${{env.{name}}}`"
    findings.faults.append(Fault(findings.file, at.mark, at.key, found, expected, suggestion))


def _as_text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _rewritten(node: Node, rewrite: Rewrite) -> Node:
    """The tree with every text passed through `rewrite`."""
    if isinstance(node.value, dict):
        return node.made({key: _rewritten(member, rewrite) for key, member in node.value.items()})
    if isinstance(node.value, list):
        return node.made([_rewritten(item, rewrite) for item in node.value])
    return node.made(rewrite(node.value, node)) if isinstance(node.value, str) else node
