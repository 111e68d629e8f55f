"""The whole path on a real S3 server: dataset, output and work are objects, Ray does the shards."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from PIL import Image

from pipeline.cluster import executor
from pipeline.run import protect as protecting
from pipeline.run.protect import protect_step
from pipeline.run.result import RunResult, exit_code
from pipeline.state.lease_record import holder_of
from pipeline.state.ledger import Ledger
from schemas.config import Config
from stages.io.store.store import Store
from tests.builders import BuiltSample, config, jpeg, labelled_samples, picture, png, write_shard
from tests.running import contents, mtlue, run, shards_in, write_config
from tests.servers import S3Server

SHARDS, PER_SHARD, BOUND = 4, 20, 8


@dataclass(frozen=True)
class Prepared:
    """A dataset on S3 and its first run."""

    config: Config
    raw: Path
    """The raw shards as they lie on the disk."""
    result: RunResult


def samples_of(shard: int) -> list[BuiltSample]:
    """Samples of one shard: several sizes and encodings, text in between, keys in directories, not sorted."""
    samples: list[BuiltSample] = []
    for number, (key, members) in enumerate(labelled_samples(PER_SHARD, size=24, seed=shard)):
        labels = dict(members)["json"]
        kept = [("caption.txt", f"a picture, €{number}\r\n".encode()), ("json", labels + b"\n")]
        if number % 5 == 1:
            kept.insert(1, ("png", png(picture(number, 33, 20))))
        elif number % 5 == 2:
            kept.insert(0, ("jpg", jpeg(picture(number, 17, 40, channels=1))))
        else:
            kept.insert(2, dict_item(members, "jpg"))
        samples.append((f"part{shard}/{key}-{7 * number % PER_SHARD}", kept))
    return samples


def dict_item(members: list[tuple[str, bytes]], field: str) -> tuple[str, bytes]:
    return next(member for member in members if member[0] == field)


def on_s3(server: S3Server, root: Path, place: str, **overrides: Any) -> Config:
    """The configuration for `place`/raw on the server, published and kept beside it."""
    dataset = {
        "shards": f"{place}/raw/train-*.tar",
        "storage": {"endpoint_url": server.endpoint_url},
        "members": {"json": "keep"},
    }
    dataset |= overrides.pop("dataset", {})
    places = {"output": f"{place}/public", "work": f"{place}/private"} | overrides
    return config(root, dataset=dataset, **places)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw shards on the disk."""
    directory = tmp_path_factory.mktemp("raw")
    for shard in range(SHARDS):
        write_shard(directory / f"train-{shard:05d}.tar", samples_of(shard))
    return directory


@pytest.fixture(scope="module")
def prepared(s3: S3Server, here: None, raw: Path) -> Prepared:
    """A bucket with the raw shards, after one run. Tests may read everything and change nothing."""
    made = on_s3(s3, raw.parent, s3.bucket())
    upload(s3, raw, made)
    return Prepared(made, raw, run(made))


@pytest.fixture
def again(s3: S3Server, prepared: Prepared) -> tuple[Config, Store]:
    """A copy of the prepared bucket, for tests that change it; and the store of its raw shards."""
    made = on_s3(s3, prepared.raw.parent, s3.bucket())
    for place, copy in ((prepared.config.output, made.output), (prepared.config.work, made.work)):
        s3.client.copy(f"{place}/", f"{copy}/", recursive=True)
    upload(s3, prepared.raw, made)
    return made, raw_store(s3, made)


def raw_store(server: S3Server, made: Config) -> Store:
    assert isinstance(made.dataset.shards, str)
    return Store(made.dataset.shards.rpartition("/")[0], server.storage)


def upload(server: S3Server, raw: Path, made: Config) -> None:
    store = raw_store(server, made)
    for path in sorted(raw.iterdir()):
        store.put(path, path.name)


def download(server: S3Server, url: str, directory: Path) -> list[Path]:
    store = Store(url, server.storage)
    names = [entry.name for entry in store.list() if entry.name.endswith(".tar")]
    for name in names:
        store.get(name, directory / name)
    return [directory / name for name in names]


def state(server: S3Server, url: str) -> dict[str, tuple[str, int, Any]]:
    """Etag, size and time of every object but the logs of runs, as another client sees them."""
    found = {name: info for name, info in server.client.find(url, detail=True).items() if "/runs/" not in name}
    return {name: (info["ETag"], info["size"], info["LastModified"]) for name, info in found.items()}


