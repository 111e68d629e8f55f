"""Publish: fold the ledger into manifest, index, card and Croissant (public) and the report (private)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.run.withdrawn import collect_private
from pipeline.state.places import REPORT, REPORT_JSON, REPORT_MARKDOWN, Places
from pipeline.state.written import card_name, changed_files, drop_second_card
from schemas.fingerprints import fingerprint
from schemas.records import Manifest, ShardRecord
from stages.io.shards.writing import local_name
from stages.io.store.store import Store
from stages.publish.card import dataset_card
from stages.publish.croissant import croissant
from stages.publish.manifest import MANIFEST, build_manifest, wids_index
from stages.publish.strangers import README
from stages.publish.updating import UPDATING, end_update
from stages.report.before_after import Pair, sample_pairs
from stages.report.markdown import build_markdown
from stages.report.report import build_report
from stages.report.report_input import ReportInput
from stages.verify import check_as_user_reads


def publish(places: Places, report_input: ReportInput) -> Manifest:
    """Write what is not written yet; the manifest comes last, when everything that it lists is there.

    A README.md of the owner's stays; the dataset card is CARD.md then.
    The mark of an update, which may be that of a run that was broken off, is removed after it.

    Raises:
        ConfigError: a file that this `work` did not write has the name of one that is to be published.
        ValidationError: a user could not read what was published; no manifest lists it then.
    """
    plan = report_input.plan.published
    manifest = build_manifest(plan.name, report_input.records)
    card = dataset_card(plan, manifest, report_input.profiles).encode()
    published = {
        card_name(places, card): card,
        "croissant.json": json.dumps(
            croissant(plan, manifest, report_input.profiles), indent=1, ensure_ascii=False
        ).encode(),
        "wids.json": wids_index(manifest).encode(),
        MANIFEST: manifest.model_dump_json(indent=1).encode(),
    }
    if places.work.stat(_written(report_input)) is None or places.work.stat(REPORT) is None:
        collect_private(places)  # before the mark of what the report tells: a run that is killed here does it again
        failed = {failure.name for failure in report_input.failures}
        names = {record.name for record in report_input.records}
        first = next(ref for ref in places.shards if ref.output_name in names and ref.name not in failed)
        write_report(places, report_input, sample_pairs(places.source, first, places.output, plan))
    changed = changed_files(places, published)
    if MANIFEST in changed:
        _check_one_shard(places.output, report_input.records)
    for name, data in changed.items():
        places.output.write(name, data)
    if README in published:
        drop_second_card(places)
    if places.output.stat(UPDATING) is not None:
        end_update(places.output)
    return manifest


def write_report(places: Places, report_input: ReportInput, pictures: Sequence[Pair]) -> None:
    """Write the HTML report into the private place, its evidence as Markdown and JSON, and remember what it tells."""
    report = build_report(replace(report_input, pictures=pictures))
    places.work.write(REPORT, report.encode())
    places.work.write(REPORT_MARKDOWN, build_markdown(report_input.plan.published.name, report_input.evidence).encode())
    places.work.write(REPORT_JSON, report_input.evidence.model_dump_json(indent=1).encode())
    for entry in places.work.list("report."):
        if entry.name.endswith(".told"):
            places.work.delete(entry.name)
    places.work.write(_written(report_input), b"")


def _written(report_input: ReportInput) -> str:
    """Name of the mark that the report tells this evidence, these shards and these failures.

    What a run has done counts by its result: one that was broken off before it wrote the report leaves no such mark.
    """
    evidence = [report_input.evidence.fingerprint, report_input.evidence.shortfalls]
    shards = [[record.name, record.identity, record.sha256] for record in report_input.records]
    inputs = [[profile.name, profile.sha256] for profile in report_input.profiles]
    failures = [failure.model_dump() for failure in report_input.failures]
    generator = report_input.generator.content if report_input.generator else ""
    return f"report.{fingerprint([evidence, generator, shards, inputs, failures])}.told"


def _check_one_shard(output: Store, records: Sequence[ShardRecord]) -> None:
    """Read the smallest shard as a user would, from where it is published; `mtlue verify` reads them all.

    Raises:
        ValidationError: webdataset does not find in it what was published.
    """
    name = min(records, key=lambda record: record.bytes).name
    with TemporaryDirectory(prefix="mtlue-publish-") as directory:
        path = Path(directory, local_name("protected", Path(name)))
        output.get(name, path)
        check_as_user_reads(path, name)
