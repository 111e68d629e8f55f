"""The dataset card (README.md of the public place).

It is meant for strangers. It has only facts that are listed on purpose: names, sizes and checksums of the published
bytes, tasks, classes, label counts, and the bound B. Nothing of the configuration's places, storage, seeds, method or
generator, and no figure of the originals, is passed to the template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import jinja2
import yaml

from schemas.plans import PublishPlan
from schemas.records import Manifest, ShardProfile, shard_stem
from schemas.tasks import Task
from stages.io.shards.layout import image_fields, label_place
from stages.publish.hugging_face import declared_features, image_columns, label_code
from stages.tasks.counts import grouped, label_table, set_table

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


def dataset_card(plan: PublishPlan, manifest: Manifest, profiles: Sequence[ShardProfile]) -> str:
    """Write README.md: Markdown under the YAML front matter that the Hugging Face Hub reads.

    Args:
        plan: the dataset's name, its tasks, the encoding and the bound.
        manifest: what was published.
        profiles: ingest's label counts; those of shards that were not published are ignored.
    """
    published = {shard_stem(shard.name) for shard in manifest.shards}
    counted = [profile for profile in profiles if shard_stem(profile.name) in published]
    about = plan.published
    features = declared_features(plan, counted)
    several = ["multi-task"] if len(plan.tasks) > 1 else []
    front = {
        "pretty_name": plan.name,
        **({"license": about.license} if about.license else {}),
        "task_categories": list(dict.fromkeys(task.category for task in plan.tasks)),
        "tags": [FORMATS[plan.output_format].lower(), "croissant", "protected-images", *several],
        "size_categories": [size_category(manifest.samples)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": _shard_paths(manifest)}]}],
        **({"dataset_info": {"features": features}} if features else {}),
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stages.publish", "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown: the filter `cell` escapes every name instead
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = markdown_text
    return environment.get_template("card.md.j2").render(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip(),
        name=plan.name,
        samples=manifest.samples,
        shards=len(manifest.shards),
        gigabytes=manifest.bytes / 1e9,
        first_shard=manifest.shards[0].name if manifest.shards else "",
        encoding=plan.encoding,
        image_fields=image_fields(plan, counted),
        image_columns=image_columns(plan, counted),
        output_format=plan.output_format,
        format=FORMATS[plan.output_format],
        about=about,
        typed=bool(features),
        bound=plan.bound,
        tasks=[_card_task(members, counted) for members in grouped(plan.tasks).values()],
        uncounted=max(0, sum(profile.samples for profile in counted) - manifest.samples),
    )


FORMATS = {"tar": "WebDataset", "parquet": "Parquet"}
"""What a published shard is, in words."""

READERS = {"png": "Image.open(io.BytesIO({}))", "npy": "numpy.load(io.BytesIO({}))"}
"""Ending of a member that is not text → how Python reads it."""


def size_category(samples: int) -> str:
    """The Hugging Face Hub's word for a number of samples."""
    return next((word for limit, word in SIZE_CATEGORIES if samples < limit), "n>1B")


def _shard_paths(manifest: Manifest) -> list[str]:
    """Each shard by its name, as a pattern that fits no other: whatever else lies there is not served as protected."""
    return [re.sub(r"[*?\[]", r"[\g<0>]", shard.name) for shard in manifest.shards]


def _card_task(members: Sequence[Task], profiles: Sequence[ShardProfile]) -> dict[str, Any]:
    """One task or set as the card shows it: counts summed over shards, and how to read the label in Python."""
    task = members[0]
    table = label_table(task, profiles)
    rows = [(index, name, count) for index, (name, count) in enumerate(table.rows)]
    if len(rows) > CLASSES_SHOWN:
        rows = sorted(rows, key=lambda row: (-row[2], row[0]))[:CLASSES_SHOWN]
    member, path = label_place(task, profiles)
    held = f"sample[{json.dumps(member)}]"
    ending = "" if path else member.rpartition(".")[2].lower()
    read = held + "".join(f"[{json.dumps(key)}]" for key in path)
    read = read if path else READERS.get(ending, "{}.decode()").format(held)
    return {
        "name": task.group,
        "findings": set_table(members, profiles) if len(members) > 1 else [],
        "description": task.description,
        "classes": len(table.rows),
        "numbered": bool(task.class_names),
        "rows": rows,
        "named": table.rows != [(str(index), count) for index, (_, count) in enumerate(table.rows)],
        "missing": table.missing,
        "member": member,
        "read": read,
        "read_row": label_code(members, profiles),
        "ending": ending,
        "counted": "pixels" if task.per_pixel else "images",
        "is_json": bool(path),
    }


def markdown_text(value: object) -> str:
    """Escape a name for Markdown, tables included: no markup, no HTML, no line break gets through."""
    text = re.sub(r"\s+", " ", str(value)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#!|~])", r"\\\1", text)
