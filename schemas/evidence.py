"""Evidence: what victims reached, what it proves, what was asked of it; one record for gate, terminal, JSON, report."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.metrics import BALANCED_ACCURACY, Metric
from schemas.records import Record
from schemas.training import LeakName, Requirement

VERSIONS = ("clean", "noise", "protected")
"""Versions of the training data, in the order of every table."""

Word = Literal["protected", "weakened", "not protected", "not proven", "not measured"]


class VictimResult(Record):
    """One victim, trained on one version of the data and tested on clean held-out data."""

    data: str
    """`clean`, `noise` or `protected`."""
    backbone: str
    learning_rate: float
    seed: int
    weighting: str = "ls"
    """Its task weighting."""
    only: str | None = None
    """Name of a single-task victim's task; its `chance` and `figures` hold that task alone."""
    countermeasure: str = "none"
    """What the attacker did against a protection."""
    samples: int
    """Images that it was trained on."""
    test_samples: int
    """Clean held-out images that it was tested on."""
    chance: dict[str, dict[str, float]]
    """Task → metric → what a model reaches on these that never looks at an image."""
    figures: list[dict[str, dict[str, float]]]
    """Per epoch: task → metric → figure, a share in 0..1 or a number with a unit. Fewer than planned: it ended early
    (`stages/audit/train_victim.py`)."""
    errors: list[dict[str, dict[str, float]]] = Field(default_factory=list)
    """Per epoch, as `figures`: the standard error of each over the test samples; empty where it is unknown."""
    seconds: float

    @property
    def setting(self) -> str:
        """All that decided it, besides its task: single-task victims that share this make one set."""
        return self.model_dump_json(exclude={"only", "chance", "figures", "errors", "seconds"})


class Score(Record):
    """One metric of the strongest victim on one version of the data."""

    last: float
    """At the last epoch."""
    best: float
    """At the epoch that suits an attacker most, who can stop early."""
    last_error: float | None = None
    """Standard error over the test samples (`stages/audit/intervals.py`); None where it is unknown."""
    best_error: float | None = None
    """The same at the best epoch."""


class TaskEvidence(Record):
    """What the audit shows of one task."""

    name: str
    wanted: bool
    """Whether the task was to be protected."""
    metric: str
    """The figure that decides the word."""
    metrics: dict[str, Metric] = Field(default_factory=dict)
    """Each figure's direction, unit and wording; one that is not here is a share, the larger the better."""
    chance: dict[str, float]
    """Metric → what a model reaches that never looks at an image."""
    scores: dict[str, dict[str, Score]]
    """Metric → version of the data → the strongest victim's score."""
    word: Word

    @property
    def judged_by(self) -> Metric:
        """The metric that decides."""
        return self.metric_of(self.metric)

    def metric_of(self, name: str) -> Metric:
        """Direction, unit and wording of a figure."""
        return self.metrics.get(name, Metric(name=name))

    @property
    def judged_scores(self) -> dict[str, Score]:
        """Version of the data → the score that decides."""
        return self.scores[self.metric]

    def judged(self, data: str) -> Score:
        """The score that decides, on one version of the data."""
        return self.judged_scores[data]

    def advantage(self, data: str) -> float:
        """How far beyond chance the strongest victim on one version of the data got at its best epoch; 0 for none."""
        if data not in self.judged_scores:
            return 0.0
        return self.judged_by.advantage(self.judged(data).best, self.chance[self.metric])


class SetEvidence(Record):
    """Means over the findings of a multi-label set, of the strongest victim; macro AUC among them."""

    name: str
    tasks: list[str]
    """Its findings, as tasks."""
    metrics: dict[str, Metric]
    """Figure → its direction, unit and wording."""
    chance: dict[str, float]
    """Figure → mean chance line."""
    scores: dict[str, dict[str, Score]]
    """Figure → version of the data → score of the mean."""


class AttackEvidence(Record):
    """What one countermeasure wins back."""

    name: str
    """Its name in a configuration; `none`: the plain victims."""
    counts: bool = True
    """Whether the verdict counts it: not where the attacker has originals of the dataset."""
    means: dict[str, Score]
    """Version of the data → mean of the metrics that decide, over the tasks that were to be protected."""
    tasks: dict[str, Score]
    """Task that was to be protected → its score on protected data."""


