"""What an operator writes about captures, in each form."""

from __future__ import annotations

import pytest

from penstock.config.faults import ConfigError
from penstock.config.load import Loaded, loads
from penstock.core.calls.capture import CaptureLevel


def loaded(text: str) -> Loaded:
    return loads(text, name="penstock.yaml", environ={})


NATIVE = "penstock: 1\nmodels: {a: {cmd: 'a ${PORT}'}, b: {cmd: 'b ${PORT}', captures: headers}}\n"
LLAMA_SWAP = "models: {a: {cmd: 'a ${PORT}'}}\n"


def test_captures_are_on_in_five_megabytes_unless_said_otherwise() -> None:
    for text in (NATIVE, LLAMA_SWAP):
        settings = loaded(text).settings
        assert (settings.captures, settings.capture_buffer) == (CaptureLevel.FULL, 5 * 2**20)
        assert settings.models["a"].captures is CaptureLevel.FULL


@pytest.mark.parametrize("off", ["off", "false", '"off"'])
def test_the_file_says_it_for_all_models_and_a_model_for_itself(off: str) -> None:
    settings = loaded(f"{NATIVE}captures: {off}\ncaptureBuffer: 1MiB\n").settings
    assert settings.captures is settings.models["a"].captures is CaptureLevel.OFF
    assert settings.models["b"].captures is CaptureLevel.HEADERS
    assert settings.capture_buffer == 2**20


def test_the_buffer_of_a_llama_swap_file_is_in_megabytes_and_zero_switches_off() -> None:
    for written, size in [("10", 10 * 2**20), ("0", 0), ("-1", 0)]:
        found = loaded(f"{LLAMA_SWAP}captureBuffer: {written}\n")
        assert found.settings.capture_buffer == size
        assert found.warnings == ()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("capture_buffer: 5", "0 for none, or a size of at least 64KiB"),
        ("capture_buffer: much", "0 for none, or a size of at least 64KiB"),
        ("captures: bodies", "`off`, `headers` or `full`"),
    ],
)
def test_what_makes_no_sense_is_told_with_what_would(written: str, expected: str) -> None:
    with pytest.raises(ConfigError) as told:
        loaded(f"{NATIVE}{written}\n")
    assert expected in str(told.value)
    assert "line 3" in str(told.value) or ":3" in str(told.value)
