"""Where calls come from: the generators that a scenario file may name, and what each of them draws.

The model is drawn first, then whatever else is random in a call, in the order in which the file writes it:
the same file and the same seed give the same calls.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, ModelWrapValidatorHandler, PrivateAttr, Tag, model_validator

from penstock.config.sections import Section
from penstock.config.values import unexpected
from penstock.core.model import Priority
from penstock.simulate.draws import NameDraw, NumberDraw, draw_name, draw_number, names_in
from penstock.simulate.world import Call

LEAST_WORK_S = 0.02
"""Of a call whose work is given in tokens: an engine answers no faster."""

MOST_CALLS = 1_000_000

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(ge=1, le=MOST_CALLS, strict=True)]

PRIORITIES = {priority.name.lower(): priority for priority in Priority}


@dataclass(frozen=True, slots=True)
class Speed:
    """Of a lone call."""

    prefill_tokens_per_s: float
    decode_tokens_per_s: float

    def work_s(self, prompt_tokens: float, output_tokens: float) -> float:
        return max(LEAST_WORK_S, prompt_tokens / self.prefill_tokens_per_s + output_tokens / self.decode_tokens_per_s)


@dataclass(slots=True)
class Draft:
    """A call as far as it is drawn."""

    model: str = ""
    key: str = ""
    priority: str = ""
    at_s: float = 0.0
    work_s: float | None = None
    prompt_tokens: float = 0.0
    output_tokens: float = 0.0


@dataclass(slots=True)
class Tape:
    """One seed's randomness, and what turns drafts into calls. ceilings: the best class that a key is granted."""

    rng: Random
    speeds: Mapping[str, Speed]
    ceilings: Mapping[str, Priority] = field(default_factory=dict)
    count: int = 0

    def call(self, draft: Draft) -> Call:
        self.count += 1
        speed = self.speeds[draft.model]
        work_s = draft.work_s if draft.work_s is not None else speed.work_s(draft.prompt_tokens, draft.output_tokens)
        priority = max(PRIORITIES[draft.priority], self.ceilings.get(draft.key, Priority.HIGH))
        return Call(
            self.count, draft.at_s, draft.model, draft.key, priority, work_s, prompt_tokens=round(draft.prompt_tokens)
        )


