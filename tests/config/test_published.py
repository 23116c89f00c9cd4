"""What is published about the settings is what the program knows of them."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from penstock.config.reference import EXAMPLE, json_schema, markdown
from penstock.config.schema import Settings
from penstock.config.sections import Section
from tests.config.test_faults import WRONG


def valid(text: str) -> bool:
    validator = jsonschema.Draft202012Validator(json_schema())
    return validator.is_valid(YAML(typ="safe", pure=True).load(text))


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = resources.files("penstock.config").joinpath("penstock.schema.json").read_text("utf-8")
    assert json.loads(committed) == json.loads(json.dumps(json_schema()))


def test_the_committed_page_is_the_generated_one() -> None:
    assert Path("docs/configuration.md").read_text("utf-8") == markdown()


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json_schema()["type"] == "object"


@pytest.mark.parametrize(
    "text",
    [
        EXAMPLE,
        "penstock: 1",
        "penstock: 1\nstart_port: null\nmax_resident: null\nx-mine: {a: [1]}",
        'penstock: 1\nlisten: [":80"]\nmodels: {a: {upstream: "${u}", parallel: "${n}", x-a: 1, memory: "${m}"}}',
        "penstock: 1\nmodels: {a: {gguf: x.gguf, env: {A: 1}, memory: {gpu0: 8GiB}}}\njournal_fsync: 1s",
    ],
)
def test_the_schema_accepts_what_the_program_accepts(text: str) -> None:
    assert valid(text)


@pytest.mark.parametrize(
    "text",
    [
        WRONG,
        "models: {}",
        "penstock: 1\nmodls: {}",
        "penstock: 1\nmodels: {a: {}}",
        "penstock: 1\nmodels: {a: {cmd: x, gguf: y}}",
        "penstock: 1\nmodels: {a: {gguf: x, parallel: 0}}",
        "penstock: 1\nttl: soon",
    ],
)
def test_the_schema_refuses_what_the_program_refuses(text: str) -> None:
    assert not valid(text)


def sections(section: type[Section]) -> list[type[Section]]:
    """Of the configuration; scenarios of the simulator are built from the same stuff, and published elsewhere."""
    below = [each for child in section.__subclasses__() for each in sections(child)]
    return [each for each in (section, *below) if each.__module__.startswith("penstock.config.")]


def test_every_key_has_a_description() -> None:
    for section in sections(Section):
        for key, field in section.model_fields.items():
            assert field.description, (section, key)
            assert field.description.endswith("."), (section, key)


def test_the_page_names_every_key() -> None:
    page = markdown()
    assert all(f"| `{key}` |" in page for section in sections(Section) for key in section.model_fields)
    assert Settings.__doc__
