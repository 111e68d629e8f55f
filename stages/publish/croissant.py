"""The Croissant 1.0 file of the public place: what is published, in terms that dataset search engines read.

Source: Croissant format specification 1.0, MLCommons, 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.plans import PublishPlan
from schemas.records import Manifest, ShardProfile
from schemas.tasks import Task
from stages.io.shards.layout import image_fields, label_place

CROISSANT_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "excludes": "cr:excludes",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The JSON-LD context that the specification asks for."""


MIMES = {"json": "application/json", "png": "image/png", "npy": "application/octet-stream"}
"""Ending of a member → its type; of all others `text/plain`."""


def croissant(plan: PublishPlan, manifest: Manifest, profiles: Sequence[ShardProfile] = ()) -> dict[str, Any]:
    """Describe the dataset in Croissant 1.0 (JSON-LD); lie it beside the shards as `croissant.json`.

    Args:
        plan: the dataset's name, its tasks and the bound.
        manifest: what was published; URLs in the result are relative to the file.
        profiles: tells whether the input was Parquet, whose labels are published in a `json` member.
    """
    shard_ids = [{"@id": shard.name} for shard in manifest.shards]
    suffixes = image_fields(plan, profiles)
    mime = f"image/{plan.encoding}"
    distribution: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": shard.name,
            "name": shard.name,
            "contentUrl": shard.name,
            "contentSize": f"{shard.bytes} B",
            "encodingFormat": "application/x-tar",
            "sha256": shard.sha256,
        }
        for shard in manifest.shards
    ]
    images = _file_set("image-files", [f"*.{suffix}" for suffix in suffixes], mime, shard_ids)
    places = {task.name: label_place(task, profiles) for task in plan.tasks}
    members = sorted({member for member, _ in places.values()})
    masks = [f"*.{member}" for member in members if member.endswith(tuple(f".{suffix}" for suffix in suffixes))]
    distribution.append({**images, "excludes": masks} if masks else images)
    image = {
        "@type": "cr:Field",
        "@id": "images/image",
        "name": "image",
        "description": "The protected image, stored losslessly.",
        "dataType": "sc:ImageObject",
        "source": {"fileSet": {"@id": "image-files"}, "extract": {"fileProperty": "content"}},
    }
    records = [_record_set("images", "One record per image.", [_key_field("images", "image-files"), image])]
    for member in members:
        files, name = f"{member}-files", f"labels-{member}"
        held = [(task, places[task.name][1]) for task in plan.tasks if places[task.name][0] == member]
        ending = "json" if any(path for _, path in held) else member.rpartition(".")[2]
        mime = MIMES.get(ending, "text/plain")
        distribution.append(_file_set(files, [f"*.{member}"], mime, shard_ids))
        fields = [_key_field(name, files), _label_field(name, files, mime, held)]
        records.append(_record_set(name, f"One record per image: its member `{member}`.", fields))
    return {
        "@context": CROISSANT_CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": plan.name,
        "description": (
            f"{manifest.samples:,} labelled images in WebDataset shards. The images carry a protective perturbation of "
            f"at most {plan.bound}/255 per channel; keep them lossless."
        ),
        "keywords": ["webdataset", "protected images", *dict.fromkeys(task.group for task in plan.tasks)],
        "distribution": distribution,
        "recordSet": records,
    }


def _file_set(name: str, includes: list[str], mime: str, shard_ids: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "containedIn": shard_ids,
        "encodingFormat": mime,
        "includes": includes,
    }


def _record_set(name: str, description: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": {"@id": f"{name}/key"},
        "field": fields,
    }


def _key_field(record_set: str, files: str) -> dict[str, Any]:
    """The sample's key: the member's name up to its first dot."""
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/key",
        "name": "key",
        "description": "Key of the sample; the same for its image and its labels.",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": files},
            "extract": {"fileProperty": "filename"},
            "transform": {"regex": r"^([^.]+)\."},
        },
    }


def _label_field(name: str, files: str, mime: str, held: Sequence[tuple[Task, tuple[str, ...]]]) -> dict[str, Any]:
    """The member as an image or as text: the reference reader (mlcroissant 1.1) follows no JSON path in an archive."""
    described = []
    for task, path in {task.group: (task, path) for task, path in held}.values():
        place = f" at $.{'.'.join(path)}" if path else ""
        described.append(f"{task.group}{place} ({task.set_description})")
    return {
        "@type": "cr:Field",
        "@id": f"{name}/labels",
        "name": "labels",
        "description": f"Labels: {'; '.join(described)}.",
        "dataType": "sc:ImageObject" if mime.startswith("image/") else "sc:Text",
        "source": {"fileSet": {"@id": files}, "extract": {"fileProperty": "content"}},
    }
