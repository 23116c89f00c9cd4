"""What a scenario file may write instead of a fixed number or name: something drawn for every call."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, WithJsonSchema

from penstock.config.values import unexpected


@dataclass(frozen=True, slots=True)
class OneOf:
    """Any of these, each as likely as its weight says."""

    names: tuple[str, ...]
    weights: tuple[float, ...] | None

    def draw(self, rng: Random, _index: int) -> str:
        return rng.choice(self.names) if self.weights is None else rng.choices(self.names, self.weights)[0]


@dataclass(frozen=True, slots=True)
class Cycle:
    """One after the other, from the first again."""

    names: tuple[str, ...]

    def draw(self, _rng: Random, index: int) -> str:
        return self.names[index % len(self.names)]


@dataclass(frozen=True, slots=True)
class Uniform:
    low: float
    high: float

    def draw(self, rng: Random, _model: str) -> float:
        return rng.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Lengths as people write them: `mean` is the mean, sigma the spread of the logarithm."""

    mean: float
    sigma: float

    def draw(self, rng: Random, _model: str) -> float:
        return self.mean * math.exp(rng.gauss(-self.sigma * self.sigma / 2, self.sigma))


@dataclass(frozen=True, slots=True)
class ByModel:
    """Another number for each model."""

    numbers: Mapping[str, float | Uniform | Lognormal]
    others: float | Uniform | Lognormal

    def draw(self, rng: Random, model: str) -> float:
        return draw_number(self.numbers.get(model, self.others), rng, model)


_Names: TypeAlias = str | OneOf | Cycle
_Numbers: TypeAlias = float | Uniform | Lognormal | ByModel


def draw_name(value: _Names, rng: Random, index: int) -> str:
    """`index`: which call of its source it is."""
    return value if isinstance(value, str) else value.draw(rng, index)


def draw_number(value: _Numbers, rng: Random, model: str) -> float:
    return value if isinstance(value, int | float) else value.draw(rng, model)


def names_in(value: _Names) -> tuple[str, ...]:
    """All that can come of it."""
    return (value,) if isinstance(value, str) else value.names


def _read_names(value: object) -> _Names:
    if isinstance(value, str):
        return _name(value)
    members = _members(value)
    if members.keys() == {"cycle"}:
        return Cycle(_names(members["cycle"]))
    if members.keys() == {"one_of"}:
        return OneOf(_names(members["one_of"]), None)
    names, weights = _names(members["one_of"]), members["weights"]
    if members.keys() != {"one_of", "weights"} or not isinstance(weights, list) or len(weights) != len(names):
        raise ValueError(value)
    return OneOf(names, tuple(_number(weight, above=0.0) for weight in weights))


def _read_number(value: object) -> float | Uniform | Lognormal:
    if isinstance(value, int | float):
        return _number(value)
    members = _members(value)
    if members.keys() == {"uniform"} and isinstance(members["uniform"], list):
        low, high = map(_number, members["uniform"])
        if low > high:
            raise ValueError(value)
        return Uniform(low, high)
    inner = _members(members["lognormal"])
    if len(members) != 1 or inner.keys() != {"mean", "sigma"}:
        raise ValueError(value)
    return Lognormal(_number(inner["mean"]), min(_number(inner["sigma"]), 5.0))


def _read_numbers(value: object) -> _Numbers:
    if isinstance(value, dict) and value.keys() == {"by_model", "others"}:
        numbers = {_name(name): _read_number(each) for name, each in _members(value["by_model"]).items()}
        return ByModel(numbers, _read_number(value["others"]))
    return _read_number(value)


def _members(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise TypeError(value)
    return tuple(_name(each) for each in value)


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    if not value:
        raise ValueError(value)
    return value


def _number(value: object, *, above: float | None = None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    if not math.isfinite(value) or value < 0 or (above is not None and value <= above):
        raise ValueError(value)
    return float(value)


def _reader(expected: str, read: Callable[[object], object]) -> BeforeValidator:
    """A validator that says `expected` when `read` refuses; what is drawn already passes."""

    def validate(value: object) -> object:
        try:
            return read(value)
        except (ValueError, TypeError, KeyError, OverflowError):
            raise unexpected(expected) from None

    return BeforeValidator(validate)


_NUMBER = {"type": "number", "minimum": 0}
_NAME = {"type": "string", "minLength": 1}
_NAMES = {"type": "array", "items": _NAME, "minItems": 1}


def _object(required: Mapping[str, object], **more: object) -> dict[str, object]:
    members = {**required, **more}
    return {"type": "object", "properties": members, "required": list(required), "additionalProperties": False}


_ONE_NUMBER = {
    "anyOf": [
        _NUMBER,
        _object({"uniform": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}}),
        _object({"lognormal": _object({"mean": _NUMBER, "sigma": _NUMBER})}),
    ]
}

NameDraw = Annotated[
    str | OneOf | Cycle,
    _reader('a name, {"one_of": [names]} (with "weights": [numbers] or without) or {"cycle": [names]}', _read_names),
    WithJsonSchema(
        {
            "anyOf": [
                _NAME,
                _object(
                    {"one_of": _NAMES}, weights={"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}}
                ),
                _object({"cycle": _NAMES}),
            ]
        }
    ),
]
NumberDraw = Annotated[
    float | Uniform | Lognormal | ByModel,
    _reader(
        'a number, {"uniform": [low, high]}, {"lognormal": {"mean": number, "sigma": number}} '
        'or {"by_model": {name: number}, "others": number}',
        _read_numbers,
    ),
    WithJsonSchema(
        {
            "anyOf": [
                *_ONE_NUMBER["anyOf"],
                _object({"by_model": {"type": "object", "additionalProperties": _ONE_NUMBER}, "others": _ONE_NUMBER}),
            ]
        }
    ),
]
