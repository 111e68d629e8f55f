"""Plan: what a run would do, how long it takes and how many bytes it writes, from a measured sample; writes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.configuration.plans import Plans, audit_plan
from pipeline.run.audit import check_held_out, check_split, evidence_state, find_evidence
from pipeline.run.checks import check_data, check_networks, refuse_places
from pipeline.run.victim_plans import expected_plans
from pipeline.state.generators import fitting_generator
from pipeline.state.ledger import Ledger
from pipeline.state.places import Places
from schemas.config import Config
from schemas.errors import MtlueError, RefusedInputError
from schemas.plans import IngestPlan
from schemas.records import GeneratorRecord, ShardFailure, ShardProfile, ShardRef, failure_of
from schemas.training import Audit
from stages.estimate import Estimate, Trainings, estimate_shard
from stages.formatting import strays_text, unused_members_text
from stages.ingest.ingest import profile_shard
from stages.io.store.store import Store
from stages.learning.sampling import HELD_OUT
from stages.tasks.counts import label_doubts, label_lines

READ_SECONDS = 2.0
"""Time for reading shards whose data a run would refuse; one is read whatever it takes."""

START_SECONDS = 6.0
"""Time for Ray's workers to start, at the first step."""

PUBLISH_SECONDS = 3.0
"""Time for manifest, card and report."""

VERSIONS = 3
"""Of the audit's training data: clean, noise, protected."""


@dataclass(frozen=True)
class RunEstimate:
    """What a run would do."""

    workers: int
    """Shards or victims at a time."""
    shards: int
    shards_done: int
    """Published under this configuration already."""
    input_bytes: int
    samples: int
    """Estimated from the first shard's samples per byte."""
    output_bytes: int
    """Estimated size of the protected shards still to be written."""
    growth: float
    """Bytes out for bytes in: lossless images are larger than JPEG."""
    ingest_seconds: float
    """Reading and profiling all shards."""
    train_seconds: float | None
    """None when a generator of this configuration exists."""
    victims: int
    """Victims that are to be trained; 0 when there is no audit, or its evidence exists."""
    prove_seconds: float | None
    """None when there is no audit, or its evidence exists."""
    protect_core_seconds: float
    """Download, decoding, generator, encoding and checks of the shards still to be done, on one core."""
    publish_seconds: float
    seconds: float
    """Of the whole run."""
    audited: bool
    """Whether the configuration has an audit."""
    labels: list[str]
    """Of the first shard: each task or set, with its missing labels."""
    warnings: list[str]
    """What is odd about the first shard's labels."""
    choice: list[str] = field(default_factory=list)
    """Why the training is not the usual one and what it costs, a sentence each."""
    passed_by: list[str] = field(default_factory=list)
    """What lies among the data and will not be read, a sentence for each kind; inside shards, of the first one."""


def make_plan(config: Config) -> RunEstimate:
    """Measure a few images of the first shard and extrapolate.

    Raises:
        MtlueError: as a run would, before it trains anything; of many shards only some are read.
    """
    check_networks(config)
    workers = config.compute.cpus if config.compute.cpus != "auto" else os.cpu_count() or 1
    places = Places(config)
    ledger, published = Ledger(places.work), places.output.list()
    refuse_places(places, ledger, published)
    plans = Plans(config)
    profiles = _checked_profiles(plans, places, ledger)
    total = sum(ref.size for ref in places.shards)
    share = total / max(1, sum(profile.bytes for profile in profiles))
    samples = round(sum(profile.samples for profile in profiles) * share)
    record = fitting_generator(places.work, plans.train)
    trainings = _trainings(plans, places, record, samples, samples / max(1, total))
    done = 0
    if record is not None:
        done = len(ledger.done(places.shards, plans.protect(record.content), published))
    first = next(ref for ref in places.shards if ref.name == next(each.name for each in profiles if each.samples))
    measured = estimate_shard(places.source, first, plans.ingest, plans.protect(), trainings)
    left = 1 - done / len(places.shards)
    written = samples * measured.bytes
    download = total / max(1, first.size) * measured.download_seconds
    ingest = START_SECONDS + (samples * measured.ingest_seconds + download) / workers
    protect = left * (samples * measured.core_seconds + download)
    prove = _prove_seconds(trainings, measured, workers)
    train = measured.train_seconds if record is None else None
    return RunEstimate(
        workers=workers,
        shards=len(places.shards),
        shards_done=done,
        input_bytes=total,
        samples=samples,
        output_bytes=round(left * written),
        growth=written / max(1, total),
        ingest_seconds=ingest,
        train_seconds=train,
        victims=len(trainings.victims),
        prove_seconds=prove,
        protect_core_seconds=protect,
        publish_seconds=PUBLISH_SECONDS,
        seconds=ingest + (train or 0.0) + (prove or 0.0) + protect / workers + PUBLISH_SECONDS,
        audited=config.audit is not None,
        labels=label_lines(config.tasks, [measured.profile]),
        warnings=list(label_doubts(config.tasks, [measured.profile])),
        choice=config.choice,
        passed_by=[
            *places.passed_by,
            *strays_text([measured.profile]),
            *unused_members_text(config.dataset.layout, [measured.profile]),
        ],
    )


