"""The manifest: folded from the ledger, read again from a published prefix; and the index of wids that goes with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

from pydantic import ValidationError as PydanticError

from schemas.errors import InputError, ValidationError
from schemas.records import Manifest, ManifestShard, ShardRecord
from stages.io.store.store import Store

MANIFEST = "manifest.json"
"""Its name in a public place."""


def build_manifest(name: str, records: Sequence[ShardRecord]) -> Manifest:
    """List what was published, sorted by name.

    Raises:
        ValidationError: two records claim one shard name; publishing either checksum could be wrong.
    """
    ordered = sorted(records, key=lambda record: record.name)
    for before, after in pairwise(ordered):
        if before.name == after.name:
            raise ValidationError(
                f"the ledger holds two records (identities {before.identity} and {after.identity}); "
                "keep the one of the present configuration only",
                shard=after.name,
            )
    return Manifest(
        name=name,
        samples=sum(record.samples for record in ordered),
        bytes=sum(record.bytes for record in ordered),
        shards=[
            ManifestShard(name=record.name, bytes=record.bytes, sha256=record.sha256, samples=record.samples)
            for record in ordered
        ],
    )


def read_manifest(output: Store, name: str = MANIFEST) -> Manifest:
    """The manifest of a published prefix.

    Raises:
        InputError: there is none, or it is not one of ours.
    """
    if output.stat(name) is None:
        raise InputError(f"{output.join(name)}: no manifest; is this the `output` of a finished run?")
    try:
        return Manifest.model_validate_json(output.read(name), extra="ignore")  # a later version may tell more
    except PydanticError as error:
        raise InputError(f"{output.join(name)}: not a manifest of mtlue ({error.error_count()} problems)") from None


def wids_index(manifest: Manifest) -> str:
    """The index for random access with `wids` (shipped in webdataset 0.2.x): JSON text, names relative to it.

    The reader needs `url` and `nsamples` only.
    """
    shards = [{"url": shard.name, "nsamples": shard.samples, "filesize": shard.bytes} for shard in manifest.shards]
    index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": manifest.name, "shardlist": shards}
    return json.dumps(index, indent=1, ensure_ascii=False) + "\n"
