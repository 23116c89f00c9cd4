"""Filters: written natively or as in llama-swap, checked where they stand, and carried out on a body."""

from __future__ import annotations

import pytest

from penstock.config.filters import FiltersSettings, edits
from penstock.core.calls.message import Edits
from tests.config.worlds import faults, messages, model, native, read

NATIVE = """
    models:
      m:
        upstream: http://h
        aliases: [n]
        filters:
          strip_params: [top_k, temperature, a.b, top_k]
          set_params: {z: 1, chat_template_kwargs.thinking: false, a: {b: [null, "é"]}}
          set_params_by_id:
            n: {z: 2}
            "${MODEL_ID}:high": {reasoning_effort: high, a: 0.5}
"""
LLAMA_SWAP = """
    models:
      m:
        cmd: x ${PORT}
        filters:
          stripParams: "top_k, temperature ,,top_k,model"
          setParams: {z: 1, model: other, x.model: 2}
          setParamsByID:
            m: {z: 3}
            ${MODEL_ID}:high: {z: 2, port: "${PORT}"}
"""


def test_filters_become_edits_for_the_name_that_is_asked() -> None:
    settings = native(NATIVE).models["m"]
    assert settings.aliases == ("n", "m:high")
    common = {"a": b'{"b":[null,"\xc3\xa9"]}', "chat_template_kwargs.thinking": b"false", "z": b"1"}
    drop = ("a.b", "temperature", "top_k")
    assert edits(settings.filters, "m") == Edits(None, common, drop)
    assert edits(settings.filters, "n") == Edits(None, common | {"z": b"2"}, drop)
    high = edits(settings.filters, "m:high")
    assert list(high.put.items()) == [
        ("chat_template_kwargs.thinking", b"false"),
        ("z", b"1"),
        ("a", b"0.5"),
        ("reasoning_effort", b'"high"'),
    ]
    assert edits(FiltersSettings(), "m").is_empty


def test_a_llama_swap_file_means_what_it_means_there() -> None:
    loaded = read(LLAMA_SWAP)
    settings = loaded.settings.models["m"]
    assert settings.aliases == ("m:high",)
    assert edits(settings.filters, "m") == Edits(None, {"z": b"3", "x.model": b"2"}, ("temperature", "top_k"))
    assert edits(settings.filters, "m:high").put == {"x.model": b"2", "z": b"2", "port": b"5800"}
    assert [(warning.key, warning.found) for warning in loaded.warnings] == [
        ("models.m.filters.stripParams", "`model`, which is left out"),
        ("models.m.filters.setParams.model", "`model`, which is left out"),
    ]


@pytest.mark.parametrize(
    ("filters", "drop"),
    [
        ("{strip_params: 'a,b'}", ("a", "b")),
        ("{strip_params: a, stripParams: 'b'}", ("b",)),
        ("{strip_params: a, stripParams: ''}", ("a",)),
        ("{stripParams: }", ()),
        ("{}", ()),
        ("", ()),
        ("{setParams: , setParamsByID: {x: }}", ()),
    ],
)
def test_llama_swaps_older_spelling_counts_where_the_newer_says_nothing(filters: str, drop: tuple[str, ...]) -> None:
    loaded = read(f"models: {{m: {{cmd: 'x ${{PORT}}', filters: {filters}}}}}")
    assert (loaded.settings.models["m"].filters.strip_params, loaded.warnings) == (drop, ())


def test_what_llama_swap_would_search_for_is_left_out_with_a_warning() -> None:
    loaded = read(
        "models: {m: {cmd: 'x ${PORT}', filters: {setParams: {messages.#.x: 1, y: 2}, setParamsByMatch: [1]}}}"
    )
    assert loaded.settings.models["m"].filters.set_params == {"y": 2}
    assert [str(warning).partition(" ")[0] for warning in loaded.warnings] == ["c.yaml:1:68:", "c.yaml:1:78:"]
    assert "unescaped `#`" in loaded.warnings[0].expected


def test_keys_may_be_written_in_camel_case() -> None:
    filters = model("""
        upstream: http://h
        filters: {stripParams: "a , b", setParams: {c: 1}, setParamsByID: {d: {e: }}}
    """).filters
    assert (filters.strip_params, filters.set_params, filters.set_params_by_id) == (
        ("a", "b"),
        {"c": 1},
        {"d": {"e": None}},
    )


