"""Training of an audit's victims: each once, in parallel, the most telling first, as many as the time allows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.cluster.jobs import Job
from pipeline.run.session import Session
from pipeline.run.tables import device, fetch_table
from pipeline.state.generators import fetch_weights, with_fetched_weights
from schemas.errors import MtlueError, ValidationError
from schemas.evidence import VictimResult
from schemas.model import fingerprint
from schemas.plans import VictimPlan
from stages.audit.train_victim import train_victim
from stages.countermeasures.registry import COUNTERMEASURES
from stages.io.store.records import read_record
from stages.io.store.store import Store

FOLDER = "victims/"


class Budget:
    """Time that the victims of an audit may take together; how long one takes is learned from those that are done.

    Args:
        seconds: None: as long as it takes.
        workers: victims that are trained at a time.
    """

    def __init__(self, seconds: float | None, workers: int = 1) -> None:
        self.seconds, self.workers, self.started = seconds, workers, time.monotonic()
        self.rates: dict[str, float] = {}
        self.waiting = 0.0

    def allows(self, plan: VictimPlan, share: float = 1.0) -> bool:
        """Whether a victim would probably be done within a share of the time; 0 s are expected until one is done."""
        if self.seconds is None:
            return True
        ends = time.monotonic() - self.started + self.waiting / self.workers + self.estimate(plan)
        return ends <= share * self.seconds

    def estimate(self, plan: VictimPlan) -> float:
        """Seconds that a victim takes: as others of its architecture did, else as the slowest known one; 0: unknown."""
        rate = self.rates.get(plan.backbone, max(self.rates.values(), default=0.0))
        return rate * COUNTERMEASURES[plan.countermeasure].cost

    def begin(self, plan: VictimPlan) -> None:
        """One more is on its way."""
        self.waiting += self.estimate(plan)

    def end(self, plan: VictimPlan, seconds: float) -> None:
        """One is done; it took so many seconds."""
        self.waiting = max(0.0, self.waiting - self.estimate(plan))
        rate = seconds / COUNTERMEASURES[plan.countermeasure].cost
        self.rates[plan.backbone] = max(rate, self.rates.get(plan.backbone, 0.0))


@dataclass(frozen=True)
class AuditData:
    """The tables of one audit, by their names in the private place."""

    versions: dict[str, list[str]]
    """Version of the data (`clean`, `noise`, `protected`) → its tables."""
    test: list[str]
    """The held-out tables."""
    samples: int
    """Images that a victim sees at most."""
    split: bool
    """Whether `test` are the clean tables themselves, of which a part is held out from all victims."""


class VictimTraining:
    """Victims on the tables of one audit.

    Args:
        session: the run's; each victim's result is kept in its private place.
        data: what they learn from and are tested on.
        budget: what they may take.
    """

    def __init__(self, session: Session, data: AuditData, budget: Budget) -> None:
        self.session, self.work, self.data, self.budget = session, session.work, data, budget
        self.results: list[tuple[VictimPlan, VictimResult]] = []
        self.left_out: list[VictimPlan] = []
        """Victims that the budget had no room for."""

    def train(self, plans: Sequence[VictimPlan], *, needed: int = 0, share: float = 1.0) -> None:
        """Train those that no earlier audit has stored, in this order; results are added to `results`.

        Args:
            plans: the victims.
            needed: how many of the first are trained whatever the budget says.
            share: of the budget's time, after which the rest is left out.

        Raises:
            ValidationError: a victim could not be trained; there is no evidence without it.
        """
        stored = {entry.name for entry in self.work.list(FOLDER)}
        found: dict[str, VictimResult] = {}
        names = {self._name(plan): plan for plan in plans}
        for name, plan in names.items():
            if name in stored:
                result = read_record(self.work, name, VictimResult, "remove it, and the victim is trained again")
                if has_all_figures(result, plan):
                    found[name] = result
                    self.budget.end(plan, whole_seconds(result, plan))
        missing = [name for name in names if name not in found]
        first = set(list(names)[:needed])

        def done(name: str, result: VictimResult) -> None:
            self.work.write(name, result.model_dump_json().encode())
            found[name] = result
            self.budget.end(names[name], whole_seconds(result, names[name]))
            self._tell(name, result)

        def failed(name: str, error: MtlueError) -> None:
            raise ValidationError(f"{name}: {error}")

        self.session.each(
            "victims",
            self._jobs([(name, names[name], name in first) for name in missing], share),
            done,
            failed,
            count=len(missing),
            unit="models",
            gpu=True,
            length=max((plan.epochs for plan in plans), default=1),
        )
        self.results += [(plan, found[name]) for name, plan in names.items() if name in found]

    def train_left_out(self) -> None:
        """Train what was left out and fits after all."""
        plans, self.left_out = self.left_out, []
        self.train(plans)

    def _tell(self, name: str, result: VictimResult) -> None:
        """Let listeners know what a victim reached: each epoch's figures on clean held-out data."""
        events, short = self.session.reporter.events, name.removeprefix(FOLDER).removesuffix(".json")
        for number, epoch in enumerate(result.figures, 1):
            figures = {f"{task}/{metric}": value for task, found in epoch.items() for metric, value in found.items()}
            events.tell("epoch", "victims", name=short, number=number, figures=figures)
        events.tell("victim", "victims", name=short, figures={"seconds": round(result.seconds, 3)})

    def _jobs(self, waiting: Sequence[tuple[str, VictimPlan, bool]], share: float) -> Iterator[Job[VictimResult]]:
        """Asked for the next one whenever a worker becomes free: by then more is known of how long they take."""
        data = self.data
        for name, plan, needed in waiting:
            if needed or self.budget.allows(plan, share):
                self.budget.begin(plan)
                learned, originals = data.versions[plan.data], self._originals(plan)
                work = partial(victim_step, self.work, learned, data.test, originals, plan, data.samples, data.split)
                yield Job(name, work)
            else:
                self.left_out.append(plan)

    def _originals(self, plan: VictimPlan) -> list[str]:
        """Tables that leak to this victim; the control on clean data has nothing besides."""
        leaks = COUNTERMEASURES[plan.countermeasure].needs_originals and plan.data != "clean"
        return self.data.versions["clean"] if leaks else []

    def _name(self, plan: VictimPlan) -> str:
        parts = [plan.data, plan.backbone, f"{plan.learning_rate:g}", "stl" if plan.only else ""]
        parts.append("" if plan.countermeasure == "none" else plan.countermeasure)
        data = self.data
        read = [plan.fingerprint, data.versions[plan.data], data.test, data.samples, *(["split"] if data.split else [])]
        originals = self._originals(plan)
        state = fingerprint([*read, originals] if originals else read)
        return f"{FOLDER}{'-'.join(filter(None, parts))}.{state}.json"


