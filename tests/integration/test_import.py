"""`mtlue import` of public datasets through the command line: what it prints, and imports that are killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.configuration.loading import load_config
from pipeline.state.places import Places
from stages.io.store.store import Store
from tests.datasets import celeba_tree, chest_tree, image_of, nyuv2_tree, samples_in, scenes, utkface_tree
from tests.running import end, gone, mtlue, shards_in, start, wait_for
from tests.servers import BreakingProxy, S3Server
from tests.unit.stages.adapters.test_folder import pictures

SMALL = ("--size", "16", "--crop", "16", "--shard-samples", "4")


def test_what_was_left_out_is_printed_with_its_count_and_an_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = celeba_tree(tmp_path / "raw", 10, height=24, width=20)
    (source / "img_align_celeba" / "000003.jpg").unlink()
    arguments = ("import", "celeba", "--source", source, "--out", tmp_path / "out", "--workers", "1", *SMALL)
    ended = mtlue(capsys, *arguments)
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].startswith("left out    1 rows, missing-file; the first: list_attr_celeba.txt row 5 (000003.jpg): ")
    assert "train       7 samples in 2 shards" in lines
    assert "rows        10, of which 1 left out" in lines
    assert lines[-1] == f"summary     {tmp_path}/out/import.json"
    figures = json.loads(mtlue(capsys, *arguments, "--json").out)
    assert figures["samples"] == {"test": 1, "train": 7, "val": 1}
    assert figures["skipped"]["missing-file"]["count"] == 1


@pytest.mark.parametrize(
    ("arguments", "samples", "fields"),
    [
        (("celeba", "--original"), {"test": 1, "train": 8, "val": 1}, {"jpg", "json"}),
        (("celeba", "--crop", "20", "--size", "18"), {"test": 1, "train": 8, "val": 1}, {"png", "json"}),
        (("utkface", "--size", "18", "--test-percent", "100"), {"test": 12}, {"png", "json"}),
        (("chestxray14", "--size", "18", "--split", "patients", "--test-percent", "0"), {"train": 12}, {"png", "json"}),
        (("chestxray14", "--original"), {"test": 2, "train": 10}, {"png", "json"}),
        (("nyuv2", "--classes", "0"), {"test": 2, "train": 3}, {"png", "depth.png"}),
    ],
)
def test_each_command_imports_with_its_own_options(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    samples: dict[str, int],
    fields: set[str],
) -> None:
    trees: dict[str, Callable[[Path], Path]] = {
        "celeba": lambda root: celeba_tree(root, height=24, width=20),
        "utkface": lambda root: utkface_tree(root, [f"{n}_0_1_{20170116184732000 + n}.jpg" for n in range(12)]),
        "chestxray14": lambda root: chest_tree(root, ["Mass", "No Finding"] * 6),
        "nyuv2": lambda root: nyuv2_tree(root, scenes()),
    }
    name, *options = arguments
    source = trees[name](tmp_path / "raw")
    places = ("--source", source, "--out", tmp_path / "out", "--workers", "1", "--json", "--shard-bytes", "700")
    ended = mtlue(capsys, "import", name, *places, *options)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["samples"] == samples
    found = samples_in(tmp_path / "out")
    assert {frozenset(each) for each in found.values()} == {frozenset(fields)}
    assert len(list((tmp_path / "out").glob("*.tar"))) > len(samples), "a shard is full at 700 bytes"
    if "--size" in options:
        assert {image_of(each["png"]).size for each in found.values()} == {(18, 18)}


def test_a_wrong_folder_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = mtlue(capsys, "import", "celeba", "--source", tmp_path, "--out", tmp_path / "out", "--workers", "1")
    assert ended.code == 2
    assert ended.err.startswith(f"mtlue: {tmp_path} has no list_attr_celeba.txt")
    assert ended.out == ""


@pytest.mark.slow
def test_a_killed_import_goes_on_and_makes_no_shard_twice(
    tmp_path: Path, s3: S3Server, breaking: BreakingProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    source = celeba_tree(tmp_path / "raw", 30, height=24, width=20)
    bucket = Store(f"{s3.bucket()}/celeba", s3.storage)
    breaking.hold(f"PUT /{bucket.url.removeprefix('s3://')}/train-00004.tar")  # it would never end by itself

    def command(endpoint_url: str, workers: str, out: str) -> tuple[str, ...]:
        places = ("--source", str(source), "--out", out, "--endpoint-url", endpoint_url)
        return ("import", "celeba", *places, "--workers", workers, *SMALL)

    process = start(*command(breaking.endpoint_url, "2", bucket.url), directory=tmp_path)
    wait_for(lambda: bucket.stat("import/train-00002.json") is not None, process)
    os.kill(process.pid, signal.SIGKILL)
    assert end(process).code == -signal.SIGKILL
    assert gone(tmp_path), "workers outlive the import that was killed"  # before theirs is let through
    breaking.let_go()
    left = {entry.name: entry for entry in bucket.list() if entry.name.startswith("import/")}
    assert "train-00004.tar" not in shards_in(bucket.url, s3.storage)
    assert json.loads(bucket.read("import.json"))["complete"] is False

    assert mtlue(capsys, *command(s3.endpoint_url, "1", bucket.url)).code == 0
    assert json.loads(bucket.read("import.json"))["complete"] is True
    records = {entry.name: entry for entry in bucket.list() if entry.name.startswith("import/")}
    assert {name: records[name] for name in left} == left
    assert mtlue(capsys, *command(s3.endpoint_url, "1", str(tmp_path / "whole"))).code == 0
    assert shards_in(bucket.url, s3.storage) == shards_in(str(tmp_path / "whole"))


def test_a_folder_goes_to_a_bucket_and_its_configuration_reads_it_from_there(
    tmp_path: Path, s3: S3Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = pictures(tmp_path / "in", *(f"{kind}/{n}.jpg" for kind in ("cat", "dog") for n in range(3)))
    out = f"{s3.bucket()}/raw/pets"
    places = ("--out", out, "--endpoint-url", s3.endpoint_url, "--workers", "1")
    ended = mtlue(capsys, "import", "folder", source, *places)
    assert ended.code == 0, ended.err
    config = load_config(Path("pets.yaml"), [])
    assert (config.dataset.shards, config.output) == (f"{out}/train-*.tar", f"{out}-protected")
    assert [ref.name for ref in Places(config).shards] == ["train-00000.tar"]
    printed = mtlue(capsys, "init", out, "--endpoint-url", s3.endpoint_url, "--config", "-")
    assert printed.code == 0, printed.err
    assert "classes: [cat, dog]" in printed.out
