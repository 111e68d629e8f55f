import fnmatch
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy
import pytest
import yaml
from PIL import Image

from pipeline.configuration.plans import publish_plan
from schemas.config import Config
from schemas.errors import ValidationError
from schemas.plans import PublishPlan
from schemas.records import Manifest, Quarantined, ShardProfile, ShardRecord
from schemas.stats import Moments
from stages.io.shards.layout import label_place
from stages.publish.card import dataset_card, size_category
from stages.publish.croissant import croissant
from stages.publish.manifest import build_manifest, wids_index

SECRETS = {
    "input address": "raw-bucket",
    "test address": "held-out-bucket",
    "credentials": "hunter2",
    "endpoint": "minio.internal",
    "work address": "private-work",
    "output address": "public-bucket",
    "dropped member": "original.tif",
    "seed": "918273",
    "method": "tap",
    "generator preset": "tiny",
    "ledger identity": "1dent1ty",
    "checksum of originals": "c1ea4",
    "PSNR": "31.4159",
    "mean change": "2.71828",
    "quarantined key": "secret-key",
}


def whole_config(**changes) -> Config:
    return Config.model_validate(
        {
            "name": "street-scenes",
            "dataset": {
                "shards": "s3://reader:hunter2@raw-bucket/{00000..00001}.tar",
                "test_shards": "s3://held-out-bucket/*.tar",
                "members": {"original.tif": "drop"},
                "storage": {"endpoint_url": "https://root:hunter2@minio.internal:9000"},
            },
            "tasks": [
                {"field": "json.shape", "classes": ["disc", "sq|uare", "<script>"]},
                {"field": "json.meta.size", "classes": 2},
                {"field": "cls", "classes": ["left", "right"]},
            ],
            "train": {"seed": 918273, "perturber": "generator", "method": "tap", "generator": "tiny"},
            "output": "s3://public-bucket/scenes",
            "work": "s3://private-work/scenes",
            **changes,
        }
    )


def make_config(**changes) -> PublishPlan:
    """What the public artefacts are given of a configuration."""
    return publish_plan(whole_config(**changes))


def make_record(name: str, data: bytes = b"", samples: int = 3) -> ShardRecord:
    return ShardRecord(
        identity="1dent1ty",
        name=name,
        source_sha256="c1ea4" * 8,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        samples=samples,
        max_delta=8,
        psnr=Moments().add(31.4159),
        delta=Moments().add(2.71828),
        quarantined=[Quarantined(shard=name, key="secret-key", reason="corrupt-image", message="m")],
        seconds=1.0,
    )


def make_profile(name: str, shape: list[int], samples: int = 3) -> ShardProfile:
    return ShardProfile(
        name=name,
        samples=samples,
        bytes=10,
        sha256="c1ea4" * 8,
        modes={"RGB": samples},
        height=Moments(),
        width=Moments(),
        histograms={"shape": shape, "size": [samples, 0], "cls": [1, samples - 1]},
        missing={"shape": samples - sum(shape), "size": 0, "cls": 0},
    )


