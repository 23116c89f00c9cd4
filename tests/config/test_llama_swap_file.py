"""A llama-swap file is served as it is, with llama-swap's own defaults and meaning."""

from __future__ import annotations

import pytest

from penstock.config.access import hashed
from penstock.config.plan import plan
from penstock.config.values import LogLevel, Residency
from tests.config.worlds import faults, read

REALISTIC = """\
# yaml-language-server: $schema=https://example.org/schema.json
healthCheckTimeout: 500
logLevel: warn
startPort: 10001
sendLoadingState: false
x-anchors: &defaults
  ttl: 300
macros:
  "latest-llama": >
    /path/to/llama-server
    --port ${PORT}
  default_ctx: 4096
  "gpu": "CUDA0"
models:
  "llama":
    macros:
      default_ctx: 16384
    <<: *defaults
    cmd: |
      # ${latest-llama} is a macro; ${this} is none
      ${latest-llama}
      --ctx-size ${default_ctx} \\
      -np 2
    name: "llama 3.1 8B"
    env:
      - "CUDA_VISIBLE_DEVICES=0,1,2"
    aliases:
      - "gpt-4o-mini"
      - "gpt-3.5-turbo"
    metadata:
      port: ${PORT}
      context: ${default_ctx}
      note: "at ${PORT} on ${gpu} for ${MODEL_ID}"
    concurrencyLimit: 0
  "qwen-unlisted":
    unlisted: true
    cmd: ${latest-llama} --ctx-size ${default_ctx} -m /models/${MODEL_ID}.gguf
    cmdStop: kill ${PID}
    ttl: 0
    concurrencyLimit: 4
    unloadTimeout: 0
    useModelName: "qwen:x"
  "docker-llama":
    proxy: "http://127.0.0.1:${PORT}"
    cmd: >
      docker run --name dockertest
      -p ${PORT}:8080 ghcr.io/x
    cmdStop: docker stop dockertest
    checkEndpoint: none
groups:
  "group1":
    swap: false
    exclusive: false
    persistent: true
    members: ["llama", "qwen-unlisted"]
hooks:
  on_startup:
    preload: ["gpt-4o-mini", "nobody"]
"""
ONE = "models: {m: {cmd: 'x ${PORT}'}}\n"
"""A model, without which a file is warned of."""


def test_a_realistic_file_means_what_it_means_there() -> None:
    loaded = read(REALISTIC)
    settings = loaded.settings
    assert (loaded.format, loaded.default_port) == ("llama-swap", 8080)
    assert (settings.load_timeout, settings.stop_timeout, settings.log_level) == (500, 10, LogLevel.WARN)
    assert (settings.residency, settings.cors_origins, settings.preload) == (Residency.GROUPS, ("*",), ("llama",))
    llama, qwen, docker = (settings.models[name] for name in ("llama", "qwen-unlisted", "docker-llama"))
    assert (llama.cmd or "").split() == [
        "/path/to/llama-server",
        "--port",
        "${PORT}",
        "--ctx-size",
        "16384",
        "\\",
        "-np",
        "2",
    ]
    assert (llama.ttl, llama.parallel, llama.env) == (300, None, (("CUDA_VISIBLE_DEVICES", "0,1,2"),))
    assert (qwen.ttl, qwen.parallel, qwen.stop_timeout, qwen.use_model_name) == (0, 4, 10, "qwen:x")
    assert (qwen.cmd or "").endswith("--ctx-size 4096 -m /models/qwen-unlisted.gguf")
    assert (docker.check_endpoint, docker.proxy) == ("none", "http://127.0.0.1:${PORT}")
    assert [(warning.key, warning.mark and warning.mark.line) for warning in loaded.warnings] == [
        ("hooks.on_startup.preload[1]", 58)
    ]


def test_ports_are_counted_in_the_order_of_the_names() -> None:
    models = read(REALISTIC).settings.models
    assert {name: model.port for name, model in models.items()} == {
        "docker-llama": 10001,
        "llama": 10002,
        "qwen-unlisted": 10003,
    }
    assert models["llama"].metadata == {"port": 10002, "context": 16384, "note": "at 10002 on CUDA0 for llama"}


def test_models_outside_groups_replace_each_other() -> None:
    residency = plan(read(REALISTIC).settings, host_memory_bytes=1).residency
    assert residency.admits("llama", {"qwen-unlisted", "docker-llama"})
    assert residency.admits("docker-llama", {"llama"})  # whose group is persistent
    assert not plan(
        read("models: {a: {cmd: 'x ${PORT}'}, b: {cmd: 'x ${PORT}'}}").settings, host_memory_bytes=1
    ).residency.admits("a", {"b"})


def test_the_defaults_are_those_of_llama_swap() -> None:
    settings = read("models: {m: {cmd: 'x ${PORT}'}}").settings
    assert (settings.load_timeout, settings.start_port, settings.ttl) == (120, 5800, 0)
    assert settings.models["m"].check_endpoint == "/health"
    assert read("").settings.models == {}


@pytest.mark.parametrize(
    ("file_ttl", "ttl", "expected_s"), [("", "", 0), ("60", "", 60), ("60", "-1", 60), ("60", "0", 0), ("60", "5", 5)]
)
def test_ttl_falls_back_to_the_global_one(file_ttl: str, ttl: str, expected_s: int) -> None:
    assert (
        read(f"globalTTL: {file_ttl}\nmodels: {{m: {{cmd: 'x ${{PORT}}', ttl: {ttl}}}}}").settings.models["m"].ttl
        == expected_s
    )


