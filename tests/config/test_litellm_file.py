"""A LiteLLM file: every name goes to that LiteLLM, behind our queue."""

from __future__ import annotations

from penstock.config.plan import plan
from penstock.config.sections import BreakerSettings, PoolSettings
from penstock.config.values import ClientKey
from tests.config.worlds import faults, read

UPSTREAM = "http://127.0.0.1:4001"
REALISTIC = """\
model_list:
  - model_name: gpt-oss
    litellm_params:
      model: openai/gpt-oss-120b
      api_base: http://127.0.0.1:8081/v1
      api_key: os.environ/LOCAL_KEY
      max_parallel_requests: 4
  - model_name: embed
    litellm_params: {model: openai/bge, api_base: "http://127.0.0.1:8082/${v}"}
  - model_name: "anthropic/*"
    litellm_params: {model: "anthropic/*"}
router_settings:
  model_group_alias: {gpt-4: gpt-oss, hidden: {model: embed, hidden: true}, lost: nobody}
general_settings: {master_key: sk-1234}
litellm_settings: {drop_params: true}
"""


def test_a_realistic_file_is_served_by_its_litellm() -> None:
    loaded = read(REALISTIC, upstream=UPSTREAM)
    models = loaded.settings.models
    assert (loaded.format, loaded.default_port, list(models)) == ("litellm", 4000, ["gpt-oss", "embed"])
    assert {model.upstream for model in models.values()} == {UPSTREAM}
    assert {model.client_key for model in models.values()} == {ClientKey.FORWARD}
    assert (models["gpt-oss"].parallel, models["embed"].parallel) == (4, "unlimited")
    assert (models["gpt-oss"].aliases, models["embed"].aliases) == (("gpt-4",), ("hidden",))
    assert [warning.key for warning in loaded.warnings] == ["model_list[2].model_name"]
    assert loaded.settings.keys == {}  # its `master_key` is checked by the LiteLLM itself
    assert "sk-1234" not in repr(loaded)
    assert [model.slots for model in plan(loaded.settings, host_memory_bytes=0).models] == [4, None]


def test_it_needs_to_know_where_its_litellm_answers() -> None:
    assert [fault.message for fault in faults(REALISTIC)] == [
        "found a LiteLLM file, but not where its LiteLLM answers, expected `--upstream URL`"
    ]


def test_the_caps_of_several_deployments_add_up() -> None:
    def caps(*written: str) -> object:
        entries = "".join(f"  - {{model_name: m, litellm_params: {{{each}}}}}\n" for each in written)
        return read(f"model_list:\n{entries}", upstream=UPSTREAM).settings.models["m"].parallel

    assert caps("max_parallel_requests: 4", "max_parallel_requests: 2") == 6
    assert caps("max_parallel_requests: 4", "model: x") == "unlimited"
    assert caps("model: x", "max_parallel_requests: 4") == "unlimited"


def test_overlaats_keys_become_pools_and_costs() -> None:
    settings = read(
        """
        overlaat: {pools: {gpu: {budget: 2.0, exclusive: true, heavy_max: full_pool}}}
        model_list:
          - {model_name: a, litellm_params: {max_parallel_requests: 4}, model_info: {overlaat_pool: gpu}}
          - {model_name: b, litellm_params: {max_parallel_requests: 2}, model_info: {overlaat_slot: swap}}
          - {model_name: c, litellm_params: {max_parallel_requests: 2}, model_info: {overlaat_max_prompt_tokens: 9}}
          - model_name: d
            litellm_params: {}
            model_info: {overlaat_cost: 0.25, overlaat_breaker: {fails: 2, cooldown_s: 7}}
          - {model_name: e, litellm_params: {}}
        """,
        upstream=UPSTREAM,
    )
    models = settings.settings.models
    assert {name: model.pool for name, model in models.items()} == {
        "a": "gpu", "b": "swap", "c": "default", "d": "default", "e": None,
    }  # fmt: skip
    assert settings.settings.pools == {
        "gpu": PoolSettings(budget=2.0, exclusive=True),
        "swap": PoolSettings(exclusive=True),
        "default": PoolSettings(),
    }
    assert (models["c"].max_prompt_tokens, models["d"].cost) == (9, 0.25)
    assert [models[name].breaker for name in "cd"] == [None, BreakerSettings(failures=2, pause=7.0)]
    assert [warning.key for warning in settings.warnings] == [
        "overlaat.pools.gpu.heavy_max",
    ]


def test_faults_point_at_what_was_written() -> None:
    text = "model_list:\n  - {model_name: m, litellm_params: {max_parallel_requests: many}}\n  - {model: x}\n  - 3\n"
    assert [str(fault) for fault in faults(text, upstream=UPSTREAM)] == [
        (
            'c.yaml:2:61: model_list[0].litellm_params.max_parallel_requests: found "many", '
            "expected a whole number of at least 1, or `unlimited`"
        ),
        "c.yaml:3:5: model_list[1]: found no `model_name`, expected one",
        "c.yaml:4:5: model_list[2]: found no `model_name`, expected one",
    ]


def test_a_whole_answer_is_read_to_its_end_unless_overlaat_was_told_otherwise() -> None:
    entries = "".join(
        f"  - {{model_name: m{number}, litellm_params: {{}}, model_info: {{overlaat_abort_on_disconnect: {value}}}}}\n"
        for number, value in enumerate(("false", "true", "null", "perhaps"))
    )
    loaded = read(f"model_list:\n{entries}", upstream=UPSTREAM)
    told = [model.on_disconnect for model in loaded.settings.models.values()]
    assert told == ["drain", "cancel", "drain_whole", "drain_whole"]
    assert [warning.key for warning in loaded.warnings] == [
        f"model_list[{number}].model_info.overlaat_abort_on_disconnect" for number in (2, 3)
    ]
