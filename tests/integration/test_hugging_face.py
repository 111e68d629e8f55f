"""What is published is read by `datasets`, typed, from the folder alone, and by Croissant's reference reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.configuration.plans import protect_plan, publish_plan
from schemas.records import ShardProfile
from schemas.stats import Moments
from stages.io.store.store import Store
from stages.protect.protect import protect_shard
from stages.publish.card import dataset_card
from stages.publish.croissant import croissant
from stages.publish.manifest import build_manifest
from tests import builders
from tests.builders import jpeg, picture
from tests.unit.stages.protect.test_parquet_out import MEMBERS, table_shard

ABOUT = {"license": "cc-by-4.0", "version": "1.2.0", "citation": "@misc{x}", "url": "https://example.org/data",
         "creator": "Example", "date": "2026-11-30"}  # fmt: skip

READER = """
import json, logging, sys
import datasets, mlcroissant
found = {}
for folder in sys.argv[1:]:
    rows = datasets.load_dataset(folder, split="train")
    found[folder.rsplit("/", 1)[1]] = {
        "features": {name: repr(feature) for name, feature in rows.features.items()},
        "rows": len(rows),
        "sizes": [list(row[name].size) for row in rows for name in ("image", "png") if row.get(name) is not None],
        "a": [row["a"] if "a" in row else row.get("cls") for row in rows],
    }
    issues = mlcroissant.Dataset(f"{folder}/croissant.json").metadata.ctx.issues
    found[folder.rsplit("/", 1)[1]]["issues"] = [*issues.errors, *issues.warnings]
print(json.dumps(found))
"""


def published(folder: Path, shard: Path, **overrides: Any) -> Path:
    """A folder with one protected shard, card, manifest and Croissant, as a run leaves it."""
    config = builders.config(folder, published=ABOUT, **overrides)
    source, ref = builders.shard_ref(shard)
    ref = ref.model_copy(update={"output_format": config.protect.output_format})
    output = Store(str(folder))
    count = len(config.tasks)
    perturber = builders.perturber(class_counts=[3, 2][:count], protected=[True, True][:count])
    record = protect_shard(source, ref, output, protect_plan(config), perturber, "identity")
    fields = ["cls"] if shard.suffix == ".tar" else ["a", "b"]
    profile = ShardProfile(
        name=ref.name, samples=6, bytes=1, sha256="0", modes={"RGB": 6}, height=Moments(), width=Moments(),
        histograms={}, missing={}, fields=fields,
    )  # fmt: skip
    plan, manifest = publish_plan(config), build_manifest("tiny", [record])
    output.write("README.md", dataset_card(plan, manifest, [profile]).encode())
    output.write("manifest.json", manifest.model_dump_json().encode())
    output.write("croissant.json", json.dumps(croissant(plan, manifest, [profile])).encode())
    return folder


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What both readers find, in one process of their own: their imports take seconds, and warn."""
    root = tmp_path_factory.mktemp("hub")
    samples = [(f"k{n}", [("jpg", jpeg(picture(n, 16, 20))), ("cls", b"%d" % (n % 3))]) for n in range(6)]
    tar = builders.write_shard(root / "raw" / "train-0.tar", samples)
    table = table_shard(root / "raw" / "train-1.parquet")
    by_class = [{"field": "cls", "name": "a", "classes": ["x", "y", "z"]}]
    columns = [{"field": "a", "classes": ["x", "y", "z"]}, {"field": "b", "classes": 2}]
    tables = {"dataset": {"shards": "*.parquet", "image": "image", "members": MEMBERS}, "tasks": columns}
    folders = [
        published(root / "tar", tar, tasks=by_class),
        published(root / "tar-to-table", tar, tasks=by_class, protect={"output_format": "parquet"}),
        published(root / "table", table, protect={"output_format": "parquet"}, **tables),
        published(root / "table-to-tar", table, **tables),
    ]
    home = {"HF_HOME": str(root / "cache"), "HF_HUB_OFFLINE": "1", "CROISSANT_CACHE": str(root / "croissant")}
    done = subprocess.run(
        [sys.executable, "-c", READER, *map(str, folders)], capture_output=True, text=True, env={**os.environ, **home}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("folder", ["tar", "tar-to-table", "table"])
def test_datasets_reads_images_and_classes_typed(folder: str, read: dict[str, Any]) -> None:
    found = read[folder]
    image, label = ("png", "cls") if folder == "tar" else ("image", "a")
    assert found["rows"] == 6
    assert found["features"][image].startswith("Image(")
    assert found["features"][label] == "ClassLabel(names=['x', 'y', 'z'])"
    assert found["a"] == [0, 1, 2, 0, 1, 2]
    assert found["sizes"] == [[20, 16]] * 6


def test_a_table_that_is_published_as_tar_is_read_as_images(read: dict[str, Any]) -> None:
    found = read["table-to-tar"]
    assert found["rows"] == 6
    assert found["features"]["png"].startswith("Image(")


def test_croissant_has_neither_errors_nor_warnings(read: dict[str, Any]) -> None:
    assert {folder: found["issues"] for folder, found in read.items()} == {folder: [] for folder in read}


def test_the_card_says_licence_version_and_citation_only_where_they_are_given(tmp_path: Path) -> None:
    config = builders.config(tmp_path, published=ABOUT)
    manifest = build_manifest("tiny", [])
    card = dataset_card(publish_plan(config), manifest, [])
    assert "\nlicense: cc-by-4.0\n" in card
    for text in ("Version 1.2.0.", "@misc", "https://example.org/data", "Published by Example."):
        assert text in card
    assert "## About" not in dataset_card(publish_plan(builders.config(tmp_path)), manifest, [])