def test_the_environment_is_text_of_the_file() -> None:
    text = """
        # ${env.NOT_SET} in a comment is none
        models:
          ${env.NAME}: {cmd: "x ${PORT} ${env.QUOTED}", ttl: ${env.TTL}, aliases: [${env.LIST}]}
    """
    model = read(text, {"NAME": "m", "QUOTED": 'a"\\b"', "TTL": "7", "LIST": "p, q"}).settings.models["m"]
    assert (model.cmd, model.ttl, model.aliases) == ('x ${PORT} a"\\b"', 7, ("p", "q"))


def test_a_variable_that_is_not_set_or_has_two_lines_is_a_fault() -> None:
    text = "models:\n  m:\n    cmd: x ${PORT} ${env.A} ${env.B}\n  ${env.A}: {cmd: 'x ${PORT}'}\n"
    assert [str(fault) for fault in faults(text, {"B": "1\n2"})] == [
        (
            "c.yaml:3:10: models.m.cmd: found `${env.A}`, which is not set, "
            "expected an environment variable with one line of text"
        ),
        (
            "c.yaml:3:10: models.m.cmd: found `${env.B}`, which has a line break in it, "
            "expected an environment variable with one line of text"
        ),
        (
            "c.yaml:4:3: models.${env.A}: found `${env.A}`, which is not set, "
            "expected an environment variable with one line of text"
        ),
    ]


def test_the_routers_own_place_for_groups_is_known() -> None:
    text = (
        'models: {a: {cmd: "x ${PORT}"}}\n'
        "routing: {router: {use: group, settings: {groups: {g: {swap: false, members: [a]}}}}}\n"
    )
    assert read(text).settings.groups["g"].members == ("a",)
    assert [fault.key for fault in faults(f"{text}groups: {{h: {{members: [a]}}}}\n")] == ["groups"]


def test_a_router_that_decides_nothing_is_refused() -> None:
    assert [fault.key for fault in faults("routing: {router: {use: matrix}}")] == ["routing.router.use"]


def test_each_api_key_opens_everything_as_there_and_only_its_hash_goes_on() -> None:
    loaded = read(f"{ONE}apiKeys: [abc, 'sk-${{env.A}}', abc]", {"A": "1"})
    assert loaded.warnings == ()
    keys = loaded.settings.keys
    assert [(name, key.hash) for name, key in keys.items()] == [("key-1", hashed("abc")), ("key-2", hashed("sk-1"))]
    assert {(key.role, key.priority, key.models) for key in keys.values()} == {("admin", "high", ())}
    assert "abc" not in repr(loaded) + loaded.settings.model_dump_json()


@pytest.mark.parametrize("text", ["apiKeys: abc", "apiKeys: ['']", "apiKeys: ['a b']", "apiKeys: [[a]]"])
def test_an_api_key_that_nobody_could_send_is_refused(text: str) -> None:
    assert [fault.key.partition("[")[0] for fault in faults(text)] == ["apiKeys"]
    assert "a b" not in str(faults(text)[0])


def test_empty_api_keys_leave_the_gateway_open_as_there() -> None:
    assert read("apiKeys: []").settings.keys == {}


def test_what_is_not_carried_out_is_named() -> None:
    loaded = read("""
        store: {path: "${undefined}"}
        profiles: {}
        modles: {}
        defs: {note: "${undefined}"}
        models:
          m: {cmd: "x ${PORT}", healthCheckTimeout: 3, timeouts: {keepalive: 1}, ttll: 3, gguf: g}
    """)
    assert [(warning.key, warning.suggestion) for warning in loaded.warnings] == [
        ("store", None),
        ("modles", "did you mean `models`?"),
        ("defs", None),
        ("models.m.healthCheckTimeout", None),
        ("models.m.timeouts.keepalive", None),
        ("models.m.ttll", "did you mean `ttl`?"),
        ("models.m.gguf", "it belongs to the native form, which begins with `penstock: 1`"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("models: {m: {cmd: 'x', proxy: 'http://h:${PORT}'}}", "`${PORT}`, which `cmd` does not use"),
        ("models: {m: {cmd: ''}}", "an empty command"),
        ("models: {m: {cmd: 'x ${PORT} ${nope}'}}", "the unknown macro `${nope}`"),
        ("models: {m: {cmd: 'x ${PORT} ${PID}'}}", "`${PID}`"),
        ("models: {m: {cmd: 'x ${PORT}', ttl: -2}}", "-2"),
        ("models: {m: {cmd: 'x ${PORT}'}}\ngroups: {g: {members: [n]}}", "the unknown model `n`"),
        ("macros: {a: '${a}'}", "a macro that uses itself"),
    ],
)
def test_what_llama_swap_refuses_is_refused(text: str, found: str) -> None:
    assert [fault.found for fault in faults(text)] == [found]


def test_a_short_health_check_timeout_is_raised_with_a_warning() -> None:
    loaded = read(f"{ONE}healthCheckTimeout: 5")
    assert loaded.settings.load_timeout == 15
    assert [warning.key for warning in loaded.warnings] == ["healthCheckTimeout"]