def publish_shards(folder: Path) -> Manifest:
    """Write two real shards, and the manifest beside them."""
    records = []
    for shard in range(2):
        path = folder / f"{shard:05d}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            for index in range(3):
                image = io.BytesIO()
                Image.new("RGB", (4, 4), (index, shard, 0)).save(image, "PNG")
                labels = json.dumps({"shape": index, "meta": {"size": shard}}).encode()
                for field, data in (("png", image.getvalue()), ("json", labels), ("cls", b"right")):
                    member = tarfile.TarInfo(f"k{shard}{index}.{field}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
        records.append(make_record(path.name, path.read_bytes()))
    manifest = build_manifest("street-scenes", records)
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return manifest


CROISSANT_READER = """
import json, mlcroissant
dataset = mlcroissant.Dataset("croissant.json")
images = {each["images/key"].decode(): each["images/image"].getpixel((0, 0)) for each in dataset.records("images")}
labels = dataset.records("labels-json")
labels = {each["labels-json/key"].decode(): each["labels-json/labels"].decode() for each in labels}
print(json.dumps([list(dataset.metadata.ctx.issues.errors), images, labels]))
"""
"""In a process of its own: the reader leaves files open, and warns of what its own libraries will drop."""


def code_blocks(card: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)


def run_in(folder: Path, code: str) -> list[str]:
    """Run a card's example as its reader would, and return the lines it prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_manifest_is_sorted_and_sums_up_whatever_the_order_of_the_ledger():
    records = [make_record("b.tar", b"22", samples=2), make_record("a.tar", b"1", samples=1)]
    manifest = build_manifest("d", records)
    assert [shard.name for shard in manifest.shards] == ["a.tar", "b.tar"]
    assert (manifest.samples, manifest.bytes) == (3, 3)
    assert manifest == build_manifest("d", records[::-1])


def test_manifest_refuses_two_records_of_one_shard():
    with pytest.raises(ValidationError, match=r"a\.tar"):
        build_manifest("d", [make_record("a.tar"), make_record("a.tar")])


def test_nothing_private_reaches_a_public_file():
    config, manifest = make_config(), build_manifest("street-scenes", [make_record("00000.tar", b"x")])
    profiles = [make_profile("00000.tar", [1, 1, 1])]
    public = {
        "manifest.json": manifest.model_dump_json(),
        "wids.json": wids_index(manifest),
        "README.md": dataset_card(config, manifest, profiles),
        "croissant.json": json.dumps(croissant(config, manifest, profiles)),
    }
    held = whole_config().model_dump_json() + make_record("00000.tar").model_dump_json()
    for what, secret in SECRETS.items():
        assert secret in held, f"{what} is no longer planted"
        for name, text in public.items():
            assert not re.search(rf"\b{re.escape(secret)}", text, flags=re.IGNORECASE), f"{what} leaked into {name}"


def test_wids_index_has_what_the_reader_needs_and_no_invented_md5():
    manifest = build_manifest("d", [make_record("a.tar", b"12"), make_record("b.tar", b"3")])
    index = json.loads(wids_index(manifest))
    assert (index["__kind__"], index["wids_version"]) == ("wids-shard-index-v1", 1)
    assert index["shardlist"] == [
        {"url": "a.tar", "nsamples": 3, "filesize": 2},
        {"url": "b.tar", "nsamples": 3, "filesize": 1},
    ]


def test_card_has_the_front_matter_of_the_hub_and_the_counts_of_published_shards_only():
    manifest = build_manifest("street-scenes", [make_record("deep/a.tar", samples=5)])
    card = dataset_card(
        make_config(), manifest, [make_profile("deep/a.parquet", [4, 1, 0], 6), make_profile("failed.tar", [100, 0, 0])]
    )
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["pretty_name"] == "street-scenes"
    assert front["task_categories"] == ["image-classification"]
    assert front["size_categories"] == ["n<1K"]
    assert front["configs"][0]["data_files"][0]["path"] == ["deep/a.tar"]
    assert "| 0 | disc | 4 |" in card
    assert "1 image has no label" in card
    assert "left out 1 image." in card
    assert "at most 8 of 255 levels" in card


def test_card_names_each_shard_so_that_no_other_file_is_served_as_protected():
    names = ["a-[v2].tar", "b?.tar", "plain.tar"]
    card = dataset_card(make_config(), build_manifest("x", [make_record(name, samples=5) for name in names]), [])
    paths = yaml.safe_load(card.split("---\n")[1])["configs"][0]["data_files"][0]["path"]
    assert len(paths) == len(names)
    there = [*names, "raw.tar", "a-v.tar", "b1.tar", "a-2.tar"]
    assert sorted({name for name in there for path in paths if fnmatch.fnmatchcase(name, path)}) == names


def test_a_key_with_spaces_is_read_on_the_card_from_the_json_that_has_it():
    profile = make_profile("a.tar", [4, 1, 0], 5)
    task = make_config().tasks[0].model_copy(update={"field": "Finding Labels"})
    inside = profile.model_copy(update={"fields": ["json.Finding Labels"]})
    assert label_place(task, [inside]) == ("json", ("Finding Labels",))
    assert label_place(task, [profile.model_copy(update={"fields": ["Finding Labels"]})]) == ("Finding Labels", ())


def test_card_escapes_class_names_so_that_tables_and_pages_stay_whole():
    card = dataset_card(make_config(), build_manifest("d", [make_record("a.tar")]), [])
    assert r"| sq\|uare |" in card
    assert "<script>" not in card
    assert "&lt;script&gt;" in card


def test_card_of_many_classes_lists_the_frequent_ones():
    config = make_config(tasks=[{"field": "cls", "classes": 500}])
    counts = [0] * 500
    counts[321] = 7
    profile = make_profile("a.tar", [3, 0, 0]).model_copy(update={"histograms": {"cls": counts}, "missing": {}})
    card = dataset_card(config, build_manifest("d", [make_record("a.tar")]), [profile])
    assert "500 classes; the 50 most frequent" in card
    assert "| 321 | 7 |" in card


@pytest.mark.parametrize(
    ("samples", "word"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (250_000, "100K<n<1M"), (2 * 10**9, "n>1B")]
)
def test_size_category_is_the_word_of_the_hub(samples, word):
    assert size_category(samples) == word


def test_loading_code_on_the_card_reads_real_shards(tmp_path):
    code = code_blocks(dataset_card(make_config(), publish_shards(tmp_path), []))[0]
    lines = run_in(tmp_path, code + "    print(json.dumps([image.size, labels]))\n")
    assert len(lines) == 6
    assert json.loads(lines[4]) == [[4, 4], {"shape": 1, "size": 1, "cls": "right"}]


def test_checksum_code_on_the_card_notices_a_changed_shard(tmp_path):
    card = dataset_card(make_config(), publish_shards(tmp_path), [])
    with (tmp_path / "00001.tar").open("r+b") as shard:
        shard.write(b"?")
    assert run_in(tmp_path, code_blocks(card)[1]) == ["intact 00000.tar", "CHANGED 00001.tar"]


def test_labels_of_parquet_input_are_read_from_the_published_json():
    config = make_config(tasks=[{"field": "labels.shape", "classes": 3}])
    manifest = build_manifest("d", [make_record("a.tar")])
    profiles = [make_profile("a.parquet", [1, 1, 1])]
    assert 'sample["json"]["labels"]["shape"]' in dataset_card(config, manifest, profiles)
    assert [part["name"] for part in croissant(config, manifest, profiles)["recordSet"]] == ["images", "labels-json"]


def test_croissant_is_whole_relative_and_names_every_shard_with_its_checksum():
    manifest = build_manifest("street-scenes", [make_record("a.tar", b"1"), make_record("b.tar", b"2")])
    described = croissant(make_config(), manifest)
    files = {part["@id"]: part for part in described["distribution"]}
    assert len(files) == len(described["distribution"])
    for shard in manifest.shards:
        assert files[shard.name]["sha256"] == shard.sha256
        assert files[shard.name]["contentUrl"] == shard.name
    for record_set in described["recordSet"]:
        fields = {field["@id"] for field in record_set["field"]}
        assert record_set["key"]["@id"] in fields
        assert {field["source"]["fileSet"]["@id"] for field in record_set["field"]} <= files.keys()
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.0"


def test_croissant_passes_the_reference_validator_and_its_reader_finds_every_sample(tmp_path, monkeypatch):
    manifest = publish_shards(tmp_path)
    (tmp_path / "croissant.json").write_text(json.dumps(croissant(make_config(), manifest)))
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "cache"))
    (found,) = run_in(tmp_path, CROISSANT_READER)
    errors, images, labels = json.loads(found)
    keys = {f"k{shard}{index}": (shard, index) for shard in range(2) for index in range(3)}
    assert errors == []
    assert images == {key: [index, shard, 0] for key, (shard, index) in keys.items()}
    assert {key: json.loads(text)["shape"] for key, text in labels.items()} == {
        key: index for key, (_, index) in keys.items()
    }


DENSE = {
    "dataset": {"shards": "raw/*.tar", "image": "png", "members": {"mask.png": "keep", "normals.npy": "keep"}},
    "tasks": [
        {"name": "mask", "kind": "segmentation", "field": "mask.png", "classes": ["floor", "wall"]},
        {"kind": "normals", "field": "normals.npy", "name": "normals"},
    ],
}


def test_card_and_croissant_know_labels_that_are_files_of_their_own(tmp_path, monkeypatch):
    normals = io.BytesIO()
    numpy.save(normals, numpy.zeros((4, 4, 3), numpy.float16))
    path = tmp_path / "00000.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for index in range(2):
            pictures = [io.BytesIO(), io.BytesIO()]
            Image.new("RGB", (4, 4), (index, 9, 0)).save(pictures[0], "PNG")
            Image.new("L", (4, 4), index).save(pictures[1], "PNG")
            members = zip(("png", "mask.png", "normals.npy"), (*pictures, normals), strict=True)
            for field, data in members:
                member = tarfile.TarInfo(f"k{index}.{field}")
                member.size = len(data.getvalue())
                archive.addfile(member, io.BytesIO(data.getvalue()))
    manifest = build_manifest("rooms", [make_record(path.name, path.read_bytes(), samples=2)])
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json())
    config = make_config(**DENSE)
    profile = ShardProfile(
        name="00000.tar", samples=2, bytes=10, sha256="c1", modes={"RGB": 2}, height=Moments(), width=Moments(),
        histograms={"mask": [16, 16]}, missing={"mask": 0, "normals": 0},
    )  # fmt: skip
    card = dataset_card(config, manifest, [profile])
    assert "- image-segmentation\n- image-to-image\n" in card
    assert "| index | class | pixels |" in card
    assert "| 1 | wall | 16 |" in card
    code = code_blocks(card)[0] + "    print(image.size, labels['mask'].getpixel((0, 0)), labels['normals'].shape)\n"
    assert run_in(tmp_path, code) == ["(4, 4) 0 (4, 4, 3)", "(4, 4) 1 (4, 4, 3)"]
    described = croissant(config, manifest)
    files = {part["@id"]: part for part in described["distribution"]}
    assert files["image-files"]["excludes"] == ["*.mask.png"]
    assert files["mask.png-files"]["encodingFormat"] == "image/png"
    (tmp_path / "croissant.json").write_text(json.dumps(described))
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "cache"))
    validate = "import mlcroissant\nprint(list(mlcroissant.Dataset('croissant.json').metadata.ctx.issues.errors))"
    assert run_in(tmp_path, validate) == ["[]"]