def whole_seconds(result: VictimResult, plan: VictimPlan) -> float:
    """What a victim would have taken without an early end, by which others are estimated."""
    return result.seconds * plan.epochs / max(1, len(result.figures))


def has_all_figures(result: VictimResult, plan: VictimPlan) -> bool:
    """Whether a stored victim has every metric of its tasks; another version of a kind of task may have had fewer."""
    wanted = {task.name: {metric.name for metric in task.metrics} for task in plan.tasks}
    return all(
        wanted.get(task, set()) <= figures.keys()
        for each in (*result.figures, result.chance)
        for task, figures in each.items()
    )


def victim_step(
    work: Store,
    train_tables: list[str],
    test_tables: list[str],
    clean_tables: list[str],
    plan: VictimPlan,
    samples: int,
    split: bool = False,
) -> VictimResult:
    """Train one victim on the tables of one version of the data, on `samples` of them at most.

    Args:
        clean_tables: originals that leaked to the attacker, if any.
        split: whether a part of the samples is held out: tested on in `test_tables`, and not learned from.
    """
    learned, tested = (False, True) if split else (None, None)
    with TemporaryDirectory(prefix="mtlue-audit-") as directory:
        if plan.second is not None:
            plan = plan.model_copy(update={"second": with_fetched_weights(work, plan.second, Path(directory))})
        return train_victim(
            fetch_table(work, train_tables, Path(directory, "train"), plan.tasks, samples, held_out=learned),
            fetch_table(work, test_tables, Path(directory, "test"), plan.tasks, samples, held_out=tested),
            plan,
            device(),
            clean=fetch_table(work, clean_tables, Path(directory, "clean"), plan.tasks, samples, held_out=learned)
            if clean_tables
            else None,
            weights=fetch_weights(work, plan.weights, Path(directory)) if plan.weights else None,
        )