class Cell(Record):
    """One kind of victim on one version of the data, over its seeds: means over the tasks that were to be protected."""

    data: str
    backbone: str
    learning_rate: float
    single: bool
    """Whether it is a set of single-task victims."""
    seeds: int
    """Trainings."""
    best: float
    """Mean over the seeds, each at its best epoch."""
    best_deviation: float | None
    """Standard deviation over the seeds; None of one."""
    last: float
    """Mean over the seeds at the last epoch."""
    last_deviation: float | None


class Judge(Record):
    """One kind of victim on protected images, and of which tasks its failing there says anything.

    The rule is `judges_of` in `stages/audit/judging.py`.
    """

    backbone: str
    single: bool
    """Whether it is a set of single-task victims."""
    countermeasure: str = "none"
    learned: dict[str, float]
    """Protected task → what it learns of it from clean images, as a share of what the best clean victim learns. Tasks
    without such a victim on clean images are left out."""
    judges: list[str]
    """Tasks that it judges; empty: it judges nothing."""
    note: str
    """What it does not judge and why, in words, as `judges nothing: …`; empty where it judges every task."""

    @property
    def kind(self) -> str:
        """The victim in words."""
        return f"{self.backbone}{', one task each,' if self.single else ''}"


class Leak(Record):
    """What a protection gives away: one figure of one leak test."""

    name: LeakName
    task: str = ""
    """What it is about; empty: all images."""
    metric: Metric
    reached: float
    chance: float
    """What is reached that way by whoever never looks."""
    clean: float | None = None
    """The same without protection; None where there is no such thing."""
    noise: float | None = None
    """The same with random noise of the same strength instead; None: not measured."""
    error: float | None = None
    """Standard error of `reached` over the test samples."""
    samples: int
    """That it was tested on."""


class Evidence(Record):
    """An audit in figures and in words; tasks to be protected come first, the least protected first of all."""

    fingerprint: str = ""
    """Of all that was audited: generator, settings of the victims, held-out data."""
    audited: str = ""
    """What the victims were trained on, in words for people."""
    test_samples: int = 0
    split: bool = False
    """Whether the test images are a part of the dataset itself, held out from the victims by the hash of their keys."""
    victims: list[VictimResult] = Field(default_factory=list)
    tasks: list[TaskEvidence] = Field(default_factory=list)
    metric: Metric = BALANCED_ACCURACY
    """What `chance` and `means` are figures of: the metric that decides every task, or else advantage over chance."""
    sets: list[SetEvidence] = Field(default_factory=list)
    """Of each multi-label set, in the order of the configuration."""
    chance: float = 0.0
    """Mean over the tasks that were to be protected, of the metric that decides."""
    means: dict[str, Score] = Field(default_factory=dict)
    """Version of the data → mean of the metric that decides, over the tasks that were to be protected."""
    cells: list[Cell] = Field(default_factory=list)
    """Plain victims of each kind, in the figure of `metric`; on protected data first, the strongest first of those."""
    attacks: list[AttackEvidence] = Field(default_factory=list)
    """Countermeasures, the one that wins back most first; the plain victims among them."""
    judges: list[Judge] = Field(default_factory=list)
    """Kinds of victims on protected images, and the tasks that each of them judges."""
    leaks: list[Leak] = Field(default_factory=list)
    """What the protection gives away; no part of the verdict."""
    left_out: list[str] = Field(default_factory=list)
    """Victims that the time did not suffice for, in words."""
    word: Word
    sentence: str
    """The whole in one sentence."""
    details: list[str] = Field(default_factory=list)
    requirement: Requirement | None = None
    """What was asked for; None: nothing."""
    shortfalls: list[str] = Field(default_factory=list)
    """Why the requirement is not met, a sentence each; empty when it is met, and without a requirement."""

    @property
    def passed(self) -> bool:
        """Whether the evidence meets what was asked for."""
        return not self.shortfalls

    @property
    def notes(self) -> list[str]:
        """Each kind of plain victim that does not judge every task, a sentence each."""
        plain = [judge for judge in self.judges if judge.countermeasure == "none"]
        return [f"{judge.kind} {judge.note}." for judge in plain if judge.note]

    def attack_note(self, countermeasure: str) -> str:
        """What victims with a countermeasure do not judge, in words; empty where they judge every task."""
        found = [judge.note for judge in self.judges if judge.countermeasure == countermeasure != "none"]
        return next(filter(None, found), "")
