"""The Croissant 1.0 file of the public place: what is published, in terms that dataset search engines read.

Source: Croissant format specification 1.0, MLCommons, 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.plans import PublishPlan
from schemas.records import Manifest, ShardProfile, shard_stem
from schemas.tasks import Task
from stages.io.shards.layout import from_parquet, image_fields, label_place
from stages.publish.hugging_face import image_columns

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
    described = (
        _of_tables(plan, manifest, profiles) if plan.output_format == "parquet" else _of_tars(plan, manifest, profiles)
    )
    about = plan.published
    given = {
        "version": about.version,
        "license": about.license,
        "citeAs": about.citation,
        "url": about.url,
        "datePublished": about.date,
    }
    creator = {"creator": {"@type": "sc:Organization", "name": about.creator}} if about.creator else {}
    return {
        "@context": CROISSANT_CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": plan.name,
        "description": (
            f"{manifest.samples:,} labelled images in {FORMATS[plan.output_format][0]} shards. The images carry a "
            f"protective perturbation of at most {plan.bound}/255 per channel; keep them lossless."
        ),
        **{key: value for key, value in given.items() if value},
        **creator,
        "keywords": [
            FORMATS[plan.output_format][0].lower(),
            "protected images",
            *dict.fromkeys(task.group for task in plan.tasks),
        ],
        **described,
    }


FORMATS = {"tar": ("WebDataset", "application/x-tar"), "parquet": ("Parquet", "application/x-parquet")}
"""What a shard is: in words, and as a type of files."""


def _shards(plan: PublishPlan, manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": shard.name,
            "name": shard.name,
            "contentUrl": shard.name,
            "contentSize": f"{shard.bytes} B",
            "encodingFormat": FORMATS[plan.output_format][1],
            "sha256": shard.sha256,
        }
        for shard in manifest.shards
    ]


def _of_tables(plan: PublishPlan, manifest: Manifest, profiles: Sequence[ShardProfile]) -> dict[str, Any]:
    """Shards, and for each a record set of its columns."""
    record_sets = []
    for shard in manifest.shards:
        name = f"rows-{shard_stem(shard.name)}"
        columns = dict.fromkeys(image_columns(plan, profiles)[:1], "sc:ImageObject")
        if not from_parquet(profiles):
            columns |= {
                task.name: "sc:Integer" if task.class_names else "sc:Float" for task in plan.tasks if task.feature
            }
        fields = [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "name": column,
                "dataType": kind,
                "source": {"fileObject": {"@id": shard.name}, "extract": {"column": column}},
            }
            for column, kind in columns.items()
        ]
        record_sets.append(
            {"@type": "cr:RecordSet", "@id": name, "name": name, "description": "One record a row.", "field": fields}
        )
    return {"distribution": _shards(plan, manifest), "recordSet": record_sets}


def _of_tars(plan: PublishPlan, manifest: Manifest, profiles: Sequence[ShardProfile]) -> dict[str, Any]:
    """Shards, the files of one kind in them, and a record set for each kind."""
    shard_ids = [{"@id": shard.name} for shard in manifest.shards]
    suffixes = image_fields(plan, profiles)
    mime = f"image/{plan.encoding}"
    distribution = _shards(plan, manifest)
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
    return {"distribution": distribution, "recordSet": records}


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