def _checked_profiles(plans: Plans, places: Places, ledger: Ledger) -> list[ShardProfile]:
    """Profiles of some shards, first, last and between; refused is what a run of just these shards would refuse."""
    config = plans.config
    profiles, failures = _profiles(places.source, places.shards, plans.ingest)
    read = len(profiles) + len(failures)
    check_data(config, places, ledger, profiles, failures, shards=read, whole=read == len(places.shards))
    if config.audit is not None:
        if places.test_source is None:
            if len(profiles) == len(places.shards):
                check_split(config.audit, sum(profile.samples for profile in profiles))
        else:
            check_held_out(
                config, _profiles(places.test_source, places.test_shards, audit_plan(config, config.audit))[0]
            )
    return profiles


def _profiles(
    source: Store, shards: Sequence[ShardRef], plan: IngestPlan
) -> tuple[list[ShardProfile], list[ShardFailure]]:
    """Of as many shards as there is time for, spread over all of them; failures as in a run."""
    profiles: list[ShardProfile] = []
    failures: list[ShardFailure] = []
    started = time.monotonic()
    for ref in _spread(shards):
        with TemporaryDirectory(prefix="mtlue-plan-") as directory:
            local = Path(directory, "shard")
            try:
                source.get(ref.name, local, etag=ref.etag)
                profiles.append(profile_shard(local, ref.name, Path(directory, "table"), plan, 1))
            except RefusedInputError:
                raise
            except MtlueError as error:
                failures.append(failure_of(ref.name, "ingest", error))
        if time.monotonic() - started > READ_SECONDS:
            break
    return profiles, failures


def _spread(shards: Sequence[ShardRef]) -> list[ShardRef]:
    """First and last, the middle, the middles of the halves, and so on."""
    order = [0, len(shards) - 1]
    step = len(shards)
    while step > 1:
        order += range(step // 2, len(shards), step)
        step = -(-step // 2) if step > 2 else 1
    return [shards[number] for number in dict.fromkeys([*order, *range(len(shards))])]


def _trainings(
    plans: Plans, places: Places, record: GeneratorRecord | None, samples: int, per_byte: float
) -> Trainings:
    """What is still to be trained: nothing of what is there."""
    config, audit = plans.config, plans.config.audit
    learned = tested = 0
    if audit is not None:
        learned = min(samples, audit.max_samples)
        tested = min(audit.max_samples, round(sum(ref.size for ref in places.test_shards) * per_byte))
        if places.test_source is None:
            learned, tested = round((1 - HELD_OUT) * learned), round(HELD_OUT * learned)
    proven = audit is None or (record is not None and _is_proven(plans, audit, places, record))
    return Trainings(
        train=plans.train,
        train_samples=0 if record is not None else min(samples, config.train.max_samples),
        victims=[] if audit is None or proven else expected_plans(config, audit),
        audit=plans.ingest if audit is None else audit_plan(config, audit),
        victim_samples=learned,
        tested_samples=tested,
    )


def _is_proven(plans: Plans, audit: Audit, places: Places, record: GeneratorRecord) -> bool:
    subject = plans.protect(record.content).fingerprint
    return find_evidence(places.work, evidence_state(plans.config, audit, places, subject)) is not None


def _prove_seconds(trainings: Trainings, measured: Estimate, workers: int) -> float | None:
    """The sample's protection, the tables of the versions, and the victims."""
    if not trainings.victims:
        return None
    read = (VERSIONS * trainings.victim_samples + trainings.tested_samples) * measured.ingest_seconds
    protected = trainings.victim_samples * measured.core_seconds
    at_once = min(workers, len(trainings.victims))
    return (read + protected) / workers + measured.victim_seconds / at_once
