"""`mtlue import` of public datasets through the command line: what it prints, and imports that are killed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from stages.io.store.store import Store
from tests.datasets import celeba_tree
from tests.running import contents, end, mtlue, shards_in, start, wait_for
from tests.servers import BreakingProxy, S3Server

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
    wait_for(lambda: "import/train-00002.json" in contents(bucket.url, s3.storage), process)
    os.kill(process.pid, signal.SIGKILL)
    assert end(process).code == -signal.SIGKILL
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
