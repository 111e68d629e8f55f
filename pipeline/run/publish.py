"""Publish: fold the ledger into the public files and the private report; withdraw shards whose input is gone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.state.ledger import Ledger
from pipeline.state.places import REPORT, REPORT_JSON, REPORT_MARKDOWN, Places, shard_state
from pipeline.state.written import card_name, changed_files, drop_second_card, end_shards, read_written
from schemas.model import fingerprint
from schemas.records import Manifest, ShardProfile, ShardRecord
from stages.io.shards.writing import local_name
from stages.io.store.objects import Entry
from stages.io.store.store import Store
from stages.publish.card import dataset_card
from stages.publish.croissant import croissant
from stages.publish.manifest import MANIFEST, build_manifest, wids_index
from stages.publish.public_files import README, UPDATING, end_update
from stages.report.pictures import Pair, sample_pairs
from stages.report.report import build_markdown, build_report
from stages.report.report_input import ReportInput
from stages.verify import check_as_user_reads


def withdrawn_shards(
    places: Places, ledger: Ledger, profiles: Sequence[ShardProfile], published: Sequence[Entry]
) -> list[str]:
    """Shards that mtlue has published, that still lie there, and whose input is gone or has no sample any more.

    Those of a `work` that this one took over are among them.
    """
    empty = {profile.name for profile in profiles if not profile.samples}
    planned = {ref.output_name for ref in places.shards if ref.name not in empty}
    known = ledger.shards() | set(read_written(places.work).shards)
    return sorted(known & {entry.name for entry in published} - planned)


def prune(places: Places, ledger: Ledger, names: Sequence[str]) -> None:
    """Remove published shards; their records last, so that a run that is broken off finds them again."""
    delete_all(places.output, names)
    ledger.forget(set(names))
    end_shards(places.work, names)


def collect_private(places: Places) -> None:
    """Remove tables and profiles that belong to no present shard: pictures that were withdrawn, former states.

    Profiles go first: one without its table would be believed.
    """
    present = {shard_state(ref) for ref in [*places.shards, *places.test_shards]}
    for folder in ("profiles/", "tables/"):
        names = [entry.name for entry in places.work.list(folder)]
        stale = [name for name in names if name.removeprefix(folder).rpartition("-")[0] not in present]
        delete_all(places.work, stale)


def delete_all(store: Store, names: Sequence[str]) -> None:
    """Remove objects, several at a time."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(store.delete, names))


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
        told = replace(report_input, manifest=published[MANIFEST])
        write_report(places, told, sample_pairs(places.source, first, places.output, plan))
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
    """Write the HTML report into the private place, its evidence as Markdown and JSON, and a mark of its contents."""
    report = build_report(replace(report_input, pictures=pictures))
    places.work.write(REPORT, report.encode())
    places.work.write(REPORT_MARKDOWN, build_markdown(report_input.plan.published.name, report_input.evidence).encode())
    places.work.write(REPORT_JSON, report_input.evidence.model_dump_json(indent=1).encode())
    for entry in places.work.list("report."):
        if entry.name.endswith((".written", ".told")):  # earlier versions named the mark `.told`
            places.work.delete(entry.name)
    places.work.write(_written(report_input), b"")


def _written(report_input: ReportInput) -> str:
    """Name of the mark that the report of this evidence, these shards and these failures is written.

    What a run has done counts by its result: one that was broken off before it wrote the report leaves no such mark.
    """
    evidence = [report_input.evidence.fingerprint, report_input.evidence.shortfalls]
    shards = [[record.name, record.identity, record.sha256] for record in report_input.records]
    inputs = [[profile.name, profile.sha256] for profile in report_input.profiles]
    failures = [failure.model_dump() for failure in report_input.failures]
    generator = report_input.generator.content if report_input.generator else ""
    return f"report.{fingerprint([evidence, generator, shards, inputs, failures])}.written"


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
