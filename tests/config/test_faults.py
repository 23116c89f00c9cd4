"""What is told about a file that is wrong: everything at once, each at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config.faults import ConfigError, Mark
from penstock.config.load import load
from tests.config.worlds import faults, messages, read

WRONG = """\
penstock: 1
listen: somewhere
models:
  qwen:
    comand: llama-server --port ${PORT}
    ttl: soon
  gemma:
    cmd: "'"
    gguf: g.gguf
    aliases: [qwen]
  tiny: {cmd: x, parallel: 0, checkEndpoint: health}
  far: {upstream: "ftp://x", api_key: [hidden], ttl: 5, max_queue: many}
groups: {g: {members: [quen]}}
preload: ["*", tiny]
residency: memry
limits: {body: lots}
"""


def test_all_faults_of_a_file_are_told_at_once_in_its_order() -> None:
    assert [str(fault) for fault in faults(WRONG)] == [
        'c.yaml:2:9: listen: found "somewhere", expected "host:port" or ":port", or a list of such',
        "c.yaml:5:5: models.qwen.comand: found an unknown key, expected a key of a model; did you mean `cmd`?",
        (
            'c.yaml:6:10: models.qwen.ttl: found "soon", expected a duration: seconds, or a text such as "90s", "10m", '
            '"1h30m" or "2d"'
        ),
        (
            "c.yaml:8:10: models.gemma.cmd: found a command that cannot be split into words: No closing quotation, "
            "expected matching quotes"
        ),
        "c.yaml:9:11: models.gemma.gguf: found `cmd` and `gguf`, expected exactly one of `cmd`, `gguf` or `upstream`",
        (
            "c.yaml:10:15: models.gemma.aliases[0]: found `qwen`, which is a name already (line 4), "
            "expected a name that no other model has"
        ),
        (
            "c.yaml:11:15: models.tiny.cmd: found a command without `${PORT}`, "
            "expected `${PORT}` in it, or `proxy` to say where the engine answers"
        ),
        "c.yaml:11:28: models.tiny.parallel: found 0, expected a whole number of at least 1, or `unlimited`",
        'c.yaml:11:46: models.tiny.checkEndpoint: found "health", expected a path such as "/health", or "none"',
        'c.yaml:12:19: models.far.upstream: found "ftp://x", expected an address such as http://127.0.0.1:8080',
        "c.yaml:12:39: models.far.api_key: found a list, expected a text",
        "c.yaml:12:54: models.far.ttl: found a key that has no effect beside `upstream`, expected it to be left out",
        'c.yaml:12:68: models.far.max_queue: found "many", expected a whole number of at least 1',
        (
            "c.yaml:13:24: groups.g.members[0]: found the unknown model `quen`, expected a name under `models`; "
            "did you mean `qwen`?"
        ),
        "c.yaml:14:11: preload[0]: found `*` among names, expected `*` alone, or names alone",
        'c.yaml:15:12: residency: found "memry", expected `memory`, `groups` or `matrix`',
        'c.yaml:16:16: limits.body: found "lots", expected a size: bytes, or a text such as "64KiB", "8GiB" or "24GB"',
    ]


def test_broken_yaml_is_told_with_its_place() -> None:
    fault = faults("penstock: 1\nmodels: {m: {cmd: x ${PORT}}}\n")[0]
    assert (fault.mark, fault.suggestion) == (
        Mark(2, 22),
        "a value with `${...}` inside `{...}` or `[...]` needs quotes around it",
    )
    assert faults("penstock: 1\nmodels:\n\tm: 1\n")[0].suggestion == "YAML is indented with spaces, not tabs"
    assert faults("a: 1\n---\nb: 2\n")[0].mark == Mark(2, 1)
    assert faults("a: *nowhere\n")[0].mark == Mark(1, 4)


def test_a_key_twice_is_a_fault() -> None:
    assert messages("models: {m: {upstream: 'http://h'}}\nmodels: {}") == [
        "c.yaml:3:1: models: found the key a second time (first in line 2), expected each key once"
    ]


def test_anchors_that_unfold_without_end_are_refused() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert "more than 200000 values" in str(faults(bomb)[0])
    assert "more than 64 levels" in str(faults("a: &a [*a]")[0])
    assert len(faults("[" * 5000)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pool: nope", "models.m.pool: found the unknown pool `nope`, expected a name under `pools`"),
        ("cost: 0.5", "models.m.cost: found a cost without a pool, expected `pool` to be given too"),
        ("pool: p\ncost: 3", "models.m.cost: found 3, more than the whole budget of `p`, expected at most 2"),
        ("memory: {tpu: 1}", "models.m.memory.tpu: found the unknown device `tpu`, expected a name under `devices`"),
        (
            "memory: 1GiB",
            (
                "models.m.memory: found a size that does not say where, expected a mapping from "
                "`gpu0` or `gpu1` to sizes"
            ),
        ),
        (
            "memory: {gpu0: 30GiB}",
            (
                "models.m.memory: found that it can never be loaded: it needs 30.0 GiB on gpu0, "
                "where 24.0 GiB are usable, expected a model for which there is room"
            ),
        ),
        ("cmd_stop: '# nothing'", "models.m.cmd_stop: found an empty command, expected a program and its arguments"),
        (
            "name: on ${PORT}",
            (
                "models.m.name: found `${PORT}`, expected it in `cmd`, `proxy`, `env` or `cmd_stop` only, "
                "unless `start_port` or `port` fixes it"
            ),
        ),
        (
            "env: ['P=${PID}']",
            ("models.m.env[0]: found `${PID}`, expected it in `cmd_stop` only: no other place knows a process"),
        ),
        ("api_key: x", "models.m.api_key: found a key that has no effect beside `cmd`, expected it to be left out"),
    ],
)
def test_what_does_not_fit_together_is_told(text: str, message: str) -> None:
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    world = "devices: {gpu0: {memory: 24GiB}, gpu1: {memory: 8GiB}}\npools: {p: {budget: 2}}\n"
    found = messages(f"{world}models:\n  m:\n    cmd: x $" + "{PORT}\n" + lines)
    assert [line.split(": ", 1)[1] for line in found] == [message]


@pytest.mark.parametrize(
    "text",
    [
        "models: {a: {cmd: 'x ${PORT}', port: 5}, b: {cmd: 'x ${PORT}', port: 5}}",
        "models: {a: {cmd: 'x', proxy: 'http://h:${PORT}'}}",
        "models: {'': {upstream: 'http://h'}}",
        "models: {a: {upstream: 'http://h', aliases: [x, x]}}",
        "models: {a: {}}",
        "models: {a: [1]}",
        "models: 3",
        "start_port: 65536",
        "start_port: 65535\nmodels: {a: {gguf: x}, b: {gguf: y}}",
        "groups: {g: {members: [a]}, h: {members: [a]}}\nmodels: {a: {gguf: x}}\nresidency: groups",
        "priorities: {high: {at_least: 0}}",
        "trusted_proxies: [nobody]",
        "ttl: true",
        "max_resident: 0",
        "limits: {head_fields: 1.5}",
        "models: {a: {gguf: {path: x, n_ctx: 3}}}",
    ],
)
def test_each_of_these_is_one_fault(text: str) -> None:
    assert len(messages(text)) == 1


def test_a_version_that_is_not_ours_is_refused() -> None:
    assert [fault.message for fault in faults("penstock: 2")] == ["penstock: found 2, expected 1"]


def test_groups_beside_memory_residency_are_warned_of() -> None:
    loaded = read("penstock: 1\nmodels: {a: {gguf: x}}\ngroups: {g: {members: [a]}}")
    assert [warning.key for warning in loaded.warnings] == ["groups"]


def test_a_secret_is_never_shown() -> None:
    assert "hunter2" not in "".join(
        messages("models: {m: {upstream: 'http://h', env: hunter2, api_key: {a: hunter2}}}")
    )


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"penstock: 1\nstate_dir: caf\xe9")
    for name, place in (("latin.yaml", Mark(2, 15)), ("missing.yaml", None), ("", None)):
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / name, environ={})
        assert [fault.mark for fault in caught.value.faults] == [place]


def test_what_this_machine_lacks_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "penstock.yaml"
    file.write_text(
        "penstock: 1\nmodels:\n  a: {gguf: {path: a.gguf, mmproj: there.gguf}}\n"
        "  b: {cmd: 'no-such-program ${PORT}'}\n  c: {cmd: 'sh ${PORT}', cwd: nowhere}\n"
    )
    (tmp_path / "there.gguf").touch()
    loaded = load(file, environ={"PATH": "/bin:/usr/bin"})
    assert [warning.message for warning in loaded.warnings] == [
        f"models.a.gguf: found no file {tmp_path}/a.gguf, expected a model file",
        "models.b.cmd: found no program `no-such-program`, expected a program on PATH, or the path of one",
        f"models.c.cwd: found no folder {tmp_path}/nowhere, expected a folder",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "models: {a: {upstream: 'http://x', aliases: [b, ' c']}}",
            (
                'c.yaml:2:49: models.a.aliases[1]: found " c", '
                "expected a name: printable, without spaces around it, at most 256 characters"
            ),
        ),
        (
            "models: {a: {cmd: 'x ${PORT}', env: [A=1, B]}}",
            "c.yaml:2:43: models.a.env[1]: found a value that is not shown, expected `NAME=value`",
        ),
        ("listen: [':80', there]", 'c.yaml:2:17: listen[1]: found "there", expected "host:port" or ":port"'),
        (
            "trusted_proxies: [10.0.0.1, 10.0.0.0/33]",
            'c.yaml:2:29: trusted_proxies[1]: found "10.0.0.0/33", expected an address or a network such as 10.0.0.0/8',
        ),
        (
            "models: [{name: a}]",
            (
                "c.yaml:2:9: models: found a list, "
                "expected a mapping from names to models, such as `qwen: {upstream: http://127.0.0.1:8000}`"
            ),
        ),
        (
            "models: {a: /m.gguf}",
            'c.yaml:2:13: models.a: found "/m.gguf", expected a mapping with one of `cmd`, `gguf` or `upstream` in it',
        ),
        (
            "models:\n  a:\n  ",
            "c.yaml:3:3: models.a: found nothing, expected a mapping with one of `cmd`, `gguf` or `upstream` in it",
        ),
        (
            "keys: {ann: sk-0123456789}",
            (
                "c.yaml:2:13: keys.ann: found a value that is not shown, "
                "expected a mapping with a `hash` in it, as `penstock keys` makes them"
            ),
        ),
        (
            f"keys: {{ann: {{hash: 'sha256:{'0' * 64}', role: boss}}}}",
            'c.yaml:2:101: keys.ann.role: found "boss", expected `none`, `viewer` or `admin`',
        ),
        ("keys: {ann: {}}", "c.yaml:2:13: keys.ann: found no `hash`, expected one, as `penstock keys` makes them"),
    ],
)
def test_what_does_not_fit_is_told_where_it_stands_with_what_does(text: str, told: str) -> None:
    assert messages(text) == [told]


@pytest.mark.parametrize(
    ("text", "found"), [("hello", '"hello"'), ("- a\n- b", "a list"), ("server {\n}", '"server { }"')]
)
def test_what_is_no_configuration_at_all_is_refused(text: str, found: str) -> None:
    with pytest.raises(ConfigError, match="expected keys and their values") as raised:
        read(text)
    assert [fault.found for fault in raised.value.faults] == [found]


@pytest.mark.parametrize("text", ["", "penstock: 1", "penstock: 1\nlisten: ':80'", "models: {}"])
def test_a_file_without_models_is_warned_of(text: str) -> None:
    assert [warning.found for warning in read(text).warnings] == ["no models"]


def test_a_file_that_is_larger_than_any_or_in_another_encoding_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="more than 16777216 bytes"):
        load(Path("/dev/zero"), environ={})
    (tmp_path / "wide.yaml").write_text("penstock: 1", "utf-16")
    with pytest.raises(ConfigError, match="found text in UTF-16, expected text in UTF-8"):
        load(tmp_path / "wide.yaml", environ={})
