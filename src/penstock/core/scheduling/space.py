"""What may be loaded beside what, as far as is known: the plan's residency, seen through what was measured.

Two things are measured: what a replica really took, which counts from then on in place of the estimate, and what
is free on a device, which shows what others hold. Both may be wrong, or out of date. So where they leave no room
for a model they are believed for a while only; then the plan alone decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from penstock.core.fitting.residency import Footprint
from penstock.core.scheduling.plan import Plan


class Space:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._sizes: dict[str, Footprint] = {}
        self.adopt(plan)

    def adopt(self, plan: Plan) -> None:
        """Another plan. A size is kept as long as the plan says the same about it; readings are made anew."""
        footprints = {model.name: model.footprint for model in plan.models}
        for model in self._plan.models:
            if model.name not in footprints or footprints[model.name] != model.footprint:
                self._sizes.pop(model.name, None)
        self._plan = plan
        self._readings: dict[str, tuple[int, frozenset[str]]] = {}
        self._see()

    @property
    def sizes(self) -> Mapping[str, Footprint]:
        """What models were seen to take, by name."""
        return MappingProxyType(self._sizes)

    def read(self, device: str, free_bytes: int, residents: frozenset[str]) -> None:
        """So much is free while these hold theirs."""
        self._readings[device] = (free_bytes, residents)
        self._see()

    def measured(self, name: str, footprint: Footprint) -> None:
        """So much did the model take."""
        self._sizes[name] = footprint
        self._see()

    def admits(self, target: str, others: frozenset[str], *, is_believed: bool) -> bool:
        """May the target be loaded beside the others? Remembered: the same few sets are asked for again and again."""
        answer = self._answers.get((target, others, is_believed))
        if answer is None:
            answer = self._plan.admits(target, others, self.residency if is_believed else None)
            self._answers[target, others, is_believed] = answer
        return answer

    def _see(self) -> None:
        self.residency = self._plan.residency.knowing(self._sizes)
        for device, (free_bytes, residents) in self._readings.items():
            self.residency = self.residency.seeing(device, free_bytes, residents)
        self._answers: dict[tuple[str, frozenset[str], bool], bool] = {}
