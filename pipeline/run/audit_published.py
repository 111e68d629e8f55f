"""Audit of a published prefix: the evidence about what really lies there."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cluster.executor import Executor
from pipeline.cluster.progress import Reporter
from pipeline.configuration.networks import check_networks
from pipeline.configuration.plans import audit_plan, ingest_plan, protect_plan, report_plan, train_plan
from pipeline.run.audit import Auditor
from pipeline.run.ingest import stored_profiles
from pipeline.run.publish import write_report
from pipeline.run.shared_disks import check_shared
from pipeline.state.generators import fitting_generator
from pipeline.state.lease import Lease
from pipeline.state.ledger import Ledger
from pipeline.state.places import REPORT, Places
from schemas.config import Config
from schemas.errors import ConfigError, InputError
from schemas.evidence import Evidence
from schemas.fingerprints import fingerprint
from schemas.records import ShardRef
from stages.audit.verdict import held_against
from stages.io.store.store import Store
from stages.publish.manifest import read_manifest
from stages.report.before_after import sample_pairs
from stages.report.report_input import ReportInput


def audit_published(
    config: Config, reporter: Reporter, url: str | None, seconds: float | None = None
) -> tuple[Evidence, str]:
    """Train victims on the shards that a prefix's manifest lists; tables and evidence stay in `work`.

    Args:
        config: names the raw data, the held-out data and the victims.
        reporter: where progress goes.
        url: the prefix; None: the configuration's `output`.
        seconds: that the victims may take; None: as long as it takes. What they do not suffice for is left out, and
            said; another audit goes on with it.

    Returns:
        The evidence, and the URL of the HTML report on it.

    Raises:
        ConfigError: the configuration has no `audit`.
        InputError: the prefix has no manifest, or none of its shards is a raw shard's twin.
    """
    if config.audit is None:
        raise ConfigError("audit: the configuration has no `audit` section; give it one (audit: {})")
    check_networks(config)
    places = Places(config)
    output = places.output if url is None else Store(url, places.endpoint)
    manifest = {shard.name: shard for shard in read_manifest(output).shards}
    there = {entry.name: entry for entry in output.list()}
    raw = [ref for ref in places.shards if ref.output_name in manifest and ref.output_name in there]
    if not raw:
        raise InputError(f"{output.url}: none of its shards is the twin of a shard in dataset.shards; is it another's?")
    with Lease(places.work) as lease, Executor(config.compute) as executor:
        places.guard(lease.token)
        check_shared(executor, places)
        auditor = Auditor(executor, reporter, places, config, config.audit, seconds)
        sample = auditor.sample(raw, {ref.name: manifest[ref.output_name].samples for ref in raw})
        published = [
            ShardRef(name=name, url=output.join(name), size=there[name].size, etag=there[name].etag)
            for name in (ref.output_name for ref in sample)
        ]
        # As the store shows them now, not as the manifest says: bytes that were exchanged are judged anew.
        found = [[ref.name, ref.size, ref.etag] for ref in published]
        plan = audit_plan(config, config.audit)
        state = auditor.fingerprint(fingerprint([found, plan.fingerprint]))
        evidence = auditor.find(state)
        if evidence is None:
            samples = sum(manifest[ref.name].samples for ref in published)
            audited = f"{samples:,} samples in {len(published)} of {len(manifest)} published shards"
            evidence = auditor.examine(sample, output, published, audited=audited, fingerprint=state)
        evidence = held_against(evidence, config.audit.require)
        _report(places, config, evidence, output, sample)
    return evidence, places.work.join(REPORT)


def _report(places: Places, config: Config, evidence: Evidence, output: Store, sample: Sequence[ShardRef]) -> None:
    """Write the report on what was audited; what earlier runs know of the data and the generator is in it."""
    generator = fitting_generator(places.work, train_plan(config))
    profiles = stored_profiles(places.shards, places.work, ingest_plan(config))
    records = []
    if generator is not None and output.url == places.output.url:
        records = Ledger(places.work).done(places.shards, protect_plan(config, generator.content), output.list())
    plan = report_plan(config)
    report_input = ReportInput(plan, list(profiles.values()), generator, records, [], evidence, {})
    write_report(places, report_input, sample_pairs(places.source, sample[0], output, plan.published))
