"""Audit of a published prefix: the evidence about what really lies there."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cluster.progress import Reporter
from pipeline.run.audit import Auditor, find_evidence
from pipeline.run.certify import certify
from pipeline.run.checks import check_networks
from pipeline.run.ingest import stored_profiles
from pipeline.run.publish import write_report
from pipeline.run.session import Session, open_session
from pipeline.state.generators import fitting_generator
from pipeline.state.places import REPORT, Places
from pipeline.trackers.trackers import check_trackers
from schemas.config import Config
from schemas.errors import ConfigError, InputError
from schemas.evidence import Evidence
from schemas.model import fingerprint
from schemas.records import ShardRef
from stages.audit.verdict import held_against
from stages.io.store.store import Store
from stages.publish.manifest import MANIFEST, read_manifest
from stages.report.pictures import sample_pairs
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
    check_trackers(config)
    places = Places(config)
    output = places.output if url is None else Store(url, places.endpoint)
    manifest = {shard.name: shard for shard in read_manifest(output).shards}
    there = {entry.name: entry for entry in output.list()}
    raw = [ref for ref in places.shards if ref.output_name in manifest and ref.output_name in there]
    if not raw:
        raise InputError(f"{output.url}: none of its shards is the twin of a shard in dataset.shards; is it another's?")
    with open_session(config, reporter, places) as session:
        auditor = Auditor(session, config.audit, seconds)
        sample = auditor.sample(raw, {ref.name: manifest[ref.output_name].samples for ref in raw})
        published = [
            ShardRef(name=name, url=output.join(name), size=there[name].size, etag=there[name].etag)
            for name in (ref.output_name for ref in sample)
        ]
        # As the store shows them now, not as the manifest says: bytes that were exchanged are judged again.
        found = [[ref.name, ref.size, ref.etag] for ref in published]
        state = auditor.state(fingerprint([found, auditor.plan.fingerprint]))
        evidence = find_evidence(session.work, state)
        if evidence is None:
            samples = sum(manifest[ref.name].samples for ref in published)
            audited = f"{samples:,} samples in {len(published)} of {len(manifest)} published shards"
            evidence = auditor.examine(sample, output, published, audited=audited, fingerprint=state)
        evidence = held_against(evidence, config.audit.require)
        _report(session, evidence, output, sample)
        reporter.events.tell("ended", figures={"exit_code": 0 if evidence.passed else 1})
    return evidence, places.work.join(REPORT)


def _report(session: Session, evidence: Evidence, output: Store, sample: Sequence[ShardRef]) -> None:
    """Write the report on what was audited; what earlier runs know of the data and the generator is in it."""
    places, plans = session.places, session.plans
    generator = fitting_generator(places.work, plans.train)
    profiles = stored_profiles(places.shards, places.work, plans.ingest)
    records = []
    if generator is not None and output.url == places.output.url:
        records = session.ledger.done(places.shards, plans.protect(generator.content), output.list())
    report_input = ReportInput(
        plans.report, list(profiles.values()), generator, records, [], evidence, {}, manifest=output.read(MANIFEST)
    )
    write_report(places, report_input, sample_pairs(places.source, sample[0], output, plans.publish))
    if output.url == places.output.url:
        certify(places, plans.publish, evidence, session.config.sign_with)
