"""`mtlue init`: what it writes loads, reads every label of the data that it was written for, and replaces no file."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.commands.init import name_of, write_configuration
from pipeline.configuration.loading import load_config
from schemas.config import Config
from schemas.errors import ConfigError, InputError
from stages.adapters.adapter import Adapter
from stages.adapters.drawn.drawn import Outlines, Rooms, Scenes
from stages.adapters.drawn.multifashion import MultiFashion
from stages.adapters.faces.celeba import CelebA
from stages.adapters.faces.utkface import UTKFace
from stages.adapters.medical.chestxray14 import FINDINGS, ChestXray14
from stages.adapters.rooms.nyuv2 import nyuv2_adapter
from stages.ingest.ingest import ReadSample, read_decoded
from stages.io.shards.tar import TarWriter
from tests.builders import jpeg, picture, png
from tests.datasets import celeba_tree, chest_tree, imported, nyuv2_export, utkface_tree
from tests.unit.pipeline.commands.test_schema import problems
from tests.unit.stages.adapters.test_multifashion import idx_bytes, small_products

NAMES = [
    f"{age}_{age % 2}_{age % 5}_{20170116184732000 + place}.jpg"
    for place, age in enumerate((*range(1, 61), *range(1, 61)))
]
CHEST = ["No Finding", *FINDINGS, "Effusion|Mass", *FINDINGS, *FINDINGS, *FINDINGS]


def written(shards: Path, tmp_path: Path, **options: Any) -> Config:
    """The checked configuration that `init` writes for a place."""
    path = write_configuration(str(shards), str(tmp_path / "made.yaml"), **options)
    assert path is not None
    return load_config(path, [])


def fashion(root: Path) -> Path:
    root.mkdir()
    products = small_products()
    for stem in ("train", "t10k"):
        (root / f"{stem}-images-idx3-ubyte").write_bytes(idx_bytes(products.images_NHW))
        (root / f"{stem}-labels-idx1-ubyte").write_bytes(idx_bytes(products.labels_N))
    return root


def adapter_of(name: str, root: Path) -> Adapter:
    if name == "outlines":
        return Outlines(train=40, test=20, size=16)
    if name == "scenes":
        return Scenes(train=40, test=20, size=16)
    if name == "rooms":
        return Rooms(train=12, test=4, size=16)
    if name == "multifashion":
        return MultiFashion(source=fashion(root), train=60, test=60)
    if name == "celeba":
        return CelebA(source=celeba_tree(root, 20))
    if name == "utkface":
        return UTKFace(source=utkface_tree(root, NAMES))
    if name == "chestxray14":
        return ChestXray14(source=chest_tree(root, CHEST))
    return nyuv2_adapter(nyuv2_export(root))


FOUND = {
    "outlines": {"json.body-1": "classification", "json.body-2": "classification"},
    "scenes": dict.fromkeys(
        [f"json.{n}" for n in ("shape", "colour", "texture", "position", "size")], "classification"
    ),
    "rooms": {"mask.png": "segmentation", "depth.png": "depth", "normals.npy": "normals"},
    "multifashion": {"json.left": "classification", "json.right": "classification"},
    "celeba": {f"json.{name}": "binary" for name in ("5_o_Clock_Shadow", "Male", "Smiling")},
    "utkface": {
        "json.age": "regression",
        "json.age_group": "classification",
        "json.gender": "binary",
        "json.race": "classification",
    },
    "chestxray14": {
        "json.findings": "binary",
        "json.names": "binary",
        "json.age": "regression",
        "json.sex": "classification",
        "json.follow_up": "binary",
    },
    "nyuv2": {"mask.png": "segmentation", "depth.png": "depth", "normals.npy": "normals"},
}


@pytest.mark.parametrize("name", FOUND)
def test_every_label_of_a_known_dataset_is_read_by_what_is_written_for_it(name: str, tmp_path: Path) -> None:
    imported(adapter_of(name, tmp_path / "raw"), tmp_path / "shards", samples=40)
    config = written(tmp_path / "shards", tmp_path)
    assert problems(yaml.safe_load((tmp_path / "made.yaml").read_text())) == [], "the schema of editors takes it"
    assert {task.field: task.kind for task in config.tasks} == FOUND[name]
    assert config.output == f"{tmp_path}/shards-protected"
    assert (config.dataset.test_shards is None) == (not list((tmp_path / "shards").glob("test-*.tar")))
    for path in sorted((tmp_path / "shards").glob("*.tar")):
        for _, found in read_decoded(path, path.name, config.dataset, config.tasks):
            assert isinstance(found, ReadSample), found


def test_findings_of_text_have_their_names(tmp_path: Path) -> None:
    imported(adapter_of("chestxray14", tmp_path / "raw"), tmp_path / "shards", samples=80)
    config = written(tmp_path / "shards", tmp_path)
    assert {task.name for task in config.tasks if task.group == "names"} == {f"names.{name}" for name in FINDINGS}


def shard(path: Path, samples: list[dict[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with TarWriter(path) as writer:
        for number, members in enumerate(samples):
            for field, data in members.items():
                writer.add(f"{number:05d}.{field}", data)
    return path


def labelled(**labels: Any) -> list[dict[str, bytes]]:
    """A sample for each value of the lists."""
    rows = [dict(zip(labels, values, strict=True)) for values in zip(*labels.values(), strict=True)]
    return [{"jpg": jpeg(picture(n, 40, 50)), "json": json.dumps(row).encode()} for n, row in enumerate(rows)]


N = 60


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            [f"class {n % 3}" for n in range(N)],
            {"kind": "classification", "classes": ["class 0", "class 1", "class 2"]},
        ),
        ([n % 7 for n in range(N)], {"kind": "classification", "classes": 7}),
        ([str(n % 7) for n in range(N)], {"kind": "classification", "classes": 7}),
        ([n % 2 == 0 for n in range(N)], {"kind": "binary"}),
        ([("yes", "no")[n % 2] for n in range(N)], {"kind": "binary"}),
        ([2 * (n % 2) - 1 for n in range(N)], {"kind": "binary"}),
        ([n / 7 for n in range(N)], {"kind": "regression"}),
        ([20 + n % 45 for n in range(N)], {"kind": "regression"}),
        ([[n % 2, n % 3 == 0, 1] for n in range(N)], {"kind": "multilabel", "findings": 3}),
        (["a|b", "b|c", "a", "c"] * 15, {"kind": "multilabel", "findings": ["a", "b", "c"]}),
        ([["a", "b"], ["b", "c"], [], ["c"]] * 15, {"kind": "multilabel", "findings": ["a", "b", "c"]}),
        ([-1, 0, 1, 2] * 15, {"kind": "classification", "classes": 3, "missing": -1}),
        ([None, "cat", "dog"] * 20, {"kind": "classification", "classes": ["cat", "dog"]}),
        (["no", "off", "null: x", "0x1"] * 15, {"kind": "classification", "classes": ["0x1", "no", "null: x", "off"]}),
    ],
)
def test_the_kind_of_a_task_follows_from_its_values(
    values: list[Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    shard(tmp_path / "raw" / "a.tar", labelled(what=values))
    config = written(tmp_path / "raw", tmp_path)
    task = config.tasks[0]
    shown = {key: getattr(task, key, None) for key in expected}
    if expected["kind"] == "multilabel":
        findings = expected["findings"]
        names = findings if isinstance(findings, list) else [str(n) for n in range(findings)]
        assert [each.name for each in config.tasks] == [f"what.{name}" for name in names]
    else:
        assert shown == expected
    for _, found in read_decoded(tmp_path / "raw" / "a.tar", "a.tar", config.dataset, config.tasks):
        assert isinstance(found, ReadSample), found


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([f"patient {n}" for n in range(N)], "60 different texts in 60 samples"),
        ([1000 + 17 * n for n in range(N)], "an identifier"),
        (["same"] * N, "only one value: 'same'"),
        ([[n, n + 1] for n in range(N)], "lists of 2 entries that are no findings"),
        ([None] * N, "no value at all"),
    ],
)
def test_what_is_no_label_is_named_with_the_reason(values: list[Any], reason: str, tmp_path: Path) -> None:
    shard(tmp_path / "raw" / "a.tar", labelled(real=[n % 3 for n in range(N)], what=values))
    assert [task.name for task in written(tmp_path / "raw", tmp_path).tasks] == ["real"]
    (line,) = [line for line in (tmp_path / "made.yaml").read_text().splitlines() if "- json.what" in line]
    assert line.strip().startswith("#")
    assert reason in line


def test_a_member_that_may_be_the_original_is_dropped_and_named(tmp_path: Path) -> None:
    samples = [
        {
            "jpg": jpeg(picture(n, 40, 50)),
            "thumb.jpg": jpeg(picture(n, 20, 25)),
            "bin": bytes(range(256)),
            "json": json.dumps({"label": n % 3, "url": f"https://example.org/{n}.jpg"}).encode(),
        }
        for n in range(6)
    ]
    shard(tmp_path / "raw" / "a.tar", samples)
    config = written(tmp_path / "raw", tmp_path)
    assert config.dataset.image == "jpg"
    assert config.dataset.members == {"thumb.jpg": "drop", "bin": "drop", "json.url": "drop"}
    for _, found in read_decoded(tmp_path / "raw" / "a.tar", "a.tar", config.dataset, config.tasks):
        assert isinstance(found, ReadSample), found


def test_doubts_about_unseen_samples_are_left_out_where_all_were_seen(tmp_path: Path) -> None:
    shard(
        tmp_path / "raw" / "a.tar",
        labelled(what=[("cat", "dog")[n % 2] for n in range(N)], width=[n % 9 for n in range(N)]),
    )
    config = written(tmp_path / "raw", tmp_path)
    assert [task.name for task in config.tasks] == ["what"], "the picture's width is no label"
    assert "other samples" not in (tmp_path / "made.yaml").read_text()
    assert config.train.batch_size == 16, "no more than the rarest class has"
    (tmp_path / "made.yaml").unlink()
    written(tmp_path / "raw", tmp_path, samples=10)
    assert "add names that only other samples have" in (tmp_path / "made.yaml").read_text()


def test_json_of_any_shape_is_surveyed(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = {"a": deep}
    samples = labelled(label=[n % 3 for n in range(6)])
    for number, sample in enumerate(samples):
        odd = {
            "": 1,
            "a.b": 2,
            " c ": 3,
            "boxes": [[1, 2]],
            "big": 10**400,
            "deep": deep,
            "yes: no": "#",
            "x": "ü\n: -",
        }
        ids = {f"id{number}-{n}": n for n in range(200)}
        sample["json"] = json.dumps(json.loads(sample["json"]) | odd | ids).encode()
    shard(tmp_path / "raw" / "a.tar", samples)
    assert "label" in [task.name for task in written(tmp_path / "raw", tmp_path).tasks]
    text = (tmp_path / "made.yaml").read_text()
    assert "more keys were not looked at, json.id1-" in text
    assert len(text) < 60_000


def table(path: Path, *, hub: bool) -> None:
    """A Parquet file as `datasets` writes it: an image struct, a ClassLabel, a mask and a caption."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": jpeg(picture(n, 20, 30)), "path": f"{n}.jpg"} for n in range(12)]
    masks = [png((np.arange(600).reshape(20, 30, 1) // 200).astype(np.uint8)) for _ in range(12)]
    columns = {
        "image": images,
        "mask": masks,
        "label": [n % 3 for n in range(12)],
        "caption": [f"{path.stem} {n}" for n in range(12)],
    }
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog", "eel"]}}
    made = pa.table(columns)
    if hub:
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(made, path)


@pytest.mark.parametrize("hub", [True, False])
def test_a_table_of_the_hub_gives_the_names_of_its_classes(hub: bool, tmp_path: Path) -> None:
    table(tmp_path / "raw" / "data" / "train-00000-of-00001.parquet", hub=hub)
    table(tmp_path / "raw" / "data" / "test-00000-of-00001.parquet", hub=hub)
    config = written(tmp_path / "raw", tmp_path)
    assert config.dataset.shards == f"{tmp_path}/raw/data/train-*.parquet"
    assert config.dataset.test_shards == f"{tmp_path}/raw/data/test-*.parquet"
    assert config.dataset.image == "image"
    label, mask = config.tasks
    assert label.class_names == (["cat", "dog", "eel"] if hub else ["0", "1", "2"])
    assert (mask.field, mask.kind, mask.class_names) == ("mask", "segmentation", ["0", "1", "2"])
    path = tmp_path / "raw" / "data" / "train-00000-of-00001.parquet"
    for _, found in read_decoded(path, path.name, config.dataset, config.tasks):
        assert isinstance(found, ReadSample), found


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    shard(tmp_path / "raw" / "a.tar", labelled(label=[n % 3 for n in range(9)]))
    (tmp_path / "made.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"made\.yaml is there already and stays as it is"):
        written(tmp_path / "raw", tmp_path)
    assert (tmp_path / "made.yaml").read_text() == "mine"


def test_data_without_a_label_or_an_image_is_refused_with_what_was_found(tmp_path: Path) -> None:
    shard(tmp_path / "raw" / "a.tar", [{"jpg": jpeg(picture(0, 20, 20))}])
    with pytest.raises(InputError, match=r"no label was found in 1 samples.*--labels"):
        written(tmp_path / "raw", tmp_path)
    shard(tmp_path / "text" / "a.tar", [{"txt": b"hello"}])
    with pytest.raises(InputError, match="none of 1 samples has an image; they have txt"):
        written(tmp_path / "text", tmp_path)
    assert not (tmp_path / "made.yaml").exists()


def test_a_folder_of_pictures_leads_to_its_import(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.jpg").write_bytes(jpeg(picture(0, 20, 20)))
    with pytest.raises(ConfigError, match=r"1 other objects: a\.jpg; `mtlue import folder .*raw --out …` makes shards"):
        written(tmp_path / "raw", tmp_path)


def test_places_and_endpoint_are_those_that_were_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard(tmp_path / "raw" / "a.tar", labelled(label=[n % 3 for n in range(9)]))
    places = {"output": f"{tmp_path}/out", "work": f"{tmp_path}/own"}
    assert write_configuration(str(tmp_path / "raw"), "-", **places, endpoint_url="http://127.0.0.1:1") is None
    (tmp_path / "made.yaml").write_text(capsys.readouterr().out)
    config = load_config(tmp_path / "made.yaml", [])
    assert (config.output, config.work) == (f"{tmp_path}/out", f"{tmp_path}/own")
    assert config.dataset.storage.endpoint_url == "http://127.0.0.1:1"
    assert config.audit is None, "nine samples are too few to hold some out"


@pytest.mark.parametrize(
    ("url", "name"),
    [("s3://b/raw/birds/", "birds"), ("data/x/train-*.tar", "x"), ("a/my birds.v2", "my-birds-v2"), ("b/0.tar", "b")],
)
def test_the_name_of_a_dataset_is_the_last_step_of_its_place(url: str, name: str) -> None:
    assert name_of(url) == name


def test_vectors_of_numpy_are_findings(tmp_path: Path) -> None:
    def npy(array: np.ndarray) -> bytes:
        encoded = io.BytesIO()
        np.save(encoded, array)
        return encoded.getvalue()

    vectors = [{"png": png(picture(n, 20, 20)), "what.npy": npy(np.array([n % 2, 1, 0]))} for n in range(9)]
    shard(tmp_path / "raw" / "a.tar", vectors)
    assert [task.name for task in written(tmp_path / "raw", tmp_path).tasks] == ["what.0", "what.1", "what.2"]
