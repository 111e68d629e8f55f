"""Which victims an audit trains, the most telling first: plain ones, then the countermeasures of the strongest."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.configuration.plans import train_plan, victim_plans
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.evidence import VictimResult
from schemas.plans import VictimPlan
from schemas.training import Audit, CountermeasureName
from stages.audit.curves import Measure, strongest
from stages.audit.judging import is_enough, share_learned
from stages.countermeasures.registry import COUNTERMEASURES
from stages.networks.backbones.architectures import check_backbone
from stages.tasks.kinds import kinds_of


def plain_plans(config: Config, audit: Audit) -> list[VictimPlan]:
    """Victims that do nothing about a protection, seed by seed.

    Each stands on protected data and on clean data one after the other: one without the other shows nothing. Noise, to
    compare with, comes last, the dearest first: no worker waits long for the others at the end.
    """
    protected, clean, noise = (victim_plans(config, audit, data) for data in ("protected", "clean", "noise"))
    pairs = [plan for pair in zip(protected, clean, strict=True) for plan in pair]
    return sorted([*pairs, *reversed(noise)], key=lambda plan: plan.seed)


def attack_plans(
    config: Config, audit: Audit, found: Sequence[tuple[VictimPlan, VictimResult]], weights: str = ""
) -> list[VictimPlan]:
    """Each countermeasure by the strongest victim that judges and can use it, on protected data; then the controls.

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
    own = [name for name in COUNTERMEASURES if name in audit.tried]
    for name in [*own, *(name for name in audit.tried if name not in own)]:
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
    plan = plan.model_copy(update={"ends_early": False})  # a countermeasure may undo a shortcut later
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
    """Multi-task victims on protected data: those first that learn from clean data, of these the strongest first.

    At the very learning rate, and not at the best one of its kind: a victim that cannot learn cannot try anything.
    """
    tasks = zip(config.tasks, config.protected_tasks, strict=True)
    judged = [(task.name, task.metrics[0]) for task, wanted in tasks if wanted]
    victims = [victim for _, victim in found]
    chance = {name: line for victim in victims for name, line in victim.chance.items()}
    measures = [Measure(name, metric, chance[name][metric.name]) for name, metric in judged]

    def rank(plan: VictimPlan, victim: VictimResult) -> tuple[bool, float]:
        like = (plan.backbone, plan.learning_rate)
        twins = [each for other, each in found if other.only is None and (other.backbone, other.learning_rate) == like]
        able = is_enough(share_learned(twins, victims, measures))
        return not able, -strongest([victim], "protected", measures).best

    ranked = [(rank(*each), each[0]) for each in found if each[0].data == "protected" and each[0].only is None]
    return [plan for _, plan in sorted(ranked, key=lambda each: each[0])]