class Source(Section):
    """What every generator draws for each of its calls."""

    model: NameDraw = Field(description="The model, by name.")
    key: NameDraw = Field(default="default", description="Whom the call is charged to.")
    priority: NameDraw = Field(default="normal", description="`high`, `normal` or `low`.")
    work_s: NumberDraw | None = Field(
        default=None, description="Seconds the answer takes when nothing else runs. Default: computed from the tokens."
    )
    prompt_tokens: NumberDraw = Field(default=0.0, description="Length of the prompt; the scheduler is told.")
    output_tokens: NumberDraw = Field(default=0.0, description="Length of the answer; nobody is told.")

    _order: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="wrap")
    @classmethod
    def _remember_order(cls, value: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        source = handler(value)
        source._order = tuple(value) if isinstance(value, dict) else ()
        return source

    @model_validator(mode="after")
    def _has_known_work(self) -> Self:
        if self.work_s is None and not {"prompt_tokens", "output_tokens"} & self.model_fields_set:
            raise unexpected("`work_s`, or `prompt_tokens` and `output_tokens`")
        if unknown := set(names_in(self.priority)) - PRIORITIES.keys():
            raise unexpected(f"`high`, `normal` or `low` as a priority, not `{min(unknown)}`")
        return self

    def calls(self, tape: Tape) -> Iterator[Call]:
        """Those known from the start; a closed loop's later ones hang on them."""
        raise AssertionError("each kind of source says this itself")

    def most_calls(self) -> int:
        """About how many there can be at most."""
        raise AssertionError("each kind of source says this itself")

    def _draw(self, draft: Draft, tape: Tape, index: int, *, but_not: Iterable[str] = ()) -> Draft:
        """Fill in what is not given yet: the model, what is left to its default, the rest in the order of the file."""
        rng = tape.rng
        draft.model = draft.model or draw_name(self.model, rng, index)
        for name in (*(name for name in Source.model_fields if name not in self._order), *self._order):
            if name == "model" or name in but_not:
                continue
            if name in ("key", "priority"):
                setattr(draft, name, draw_name(getattr(self, name), rng, index))
            elif name in ("work_s", "prompt_tokens", "output_tokens"):
                if (value := getattr(self, name)) is not None:
                    setattr(draft, name, draw_number(value, rng, draft.model))
            else:
                self._draw_own(name, draft, rng)
        return draft

    def _draw_own(self, name: str, draft: Draft, rng: Random) -> None:
        """Draw a further member of the generator."""


class At(Source):
    """Calls at one moment: a single one, or a batch."""

    generator: Literal["at"] = "at"
    at_s: NumberDraw = Field(description="When, in seconds from the start.")
    count: Count = Field(default=1, description="How many.")
    same_model: bool = Field(default=False, strict=True, description="The model is drawn once for all of them.")

    def calls(self, tape: Tape) -> Iterator[Call]:
        at_s = draw_number(self.at_s, tape.rng, "")
        model = draw_name(self.model, tape.rng, 0) if self.same_model else ""
        for index in range(self.count):
            draft = Draft(at_s=at_s, model=model)
            yield tape.call(self._draw(draft, tape, index))

    def most_calls(self) -> int:
        return self.count


class Steady(Source):
    """Calls at even distances, each a little late if that is wanted."""

    generator: Literal["steady"]
    every_s: Positive = Field(description="Seconds from one to the next.")
    count: Count = Field(description="How many.")
    start_s: Seconds = Field(default=0.0, description="When the first comes.")
    late_s: NumberDraw = Field(default=0.0, description="How late each is.")

    def calls(self, tape: Tape) -> Iterator[Call]:
        for index in range(self.count):
            yield tape.call(self._draw(Draft(at_s=self.start_s + index * self.every_s), tape, index))

    def most_calls(self) -> int:
        return self.count

    def _draw_own(self, name: str, draft: Draft, rng: Random) -> None:
        if name == "late_s":
            draft.at_s += draw_number(self.late_s, rng, draft.model)


class Tide(Section):
    """A rate that rises from `least_per_s` to the source's rate and falls again, once in every period."""

    period_s: Positive
    least_per_s: Seconds = 0.0


class Poisson(Source):
    """Calls of many people who do not know of each other."""

    generator: Literal["poisson"]
    rate_per_s: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False, strict=True)] = Field(
        description="Calls per second, on average."
    )
    from_s: Seconds = 0.0
    to_s: Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False, strict=True)]
    tide: Tide | None = Field(default=None, description="Makes the rate swing.")

    def calls(self, tape: Tape) -> Iterator[Call]:
        at_s, index = self.from_s, 0
        while (at_s := at_s + tape.rng.expovariate(self.rate_per_s)) < self.to_s:
            if self.tide is None or tape.rng.random() < self._height(self.tide, at_s):
                yield tape.call(self._draw(Draft(at_s=at_s), tape, index))
                index += 1

    def most_calls(self) -> int:
        return math.ceil(self.rate_per_s * max(0.0, self.to_s - self.from_s))

    def _height(self, tide: Tide, at_s: float) -> float:
        """The rate at a moment, as a part of the highest."""
        swing = (1 - math.cos(2 * math.pi * at_s / tide.period_s)) / 2
        return (tide.least_per_s + (self.rate_per_s - tide.least_per_s) * swing) / self.rate_per_s


class ClosedLoop(Source):
    """Sessions that ask, read the answer, think, and ask again.

    A `cycle` of models begins one further in each session; a `cycle` of keys counts sessions.
    """

    generator: Literal["closed_loop"]
    sessions: Annotated[int, Field(ge=1, le=10_000, strict=True)]
    apart_s: Seconds = Field(default=0.0, description="Seconds from one session's begin to the next one's.")
    think_s: NumberDraw = Field(default=1.0, description="Seconds from an answer to the next question.")
    until_s: Seconds = Field(description="An answer after this moment is a session's last.")

    def calls(self, tape: Tape) -> Iterator[Call]:
        for session in range(self.sessions):
            yield self._ask(tape, session, 0, session * self.apart_s, but_not=("think_s",))

    def _ask(self, tape: Tape, session: int, step: int, at_s: float, *, but_not: tuple[str, ...] = ()) -> Call:
        draft = Draft(at_s=at_s, model=draw_name(self.model, tape.rng, session + step))
        call = tape.call(self._draw(draft, tape, session, but_not=but_not))
        call.then = lambda now_s: self._ask(tape, session, step + 1, now_s) if now_s <= self.until_s else None
        return call

    def most_calls(self) -> int:
        return self.sessions

    def _draw_own(self, name: str, draft: Draft, rng: Random) -> None:
        if name == "think_s":
            draft.at_s += draw_number(self.think_s, rng, draft.model)


def _generator_of(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("generator", "at"))
    return str(getattr(value, "generator", ""))


AnySource = Annotated[
    Annotated[At, Tag("at")]
    | Annotated[Steady, Tag("steady")]
    | Annotated[Poisson, Tag("poisson")]
    | Annotated[ClosedLoop, Tag("closed_loop")],
    Discriminator(_generator_of),
]
