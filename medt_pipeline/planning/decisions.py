"""A decision of the planner as a record that explains itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Decision(Generic[Value]):
    """What was decided, by which rule, why, and from what.

    Attributes:
        name: what is decided, e.g. "patch size".
        value: the decision.
        rule: the function in `planning/rules/` that took it.
        reason: one sentence for the user.
        facts: the numbers that the rule looked at.
    """

    name: str
    value: Value
    rule: str
    reason: str
    facts: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """The decision as it stands in MedTPlans.json."""
        return {
            "name": self.name,
            "value": self.value,
            "rule": self.rule,
            "reason": self.reason,
            "facts": dict(self.facts),
        }
