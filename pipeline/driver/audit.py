"""The audit inside a run: victims on clean, noise and protected data, in parallel, each done once."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cluster.executor import Executor, Job
from pipeline.cluster.progress import Reporter
from pipeline.driver.ingest import failure_text, ingest_all
from pipeline.state.places import Places
from pipeline.steps.steps import victim_step
from schemas.config import Audit, Config
from schemas.errors import ValidationError
from schemas.plans import IngestPlan
from schemas.records import AuditRecord, ShardProfile, ShardRecord, ShardRef, VictimResult, fingerprint
from stages.io.shards.layout import published_dataset
from stages.io.store.store import Store

VERSIONS = ("clean", "noise", "protected")
"""Versions of the data that victims learn from."""


def audit_run(
    executor: Executor,
    reporter: Reporter,
    places: Places,
    config: Config,
    audit: Audit,
    records: Sequence[ShardRecord],
) -> AuditRecord:
    """Train the victims that were not trained yet and put the figures together.

    Raises:
        ValidationError: a shard could not be read for the audit; there is no evidence without it.
    """
    names = {record.name for record in records}
    raw = [ref for ref in places.shards if ref.output_name in names]
    assert places.test_source is not None  # noqa: S101 - the configuration was checked
    clean = _plan(config, audit, shards=len(raw))
    noise = clean.model_copy(update={"noise": config.protection.epsilon, "seed": config.train.seed})
    protected = clean.model_copy(update={"dataset": published_dataset(config)})
    published = [
        ShardRef(name=record.name, url=places.output.join(record.name), size=record.bytes, etag=record.sha256)
        for record in records
    ]
    held_out = _plan(config, audit, shards=len(places.test_shards))

    def tables(what: str, source: Store, shards: Sequence[ShardRef], plan: IngestPlan) -> list[ShardProfile]:
        profiles, failures = ingest_all(executor, reporter, source, shards, places.work, plan, what)
        if failures:
            raise ValidationError(f"audit: {what}: {failure_text(failures[0])}")
        return profiles

    test = tables("audit: held-out", places.test_source, places.test_shards, held_out)
    versions = {
        "clean": tables("audit: clean", places.source, raw, clean),
        "noise": tables("audit: noise", places.source, raw, noise),
        "protected": tables("audit: protected", places.output, published, protected),
    }
    victims = _victims(executor, reporter, places.work, config, audit, versions, _cached(test))
    sizes = {
        task.name: [sum(counts) for counts in zip(*(part.histograms[task.name] for part in test), strict=True)]
        for task in config.tasks
    }
    return AuditRecord(
        fingerprint=fingerprint([victim.model_dump(mode="json") for victim in victims]),
        chance={task.name: 1 / task.class_count for task in config.tasks},
        majority={name: max(counts) / max(1, sum(counts)) for name, counts in sizes.items()},
        test_samples=sum(profile.samples for profile in test),
        victims=victims,
    )


def _plan(config: Config, audit: Audit, *, shards: int) -> IngestPlan:
    return IngestPlan(
        dataset=config.dataset,
        tasks=config.tasks,
        resolution=audit.resolution or config.train.resolution,
        samples_per_shard=-(-audit.max_samples // max(1, shards)),
    )


def _cached(profiles: Sequence[ShardProfile]) -> list[str]:
    return [profile.cache for profile in profiles if profile.cache]


def _victims(
    executor: Executor,
    reporter: Reporter,
    work: Store,
    config: Config,
    audit: Audit,
    versions: dict[str, list[ShardProfile]],
    test: list[str],
) -> list[VictimResult]:
    seed = config.train.seed + 1
    results: dict[str, VictimResult] = {}
    names: list[str] = []
    jobs = []
    stored = {entry.name for entry in work.list("audit/")}
    for backbone in audit.victims:
        for data in VERSIONS:
            train = _cached(versions[data])
            settings = audit.model_dump(mode="json", include={"width", "epochs", "batch_size"})
            state = fingerprint([settings, config.train.augment, train, test, backbone, data, seed])
            name = f"audit/{data}-{backbone}-{seed}.{state}.json"
            names.append(name)
            if name in stored:
                results[name] = VictimResult.model_validate_json(work.read(name))
            else:
                jobs.append(Job(name, (work, train, test, audit, config, data, backbone, seed)))
    with reporter.step("victims", len(jobs), "models") as step:
        for outcome in executor.map(victim_step, jobs, gpu=True):
            if outcome.result is None:
                raise ValidationError(f"{outcome.name}: {outcome.error}")
            work.write(outcome.name, outcome.result.model_dump_json().encode())
            results[outcome.name] = outcome.result
            step.advance()
    return [results[name] for name in names]
