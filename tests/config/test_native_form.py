"""The native form: what may be written, in which spelling, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.commands import argv, declared_slots
from penstock.config.keys import spellings
from penstock.config.reference import EXAMPLE
from penstock.config.schema import ModelSettings, Settings
from penstock.config.sections import GgufSettings
from penstock.config.values import LogLevel
from tests.config.worlds import messages, model, native, read


def test_a_whole_file_is_read() -> None:
    loaded = read(EXAMPLE, {"FAR_KEY": "s3cret"})
    settings = loaded.settings
    assert (loaded.format, loaded.default_port, loaded.warnings) == ("native", 8080, ())
    assert settings.listen == ("127.0.0.1:8080",)
    assert settings.models["qwen"].cmd == (
        "llama-server --host 127.0.0.1 --port ${PORT} -m /models/qwen3-8b.gguf -c 32768 -np 4"
    )
    assert settings.models["qwen"].ttl == 600
    assert settings.models["gemma"].gguf == GgufSettings(path="/models/gemma.gguf", context=8192)
    assert settings.models["far"].api_key == "s3cret"
    assert "s3cret" not in repr(settings)


def test_a_file_with_nothing_but_its_version_is_fine() -> None:
    assert native("") == Settings()


def test_every_key_is_accepted_in_camel_case_too() -> None:
    snake = model("cmd: x ${PORT}\ncheck_endpoint: /ok\nuse_model_name: y\nload_timeout: 1m\nmax_queue: 3")
    camel = model("cmd: x ${PORT}\ncheckEndpoint: /ok\nuseModelName: y\nloadTimeout: 1m\nmaxQueue: 3")
    assert snake == camel


@given(st.sampled_from([Settings, ModelSettings]))
def test_no_two_keys_share_a_spelling(section: type[Settings | ModelSettings]) -> None:
    known = spellings(section)
    assert set(section.model_fields) <= set(known)
    assert set(known.values()) == set(section.model_fields)


def test_the_names_of_llama_swap_mean_their_counterparts() -> None:
    settings = native("""
        globalTTL: 60
        healthCheckTimeout: 30
        unloadTimeout: 5
        models: {m: {cmd: "x ${PORT}", concurrencyLimit: 2, unloadTimeout: 7}}
    """)
    m = settings.models["m"]
    assert (m.ttl, m.load_timeout, m.stop_timeout, m.parallel, settings.stop_timeout) == (60, 30, 7, 2, 5)


def test_two_spellings_of_one_key_at_once_are_a_fault() -> None:
    assert messages("checks: 1\nload_timeout: 5\nloadTimeout: 6")[-1] == (
        "c.yaml:4:1: loadTimeout: found a second spelling of `load_timeout`, "
        "expected only one of the two (the other is in line 3)"
    )


def test_keys_that_begin_with_x_are_free_at_every_level() -> None:
    settings = native("""
        x-defaults: &defaults {ttl: 5m, x-note: "${whatever} ${env.NOPE}"}
        models:
          m: {<<: *defaults, cmd: "x ${PORT}", x-owner: {ann: [1, 2]}}
    """)
    assert settings.models["m"].ttl == 300


def test_a_key_with_nothing_behind_it_counts_as_left_out() -> None:
    assert native("start_port:\nttl: null\nmodels:\n") == Settings()


def test_a_model_inherits_the_times_of_the_file() -> None:
    settings = native("""
        ttl: 1h
        stop_timeout: 3
        models:
          a: {cmd: "x ${PORT}"}
          b: {cmd: "x ${PORT}", ttl: 0}
    """)
    assert (settings.models["a"].ttl, settings.models["b"].ttl) == (3600, 0)
    assert settings.models["a"].stop_timeout == 3


def test_fixed_ports_are_counted_in_the_order_of_the_names_around_those_that_are_taken() -> None:
    settings = native("""
        start_port: 5800
        models:
          c: {cmd: "x ${PORT}"}
          a: {cmd: "x ${PORT}", metadata: {port: "${PORT}", text: "at ${PORT}"}}
          b: {cmd: "x", proxy: "http://127.0.0.1:9"}
          d: {gguf: d.gguf, port: 5801}
    """)
    assert {name: model.port for name, model in settings.models.items()} == {"a": 5800, "b": None, "c": 5802, "d": 5801}
    assert settings.models["a"].metadata == {"port": 5800, "text": "at 5800"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('":9000"', ("127.0.0.1:9000",)),
        ("9000", ("127.0.0.1:9000",)),
        ('["0.0.0.0:80", "[::1]:80"]', ("0.0.0.0:80", "[::1]:80")),
    ],
)
def test_an_address_without_a_host_means_loopback(written: str, expected: tuple[str, ...]) -> None:
    assert native(f"listen: {written}").listen == expected


@pytest.mark.parametrize("written", ["localhost", '"a b:1"', '":70000"', '["ok:1", "http://x:1"]', "{}", "-1"])
def test_what_is_no_address_is_refused(written: str) -> None:
    assert len(messages(f"listen: {written}")) == 1


def test_env_is_a_list_or_a_mapping() -> None:
    as_list = model('cmd: x ${PORT}\nenv: [A=1, "B=x=y", C=]')
    as_mapping = model('cmd: x ${PORT}\nenv: {A: 1, B: "x=y", C: ""}')
    assert as_list.env == as_mapping.env == (("A", "1"), ("B", "x=y"), ("C", ""))


def test_preload_knows_aliases_and_everything() -> None:
    models = 'models: {a: {cmd: "x ${PORT}", aliases: [z]}, b: {gguf: b.gguf}, far: {upstream: "http://h"}}'
    assert native(f"preload: [z, a, b]\n{models}").preload == ("a", "b")
    assert native(f'preload: ["*"]\n{models}').preload == ("a", "b")


def test_priorities_keep_their_defaults_where_nothing_is_written() -> None:
    priorities = native("priorities: {high: {at_least: 5}, low: {weight: 0.5}}").priorities
    assert (priorities.high.at_least, priorities.high.patience_s, priorities.high.weight) == (5, 15, 16)
    assert (priorities.low.patience_s, priorities.low.weight) == (900, 0.5)


@pytest.mark.parametrize(("written", "expected"), [("off", None), ("1s", 1.0), ("500ms", 0.5), ("2", 2.0)])
def test_the_journal_is_flushed_when_asked(written: str, expected: float | None) -> None:
    assert native(f"journal_fsync: {written}").journal_fsync == expected


def test_words_for_choices_are_read() -> None:
    assert native("log_level: debug").log_level is LogLevel.DEBUG


@pytest.mark.parametrize(
    ("cmd", "slots"),
    [
        ("llama-server -np 4 --port ${PORT}", 4),
        ("llama-server --port ${PORT} --parallel 2 --parallel 8", 8),
        ("vllm serve m --port ${PORT} --max-num-seqs=256", 256),
        ("x --port ${PORT}", None),
        ("x --port ${PORT} -np", None),
        ("x --port ${PORT} -np many", None),
    ],
)
def test_slots_are_read_from_the_command_line(cmd: str, slots: int | None) -> None:
    assert declared_slots(model(f"cmd: {cmd}")) == slots


def test_parallel_beats_the_command_line() -> None:
    assert declared_slots(model("cmd: x ${PORT} -np 4\nparallel: 2")) == 2


def test_a_command_is_split_without_a_shell() -> None:
    command = """
        # a comment with a ' in it
        server --a "b c" \\
          --d=$HOME ; rm -rf '/'
            # another
        --e
    """
    assert argv(command) == ("server", "--a", "b c", "--d=$HOME", ";", "rm", "-rf", "/", "--e")


@given(st.lists(st.text(st.characters(exclude_characters="\\\0\r"), min_size=1), min_size=1))
def test_words_survive_being_quoted_and_split(words: list[str]) -> None:
    quoted = ["'" + word.replace("'", "'\"'\"'") + "'" for word in words if "#" not in word and "\n" not in word]
    assert argv(" ".join(quoted)) == tuple(word for word in words if "#" not in word and "\n" not in word)


def test_time_limits_of_a_model_are_the_files_where_it_says_nothing() -> None:
    settings = native("""
        limits: {queue_wait: 90s, first_byte: off, idle: 2m}
        models:
          a: {upstream: "http://h", limits: {first_byte: 30s, queue_wait: off}}
          b: {upstream: "http://h"}
    """)
    a, b = settings.models["a"].limits, settings.models["b"].limits
    assert (a.connect, a.queue_wait, a.first_byte, a.idle, a.call) == (10, None, 30, 120, 3600)
    assert (b.connect, b.queue_wait, b.first_byte, b.idle, b.call) == (10, 90, None, 120, 3600)


def test_what_a_model_does_not_say_about_leaving_and_waiting_is_as_in_the_file() -> None:
    settings = native("""
        on_disconnect: drain
        send_loading_state: true
        upstream_pages: trusted
        models:
          a: {upstream: "http://h", on_disconnect: cancel, send_loading_state: false, upstream_pages: sandbox}
          b: {upstream: "http://h"}
    """)
    a, b = settings.models["a"], settings.models["b"]
    assert (a.on_disconnect, a.send_loading_state, a.upstream_pages) == ("cancel", False, "sandbox")
    assert (b.on_disconnect, b.send_loading_state, b.upstream_pages) == ("drain", True, "trusted")


def test_a_pattern_that_is_none_is_told_at_its_place() -> None:
    assert messages("upstream_ignore_paths: ['a', '(']") == [
        'c.yaml:2:30: upstream_ignore_paths[1]: found "(", expected a regular expression'
    ]
    assert messages("wait_comments_after: soon")[0].endswith(
        'found "soon", expected "off", or a duration such as 1 or "500ms"'
    )
