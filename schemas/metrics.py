"""Metrics: the figures by which victims are judged, each with its direction, its unit and its distance from chance."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.model import Model


class Metric(Model):
    """One figure of a victim; all that verdict, gate, terminal and report know of it."""

    name: str
    """Key in evidence and in `audit.require.metric`."""
    title: str = ""
    """As people say it; the name with spaces when left out."""
    noun: str = ""
    """In a sentence about a mean; the title when left out."""
    larger_is_better: bool = True
    """For the victim; False for errors."""
    unit: str = "%"
    """`%`: a share of 0..1, shown as a percentage. Anything else is the unit of a number; empty: it has none."""

    @property
    def words(self) -> str:
        """The title, or the name with spaces."""
        return self.title or self.name.replace("_", " ")

    @property
    def subject(self) -> str:
        """The noun, or the title."""
        return self.noun or self.words

    @property
    def is_share(self) -> bool:
        """Whether it lies in 0..1 and is shown as a percentage."""
        return self.unit == "%"

    def best(self, values: Iterable[float]) -> float:
        """The best value for an attacker; NaN where there are no values."""
        found = list(values)
        if not found:
            return float("nan")
        return max(found) if self.larger_is_better else min(found)

    def advantage(self, value: float, chance: float) -> float:
        """How far a victim got beyond chance: the difference; of an error, the share of the chance line's that is gone.

        >>> Metric(name="accuracy").advantage(0.75, 0.5), Metric(name="mae", larger_is_better=False).advantage(3, 4)
        (0.25, 0.25)
        """
        if self.larger_is_better:
            return value - chance
        return (chance - value) / chance if chance > 0 else 0.0

    def interval(self, value: float, error: float | None) -> tuple[float, float] | None:
        """The 95 % interval of a figure with a standard error, v ± 1.96·s; of a share inside 0..1. None without an
        error.

        >>> Metric(name="accuracy").interval(0.99, 0.25), Metric(name="accuracy").interval(0.99, None)
        ((0.5, 1.0), None)
        """
        if error is None:
            return None
        low, high = value - 1.96 * error, value + 1.96 * error
        return (max(0.0, low) if value >= 0 else low, min(1.0, high)) if self.is_share else (low, high)

    def at(self, advantage: float, chance: float) -> float:
        """The value that lies this far beyond chance: the inverse of `advantage`."""
        return chance + advantage if self.larger_is_better else chance * (1 - advantage)


BALANCED_ACCURACY = Metric(name="balanced_accuracy", noun="accuracy")
"""Mean recall over the classes that occur."""

ACCURACY = Metric(name="accuracy")
"""Share of right answers."""

AUC = Metric(name="auc", title="AUC")
"""Area under the ROC curve: how often a positive sample is rated above a negative one."""

ADVANTAGE = Metric(name="advantage", title="advantage over chance")
"""What tasks of unlike metrics have in common (`Metric.advantage`); its own chance line is 0."""
