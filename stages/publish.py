"""The public artefacts, folded from the ledger: manifest, wids index, dataset card and Croissant file.

Everything here is meant for strangers. A fact gets in only when it is listed on purpose: names, sizes and checksums of
the published bytes, tasks, classes, label counts, and the bound B. Nothing of the configuration's places, storage,
seeds, method or generator, and no figure of the originals, is passed to a template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import jinja2
import yaml

from schemas.config import Config
from schemas.errors import ValidationError
from schemas.records import Manifest, ManifestShard, ShardProfile, ShardRecord
from schemas.tasks import Task
from stages.croissant import croissant, image_fields, label_place, output_name
from stages.wording import markdown_text

__all__ = ["build_manifest", "croissant", "dataset_card", "size_category", "wids_index"]

CLASSES_SHOWN = 50
"""Rows of a class table on the card; a task with more classes shows its most frequent ones."""

SIZE_CATEGORIES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
)  # Hugging Face Hub, dataset card metadata


def build_manifest(name: str, records: Sequence[ShardRecord]) -> Manifest:
    """List what was published, sorted by name.

    Raises:
        ValidationError: two records claim one shard name; publishing either checksum could be wrong.
    """
    ordered = sorted(records, key=lambda record: record.name)
    for before, after in pairwise(ordered):
        if before.name == after.name:
            raise ValidationError(
                f"shard {after.name}: the ledger holds two records (identities {before.identity} and "
                f"{after.identity}); keep the one of the present configuration only"
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


def wids_index(manifest: Manifest, md5s: Mapping[str, str] | None = None) -> str:
    """Write the index for random access with `wids` (shipped in webdataset 0.2.x): JSON text, names relative to it.

    Args:
        manifest: what was published.
        md5s: shard name → MD5 in hex. The reader needs `url` and `nsamples` only, so an unknown MD5 is left out.
    """
    shards = []
    for shard in manifest.shards:
        entry: dict[str, Any] = {"url": shard.name, "nsamples": shard.samples, "filesize": shard.bytes}
        if md5s and shard.name in md5s:
            entry["md5sum"] = md5s[shard.name]
        shards.append(entry)
    index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": manifest.name, "shardlist": shards}
    return json.dumps(index, indent=1, ensure_ascii=False) + "\n"


def dataset_card(config: Config, manifest: Manifest, profiles: Sequence[ShardProfile]) -> str:
    """Write README.md: Markdown under the YAML front matter that the Hugging Face Hub reads.

    Args:
        config: for the dataset's name, its tasks, the encoding and the bound.
        manifest: what was published.
        profiles: ingest's label counts; those of shards that were not published are passed by.
    """
    published = {shard.name for shard in manifest.shards}
    counted = [profile for profile in profiles if output_name(profile.name) in published]
    front = {
        "pretty_name": config.name,
        "task_categories": ["image-classification"],
        "tags": ["webdataset", "croissant", "protected-images", *(["multi-task"] if len(config.tasks) > 1 else [])],
        "size_categories": [size_category(manifest.samples)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": _shard_glob(manifest)}]}],
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stages", "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown: the filter `cell` escapes every name instead
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = markdown_text
    return environment.get_template("card.md.j2").render(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip(),
        name=config.name,
        samples=manifest.samples,
        shards=len(manifest.shards),
        gigabytes=manifest.bytes / 1e9,
        first_shard=manifest.shards[0].name if manifest.shards else "",
        encoding=config.protect.encoding,
        image_fields=image_fields(config, counted),
        bound=config.protection.bound,
        tasks=[_card_task(task, counted) for task in config.tasks],
        uncounted=max(0, sum(profile.samples for profile in counted) - manifest.samples),
    )


def size_category(samples: int) -> str:
    """The Hugging Face Hub's word for a number of samples."""
    return next((word for limit, word in SIZE_CATEGORIES if samples < limit), "n>1B")


def _shard_glob(manifest: Manifest) -> str:
    return "**/*.tar" if any("/" in shard.name for shard in manifest.shards) else "*.tar"


def _card_task(task: Task, profiles: Sequence[ShardProfile]) -> dict[str, Any]:
    """One task as the card shows it: class counts summed over shards, and how to read the label in Python."""
    counts = [0] * task.class_count
    for profile in profiles:
        for index, count in enumerate(profile.histograms.get(task.name, [])):
            counts[index] += count
    rows = [(index, name, count) for index, (name, count) in enumerate(zip(task.class_names, counts, strict=True))]
    if len(rows) > CLASSES_SHOWN:
        rows = sorted(rows, key=lambda row: (-row[2], row[0]))[:CLASSES_SHOWN]
    member, path = label_place(task, profiles)
    read = f"sample[{json.dumps(member)}]" + "".join(f"[{json.dumps(key)}]" for key in path)
    return {
        "name": task.name,
        "classes": task.class_count,
        "rows": rows,
        "named": not isinstance(task.classes, int),
        "missing": sum(profile.missing.get(task.name, 0) for profile in profiles),
        "member": member,
        "read": read if path else f"{read}.decode()",
        "is_json": bool(path),
    }
