"""Which victims an audit trains, the most telling first: plain ones, then the countermeasures of the strongest."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.configuration.plans import train_plan, victim_plan, victim_plans, victims_of
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.evidence import VictimResult
from schemas.plans import VictimPlan
from schemas.training import Audit, CountermeasureName
from stages.audit.curves import Place, strongest
from stages.countermeasures.registry import COUNTERMEASURES
from stages.models.backbones.registry import check_backbone
from stages.tasks.registry import kinds_of

VERSIONS_BY_WORTH = ("protected", "clean", "noise")
"""What victims of one seed are trained on first."""


def plain_plans(config: Config, audit: Audit) -> list[VictimPlan]:
    """Victims that do nothing about a protection.

    The first one on protected and on clean data comes first: less than that shows nothing. Then seed by seed.
    """
    first = {
        victim_plan(
            config, audit, data=data, backbone=victims_of(config, audit)[0], learning_rate=audit.learning_rates[0]
        ).fingerprint
        for data in ("protected", "clean")
    }
    plans = [plan for data in VERSIONS_BY_WORTH for plan in victim_plans(config, audit, data)]
    return sorted(plans, key=lambda plan: (plan.fingerprint not in first, plan.seed))


def attack_plans(
    config: Config, audit: Audit, found: Sequence[tuple[VictimPlan, VictimResult]], weights: str = ""
) -> list[VictimPlan]:
    """Each countermeasure by the strongest victim that can use it, on protected data; then the controls.

    Args:
        config: tasks and training.
        audit: countermeasures, and what they need.
        found: plain victims, trained.
        weights: SHA-256 of the file of `audit.pretrained`.
    """
    return _attacks(config, audit, _ranked(config, found), weights)


def expected_plans(config: Config, audit: Audit) -> list[VictimPlan]:
    """All victims of an audit, before any is trained: of the attacks their number, by one victim that can use them."""
    plain = plain_plans(config, audit)
    ranked = [plan for plan in plain if plan.data == "protected" and plan.only is None]
    return [*plain, *_attacks(config, audit, ranked, "")]


def _attacks(config: Config, audit: Audit, ranked: Sequence[VictimPlan], weights: str) -> list[VictimPlan]:
    side = audit.resolution or config.train.resolution
    kinds, attacks = kinds_of(config.tasks), []
    for name in COUNTERMEASURES:
        if name not in audit.tried:
            continue
        if not COUNTERMEASURES[name].applies(kinds):
            continue
        able = [plan for plan in (_trying(name, plan, config, audit, weights) for plan in ranked) if _works(plan, side)]
        seeds = {plan.seed for plan in able}
        attacks += [able[0].model_copy(update={"seed": seed}) for seed in sorted(seeds)] if able else []
    attacks.sort(key=lambda plan: plan.seed)  # of each countermeasure one before any comes again
    return attacks + [plan.model_copy(update={"data": "clean"}) for plan in attacks]


def words_of(plan: VictimPlan, *, seeded: bool = False) -> str:
    """A victim that was not trained, for people; `seeded`: with its seed, where each has several."""
    seed = f", seed {plan.seed}" if seeded else ""
    against = "" if plan.countermeasure == "none" else f"{plan.countermeasure} by "
    task = f", task {plan.only} alone" if plan.only else ""
    return f"{against}{plan.backbone} at {plan.learning_rate:g} on {plan.data} data{seed}{task}"


def fits(backbone: str, resolution: int) -> bool:
    """Whether a network can work at a resolution."""
    try:
        check_backbone(backbone, resolution)
    except ConfigError:
        return False
    return True


def _trying(name: CountermeasureName, plan: VictimPlan, config: Config, audit: Audit, weights: str) -> VictimPlan:
    """The same victim with a countermeasure, or the one that has weights to start from."""
    given, countermeasure = audit.pretrained, COUNTERMEASURES[name]
    if countermeasure.needs_second:
        second = train_plan(config).reseeded("averaged pair")
        return plan.model_copy(update={"countermeasure": name, "second": second})
    if given is None or not countermeasure.needs_weights:
        return plan.model_copy(update={"countermeasure": name})
    start = {"backbone": given.backbone, "width": given.width, "weights": weights, "weighting": "ls"}
    return plan.model_copy(update={"countermeasure": name, **start})


def _works(plan: VictimPlan, side: int) -> bool:
    return fits(plan.backbone, COUNTERMEASURES[plan.countermeasure].resolution(side))


def _ranked(config: Config, found: Sequence[tuple[VictimPlan, VictimResult]]) -> list[VictimPlan]:
    """Multi-task victims on protected data, the one first that learns most of what is to be protected."""
    tasks = zip(config.tasks, config.protected_tasks, strict=True)
    judged = [(task.name, task.metrics[0]) for task, wanted in tasks if wanted]
    chance = {name: line for _, victim in found for name, line in victim.chance.items()}
    places = [Place(name, metric, chance[name][metric.name]) for name, metric in judged]
    reached = [
        (strongest([victim], "protected", places).best, plan)
        for plan, victim in found
        if plan.data == "protected" and plan.only is None
    ]
    return [plan for _, plan in sorted(reached, key=lambda each: -each[0])]