def test_a_peers_filters_hold_for_its_models() -> None:
    text = "filters: {strip_params: [a], set_params_by_id: {far/x: {b: 1}}}"
    models = native(f"peers: {{far: {{upstream: http://h, models: [x], {text}}}}}").models
    assert edits(models["far/x"].filters, "far/x") == Edits(None, {"b": b"1"}, ("a",))
    assert models["far/x"].aliases == ("x",)
    swap = read("peers: {far: {proxy: http://h, models: [x], filters: {stripParams: a, setParams: {b: 1}}}}")
    assert edits(swap.settings.models["far/x"].filters, "x") == Edits(None, {"b": b"1"}, ("a",))


def test_every_fault_says_where_it_is() -> None:
    text = """\
        penstock: 1
        models:
          m:
            upstream: http://h
            filters:
              strip_params: [a, model, b..c]
              set_params:
                model.x: 1
                "*": 2
                y: [.inf]
                z.99999: 1
              set_params_by_id: {n: {'mod\\el': 1}, k: 3}
          k: {upstream: http://h, filters: {strip_params: "a,model", sett_params: {}}}
          l: {upstream: http://h, filters: {strip_params: 7}}
    """
    found = [(fault.mark and (fault.mark.line, fault.mark.column), fault.key, fault.found) for fault in faults(text)]
    assert found == [
        ((6, 25), "models.m.filters.strip_params[1]", "`model`"),
        ((6, 32), "models.m.filters.strip_params[2]", "the name `b..c`"),
        ((8, 18), 'models.m.filters.set_params."model.x"', "`model.x`"),
        ((9, 14), "models.m.filters.set_params.*", "the name `*`"),
        ((10, 12), "models.m.filters.set_params.y", "a number that JSON does not have"),
        ((11, 18), 'models.m.filters.set_params."z.99999"', "the name `z.99999`"),
        ((12, 40), "models.m.filters.set_params_by_id.n.mod\\el", "`mod\\el`"),
        ((12, 44), "models.m.filters.set_params_by_id.k", "`k`, which is a name already (line 13)"),
        ((12, 47), "models.m.filters.set_params_by_id.k", "3"),
        ((13, 51), "models.k.filters.strip_params", "`model`"),
        ((13, 62), "models.k.filters.sett_params", "an unknown key"),
        ((14, 51), "models.l.filters.strip_params", "7"),
    ]


@pytest.mark.parametrize(
    ("models", "found"),
    [
        ("a: {upstream: h, filters: {set_params_by_id: {b: {}}}}\n b: {}", "`b`, which is a name already"),
        ("a: {filters: {set_params_by_id: {c: {}}}}\n b: {aliases: [c]}", "`c`, which is an alias already"),
        (
            "a: {filters: {set_params_by_id: {c: {}}}}\n b: {filters: {set_params_by_id: {c: {}}}}",
            "`c`, which is an alias",
        ),
    ],
)
def test_a_name_of_a_filter_is_no_other_models(models: str, found: str) -> None:
    text = models.replace("upstream: h, ", "").replace("{filters", "{upstream: 'http://h', filters")
    text = (
        text.replace("{aliases", "{upstream: 'http://h', aliases")
        .replace("b: {}\n", "")
        .replace("b: {}", "b: {upstream: 'http://h'}")
    )
    assert any(found in fault.found for fault in faults(f"penstock: 1\nmodels:\n {text}"))


def test_names_that_macros_make_the_same_are_refused() -> None:
    text = """
        models:
          m:
            upstream: http://h
            macros: {a: m}
            filters: {set_params_by_id: {"${a}:x": {y: 1}, "${MODEL_ID}:x": {y: 2}}}
    """
    assert [message.partition("found ")[2] for message in messages(text)] == [
        "the name `m:x` a second time, once its macros are filled in, expected each name once"
    ]
    assert "the unknown macro `${b}`" in messages(text.replace("a:", "c:"))[0].replace("${a}", "${b}")


def test_a_name_of_a_filter_can_be_loaded_at_start() -> None:
    assert native("preload: [high]\nmodels: {m: {gguf: x, filters: {set_params_by_id: {high: {}}}}}").preload == ("m",)
    swap = (
        "hooks: {on_startup: {preload: [high]}}\nmodels: {m: {cmd: 'x ${PORT}', filters: {setParamsByID: {high: {}}}}}"
    )
    assert read(swap).settings.preload == ("m",)
