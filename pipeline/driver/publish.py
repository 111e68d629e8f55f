"""Publish: fold the ledger into manifest, index, card and Croissant (public) and the report (private)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.state.places import REPORT, Places
from schemas.config import Config
from schemas.records import AuditRecord, GeneratorRecord, Manifest, ShardFailure, ShardProfile, ShardRecord
from stages.io.store.store import Store
from stages.publish.card import dataset_card
from stages.publish.croissant import croissant
from stages.publish.manifest import MANIFEST, build_manifest
from stages.publish.wids import wids_index
from stages.report.before_after import sample_pairs
from stages.report.report import build_report
from stages.verify.reading import check_as_user_reads

PICTURES = 6
"""Samples that the report shows."""


def publish(
    config: Config,
    places: Places,
    profiles: Sequence[ShardProfile],
    generator: GeneratorRecord,
    records: Sequence[ShardRecord],
    failures: Sequence[ShardFailure],
    audit: AuditRecord | None,
    *,
    changed: bool,
    seconds: dict[str, float],
) -> Manifest:
    """Write what is not written yet; the manifest comes last, when everything that it lists is there.

    Args:
        changed: a shard was published in this run; else nothing is read or written that is there already.

    Raises:
        ValidationError: a user could not read what was published; no manifest lists it then.
    """
    manifest = build_manifest(config.name, records)
    text = manifest.model_dump_json(indent=1).encode()
    published = {
        "README.md": dataset_card(config, manifest, profiles).encode(),
        "croissant.json": json.dumps(croissant(config, manifest, profiles), indent=1, ensure_ascii=False).encode(),
        "wids.json": wids_index(manifest).encode(),
        MANIFEST: text,
    }
    audited = f"audit/{audit.fingerprint}.report" if audit else "report.done"
    stale = changed or bool(failures) or places.work.stat(audited) is None or places.work.stat(REPORT) is None
    if stale:
        first = next(ref for ref in places.shards if ref.output_name == records[0].name)
        pictures = sample_pairs(places.source, first, places.output, config, PICTURES)
        report = build_report(
            config, list(profiles), generator, list(records), list(failures), audit, pictures, seconds=seconds
        )
        places.work.write(REPORT, report.encode())
        places.work.write(audited, b"")
    pending = {
        name: data
        for name, data in published.items()
        if changed or places.output.stat(name) is None or places.output.read(name) != data
    }
    if MANIFEST in pending:
        _check_one_shard(places.output, records)
    for name, data in pending.items():
        places.output.write(name, data)
    return manifest


def _check_one_shard(output: Store, records: Sequence[ShardRecord]) -> None:
    """Read the smallest shard as a user would, from where it is published; `mtlue verify` reads them all.

    Raises:
        ValidationError: webdataset does not find in it what was published.
    """
    name = min(records, key=lambda record: record.bytes).name
    with TemporaryDirectory(prefix="mtlue-publish-") as directory:
        path = Path(directory, "protected.tar")
        output.get(name, path)
        check_as_user_reads(path, name)