def members_of(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        return [(member.name, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image).astype(int)


def test_another_tar_reader_finds_the_same_members_and_images_within_the_bound(
    s3: S3Server, prepared: Prepared, tmp_path: Path
) -> None:
    published = download(s3, prepared.config.output, tmp_path)
    assert [path.name for path in published] == [path.name for path in sorted(prepared.raw.iterdir())]
    images = 0
    for path in published:
        before, after = members_of(prepared.raw / path.name), members_of(path)
        assert len(before) == len(after) == 3 * PER_SHARD
        for (name, data), (new_name, new_data) in zip(before, after, strict=True):
            if not name.endswith((".jpg", ".png")):
                assert (new_name, new_data) == (name, data)
                continue
            assert new_name == name.replace(".jpg", ".png")
            assert new_data.startswith(b"\x89PNG")
            delta = np.abs(pixels(new_data) - pixels(data))
            assert 1 <= delta.max() <= BOUND, new_name
            images += 1
    assert images == SHARDS * PER_SHARD == prepared.result.manifest.samples


def test_the_reader_of_webdataset_finds_the_same_keys_and_labels_in_order(
    s3: S3Server, prepared: Prepared, tmp_path: Path
) -> None:
    def read(paths: list[Path]) -> list[tuple[str, bytes, bytes]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = webdataset.WebDataset([str(path) for path in paths], shardshuffle=False)
            return [(sample["__key__"], sample["json"], sample["caption.txt"]) for sample in dataset]

    published = read(download(s3, prepared.config.output, tmp_path))
    assert published == read(sorted(prepared.raw.iterdir()))
    assert len(published) == SHARDS * PER_SHARD


def test_the_public_place_holds_shards_and_their_description_and_nothing_else(prepared: Prepared, s3: S3Server) -> None:
    names = set(contents(prepared.config.output, s3.storage))
    assert names == {f"train-{shard:05d}.tar" for shard in range(SHARDS)} | {
        ".mtlue-owner.json",
        "README.md",
        "croissant.json",
        "wids.json",
        "manifest.json",
    }
    private = contents(prepared.config.work, s3.storage)
    assert {"generator.json", "report.html", "left-out.json"} <= set(private)
    assert holder_of(Store(prepared.config.work, s3.storage)) is None, "a finished run keeps the lease"


def test_nothing_public_names_the_private_place_or_the_raw_data(prepared: Prepared, s3: S3Server) -> None:
    output = Store(prepared.config.output, s3.storage)
    bucket = prepared.config.output.removeprefix("s3://").partition("/")[0]
    for name in (".mtlue-owner.json", "README.md", "croissant.json", "wids.json", "manifest.json"):
        text = output.read(name).decode()
        for secret in (bucket, "/private", "/raw", s3.endpoint_url, "seed"):
            assert secret not in text, f"{name} tells {secret!r}"


@pytest.mark.parametrize("known", [False, True], ids=["alone", "with-its-input"])
def test_verify_finds_the_published_prefix_clean(
    s3: S3Server, prepared: Prepared, known: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = ["--config", write_config(tmp_path / "pipeline.yaml", prepared.config)] if known else []
    address = ["--endpoint-url", s3.endpoint_url]
    ended = mtlue(capsys, "verify", prepared.config.output, *address, "--json", *extra)
    assert ended.code == 0, ended.err
    figures = json.loads(ended.out)
    assert figures["problems"] == []
    assert (figures["shards"], figures["samples"]) == (SHARDS, SHARDS * PER_SHARD)
    assert figures["max_delta"] == (prepared.result.records[0].max_delta if known else None)


def test_a_second_run_reads_no_image_and_changes_no_byte(
    s3: S3Server, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        pytest.fail(f"work was handed to Ray, or a shard was downloaded: {arguments}")

    before = state(s3, prepared.config.output), state(s3, prepared.config.work)
    monkeypatch.setattr(executor.ray, "remote", refuse)
    monkeypatch.setattr(executor, "submit", None)
    monkeypatch.setattr(executor, "RemoteObject", None)
    monkeypatch.setattr(Store, "get", refuse)
    second = run(prepared.config)
    assert second.done_before == SHARDS
    assert exit_code(second) == 0
    assert second.manifest == prepared.result.manifest
    public, private = state(s3, prepared.config.output), state(s3, prepared.config.work)
    assert public == before[0]
    left_out = {name for name, found in private.items() if before[1].get(name) != found}
    assert {name.rpartition("/")[2] for name in left_out} <= {"left-out.json", "lease.json"}, "only the list"
    assert private.keys() == before[1].keys()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What protected which shard, and when: filled when the test asks for it."""
    directory = tmp_path / "told"
    directory.mkdir()
    driver = os.getpid()

    def protect_and_tell(*arguments: Any) -> Any:
        began = time.time()
        record = protect_step(*arguments)
        if os.getpid() != driver:
            time.sleep(0.5)  # longer than the hand-over of a job
        told = {"shard": record.name, "process": os.getpid(), "began": began, "ended": time.time()}
        (directory / record.name).write_text(json.dumps(told))
        return record

    class Told(list[dict[str, Any]]):
        def __iter__(self) -> Iterator[dict[str, Any]]:
            return iter([json.loads(path.read_text()) for path in sorted(directory.iterdir())])

    monkeypatch.setattr(protecting, "protect_step", protect_and_tell)
    return Told()


def test_two_workers_of_ray_give_the_bytes_that_this_process_gives_side_by_side(
    s3: S3Server, prepared: Prepared, told: list[dict[str, Any]], on_ray: None
) -> None:
    place = s3.bucket()
    places = {"output": f"{place}/other", "work": f"{place}/elsewhere"}
    assert prepared.config.compute.cpus == 2
    assert run(prepared.config.model_copy(update=places)).done_before == 0
    assert shards_in(places["output"], s3.storage) == shards_in(prepared.config.output, s3.storage)
    calls = list(told)
    assert len(calls) == SHARDS
    processes = {call["process"] for call in calls}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert any(
        one["began"] < other["began"] < one["ended"]
        for one in calls
        for other in calls
        if one["process"] != other["process"]
    )


def test_shards_that_are_new_changed_or_lost_are_the_only_ones_that_are_processed(
    s3: S3Server, again: tuple[Config, Store], told: list[dict[str, Any]], tmp_path: Path
) -> None:
    made, raw = again
    output, work = Store(made.output, s3.storage), Store(made.work, s3.storage)
    before, generator = shards_in(made.output, s3.storage), work.read("generator.json")
    untouched = output.stat("train-00000.tar"), output.stat("train-00003.tar")
    output.delete("train-00001.tar")
    raw.put(write_shard(tmp_path / "new.tar", samples_of(9)), "train-00002.tar")
    raw.put(write_shard(tmp_path / "new.tar", samples_of(SHARDS)), f"train-{SHARDS:05d}.tar")
    result = run(made)
    lost, changed, new = (f"train-{number:05d}.tar" for number in (1, 2, SHARDS))
    assert [call["shard"] for call in told] == [lost, changed, new]
    assert result.done_before == SHARDS - 2
    assert result.manifest.samples == (SHARDS + 1) * PER_SHARD
    assert work.read("generator.json") == generator
    after = shards_in(made.output, s3.storage)
    assert {name for name in after if after[name] != before.get(name)} == {changed, new}
    assert (output.stat("train-00000.tar"), output.stat("train-00003.tar")) == untouched, "written again"
    assert len(Ledger(Store(made.work, s3.storage)).identities()) == SHARDS + 1


def test_a_private_place_in_a_bucket_that_everybody_may_read_is_warned_of(
    s3: S3Server, raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = on_s3(s3, tmp_path, s3.bucket(), work=f"{s3.bucket()}/private")
    upload(s3, raw, made)
    # A public shard without a generator: the run ends early, whatever the bucket's ACL.
    Store(made.output, s3.storage).put(raw / "train-00000.tar", "train-00000.tar")
    path = write_config(tmp_path / "pipeline.yaml", made)
    assert "open to others" not in mtlue(capsys, "run", path).err
    s3.client.call_s3("put_bucket_acl", Bucket=made.work.split("/")[2], ACL="public-read")
    assert (
        f"work ({made.work}) is open to others: the bucket's ACL grants READ to everybody"
        in mtlue(capsys, "run", path).err
    )
