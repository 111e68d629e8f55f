"""The command line: what each command prints, writes and ends with; what it says when it is used wrongly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.state.lease import Lease
from pipeline.state.lease_record import holder_of
from schemas.config import Config
from stages.io.store.store import Store
from tests import servers
from tests.builders import config, labelled_samples, write_shard
from tests.running import ROOT, Ended, contents, end, mtlue, start, write_config
from tests.servers import READ_ONLY, S3Server

pytestmark = pytest.mark.usefixtures("here")

SHARDS, PER_SHARD = 3, 16


@dataclass(frozen=True)
class Place:
    """A small dataset and its configuration file."""

    root: Path
    file: Path
    config: Config


def make_place(root: Path) -> Place:
    for split, first in (("train", 0), ("test", 90)):
        for shard in range(SHARDS if split == "train" else 1):
            samples = labelled_samples(PER_SHARD, size=24, seed=first + shard)
            write_shard(root / f"raw/{split}-{shard:05d}.tar", samples)
    made = config(root)
    return Place(root, write_config(root / "pipeline.yaml", made), made)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A dataset before its first run. Tests change nothing of it."""
    return make_place(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A dataset after its first run. Tests change nothing of it."""
    return make_place(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def ran(prepared: Place, here: None, capsys: pytest.CaptureFixture[str]) -> Ended:
    """`mtlue run --json` on the prepared dataset: the first test does the work, the others find it done."""
    return mtlue(capsys, "run", prepared.file, "--json")


# --- run --------------------------------------------------------------------------------------------------------------


def test_run_with_json_prints_one_object_and_only_json_lines_beside_it(ran: Ended, prepared: Place) -> None:
    assert ran.code == 0, ran.err
    figures = json.loads(ran.out)
    assert (figures["shards"], figures["shards_failed"], figures["quarantined"]) == (SHARDS, 0, 0)
    assert figures["samples"] == SHARDS * PER_SHARD
    assert 1 <= figures["max_delta"] <= 8
    assert Path(figures["report"]).is_file()
    for line in ran.err.splitlines():
        assert json.loads(line)["event"] in {"progress", "message"}


def test_run_in_words_says_what_was_done_before(
    ran: Ended, prepared: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = mtlue(capsys, "run", prepared.file)
    assert ended.code == 0
    assert f"shards      {SHARDS} ({SHARDS} done before)" in ended.out
    assert f"samples     {SHARDS * PER_SHARD}" in ended.out
    assert ended.err == "", "there was nothing to do, and nothing to tell"


def test_an_override_counts_and_a_directory_stands_for_its_pipeline_yaml(
    ran: Ended, prepared: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = mtlue(capsys, "plan", prepared.root, "--set", f"output={tmp_path}/elsewhere", "--json")
    assert json.loads(ended.out)["shards_done"] == 0
    ended = mtlue(capsys, "plan", prepared.root, "--json")
    assert json.loads(ended.out)["shards_done"] == SHARDS


def test_plan_and_status_see_that_other_settings_need_another_generator(
    ran: Ended, prepared: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ("--set", "train.seed=7")
    assert "train       about" in mtlue(capsys, "plan", prepared.file, *other).out
    status = mtlue(capsys, "status", prepared.file, *other).out
    assert f"{SHARDS} planned, 0 published" in status
    assert "generator   not trained yet" in status
    assert "differs     the last run used train.seed=0 (here 7)" in status
    assert "differs" not in mtlue(capsys, "status", prepared.file).out


def test_the_audit_runs_inside_run_and_is_reported(
    ran: Ended, prepared: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(prepared.root, tmp_path / "copy")
    made = config(tmp_path / "copy", audit={"epochs": 1})
    ended = mtlue(capsys, "run", write_config(tmp_path / "pipeline.yaml", made), "--json")
    assert ended.code == 0, ended.err
    evidence = json.loads(ended.out)["evidence"]
    assert list(evidence["means"]) == ["clean", "noise", "protected"]
    assert {task["name"] for task in evidence["tasks"]} == {"a", "b"}
    assert evidence["test_samples"] == PER_SHARD
    assert evidence["victims"] == ["resnet18"]
    assert list(json.loads(ended.out)["seconds"]) == ["ingest", "train", "prove", "protect", "publish"]
    assert Path(made.work, "report.html").read_text().count("<html") == 1


# --- plan, status, preview --------------------------------------------------------------------------------------------


def test_plan_writes_nothing_and_says_what_a_run_would_do(fresh: Place, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(str(fresh.root))
    ended = mtlue(capsys, "plan", fresh.file)
    assert ended.code == 0, ended.err
    assert f"input       {SHARDS} shards" in ended.out
    assert f"to do       {SHARDS} shards (0 are published)" in ended.out
    assert "train       about" in ended.out
    assert contents(str(fresh.root)) == before
    assert not Path(fresh.config.output).exists()
    assert not Path(fresh.config.work).exists()


def test_plan_after_a_run_finds_nothing_to_do_and_changes_nothing(
    ran: Ended, prepared: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(str(prepared.root))
    ended = mtlue(capsys, "plan", prepared.file)
    assert f"to do       0 shards ({SHARDS} are published)" in ended.out
    assert "train       nothing" in ended.out
    assert contents(str(prepared.root)) == before


def test_status_before_and_after_a_run(
    ran: Ended, fresh: Place, prepared: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = mtlue(capsys, "status", fresh.file)
    assert ended.code == 0
    assert f"{SHARDS} planned, 0 published, 0 failed, {SHARDS} to do" in ended.out
    assert "not trained yet" in ended.out
    assert not Path(fresh.config.work).exists(), "status writes"
    standing = json.loads(mtlue(capsys, "status", prepared.file, "--json").out)
    assert (standing["planned"], standing["committed"], standing["failed"]) == (SHARDS, SHARDS, {})
    assert standing["manifest"] is True
    assert standing["holder"] is None
    with Lease(Store(prepared.config.work)) as lease:
        assert f"running     {lease.run[:8]} on" in mtlue(capsys, "status", prepared.file).out


def test_preview_writes_a_picture_with_clean_protected_and_difference(
    ran: Ended, fresh: Place, prepared: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "sheet.png"
    ended = mtlue(capsys, "preview", prepared.file, "--out", target, "--samples", "3")
    assert ended.code == 0, ended.err
    assert ended.out.strip() == str(target)
    with Image.open(target) as sheet:
        assert sheet.format == "PNG"
        assert min(sheet.size) >= 3 * 24
        assert len(np.unique(np.asarray(sheet))) > 50
    nowhere = mtlue(capsys, "preview", prepared.file, "--out", tmp_path / "no/such/sheet.png")
    assert (nowhere.code, "cannot be written" in nowhere.err) == (2, True)
    early = mtlue(capsys, "preview", fresh.file)
    assert (early.code, "nothing is published yet" in early.err) == (2, True)


def test_preview_before_anything_is_published_shows_what_the_generator_makes(
    ran: Ended, prepared: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, early = tmp_path / "whole.png", tmp_path / "early.png"
    assert mtlue(capsys, "preview", prepared.file, "--out", whole, "--samples", "3").code == 0
    nowhere = ("--set", f"output={tmp_path / 'nothing'}")
    ended = mtlue(capsys, "preview", prepared.file, "--out", early, "--samples", "3", *nowhere)
    assert ended.code == 0, ended.err
    assert early.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "nothing").exists()


# --- verify -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def published(ran: Ended, prepared: Place, tmp_path: Path) -> Path:
    """A copy of what was published, to be tampered with."""
    return Path(shutil.copytree(prepared.config.output, tmp_path / "public"))


def problems(capsys: pytest.CaptureFixture[str], place: Path, *arguments: str | Path) -> list[str]:
    """What `verify` finds wrong; its exit code agrees."""
    ended = mtlue(capsys, "verify", place, "--json", *arguments)
    found: list[str] = json.loads(ended.out)["problems"]
    assert ended.code == (1 if found else 0)
    return found


def test_verify_finds_nothing_wrong_with_what_was_published(
    published: Path, prepared: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problems(capsys, published) == []
    assert problems(capsys, published, "--config", prepared.file) == []
    ended = mtlue(capsys, "verify", published, "--config", prepared.file)
    assert f"verified    {SHARDS} shards, {SHARDS * PER_SHARD} samples" in ended.out
    assert "result      clean" in ended.out


@pytest.mark.parametrize("place", [700, 9000, -2000])
def test_verify_finds_one_changed_byte(published: Path, capsys: pytest.CaptureFixture[str], place: int) -> None:
    shard = published / "train-00001.tar"
    data = bytearray(shard.read_bytes())
    data[place] ^= 1
    shard.write_bytes(data)
    (problem,) = problems(capsys, published)
    for word in ("shard train-00001.tar", "SHA-256", "manifest", "publish it again"):
        assert word in problem


def test_verify_finds_a_shard_that_is_gone_and_one_that_was_added(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (published / "train-00000.tar").rename(published / "train-00009.tar")
    gone, added = problems(capsys, published)
    assert gone == "shard train-00000.tar: in the manifest, but not there"
    assert added.startswith("train-00009.tar: a shard that the manifest does not list")


def test_verify_with_the_input_finds_raw_images_that_were_published(
    published: Path, prepared: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = prepared.root / "raw/train-00002.tar"
    shutil.copy(raw, published / raw.name)
    manifest = json.loads((published / "manifest.json").read_text())
    entry = next(shard for shard in manifest["shards"] if shard["name"] == raw.name)
    ours = json.loads((prepared.root / "private/ledger").glob(f"{raw.name}.*").__next__().read_text())
    entry |= {"bytes": raw.stat().st_size, "sha256": ours["source_sha256"]}
    (published / "manifest.json").write_text(json.dumps(manifest))
    (problem,) = problems(capsys, published, "--config", prepared.file)
    assert "s00000" in problem
    assert raw.name in problem


def test_verify_of_a_place_without_a_manifest_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = mtlue(capsys, "verify", tmp_path)
    assert ended.code == 1
    assert ended.err == f"mtlue: {tmp_path}/manifest.json: no manifest; is this the `output` of a finished run?\n"
    (tmp_path / "manifest.json").write_text('{"files": []}')
    assert "not a manifest of mtlue" in mtlue(capsys, "verify", tmp_path).err


# --- used wrongly -----------------------------------------------------------------------------------------------------


def test_without_a_configuration_the_user_is_given_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (("run",), ("run", "other.yaml"), ("plan", tmp_path), ("status",), ("preview",)):
        ended = mtlue(capsys, *arguments)
        assert ended.code == 2
        assert "no such file" in ended.err
        assert "output: s3://my-bucket/protected/" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_names_the_nearest_one(fresh: Place, capsys: pytest.CaptureFixture[str]) -> None:
    ended = mtlue(capsys, "run", fresh.file, "--set", "train.epoch=3")
    assert ended.code == 2
    assert ended.err == "mtlue: --set: unknown key 'epoch' in train; did you mean 'epochs'?\n"
    assert not Path(fresh.config.work).exists()


@pytest.mark.parametrize(
    "arguments",
    [("fly",), ("run", "--no-such-option"), ("run", "a.yaml", "b.yaml"), ("verify",), ("preview", "--samples", "0")],
)
def test_wrong_usage_ends_with_2_and_a_hint(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    ended = mtlue(capsys, *arguments)
    assert ended.code == 2
    assert "Usage:" in ended.err or "--help" in ended.err
    assert "Traceback" not in ended.err


def test_a_traceback_is_shown_only_when_it_is_asked_for(
    fresh: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("run", fresh.file, "--set", f"work={fresh.root}/raw")
    plain, debug = mtlue(capsys, *arguments), mtlue(capsys, *arguments, "--debug")
    assert plain.code == debug.code == 2
    assert len(plain.err.splitlines()) == 1
    assert "Traceback" in debug.err
    assert debug.err.endswith(plain.err)


def test_a_run_that_finds_another_at_work_ends_with_4_and_names_it(
    fresh: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    made = fresh.config.model_copy(update={"work": f"{tmp_path}/private", "output": f"{tmp_path}/public"})
    file = write_config(tmp_path / "pipeline.yaml", made)
    with Lease(Store(made.work), heartbeat=0.2) as other:
        ended = mtlue(capsys, "run", file)
        assert ended.code == 4
        for word in (f"{made.work}/lease.json", other.run[:8], "works here", "wait until it ends"):
            assert word in ended.err
        assert sorted(contents(made.work)) == ["lease.json"]
        other.check()
    assert contents(made.output) == {}


@pytest.mark.slow
def test_local_places_are_refused_where_the_workers_share_no_disk(fresh: Place, tmp_path: Path) -> None:
    places = ("--set", f"work={tmp_path}/private", "--set", f"output={tmp_path}/public")
    ended = end(start("run", fresh.file, *places, "--address", "ray://127.0.0.1:1", directory=tmp_path))
    assert ended.code == 2
    assert "lies on a local disk, which the workers of ray://127.0.0.1:1 do not share" in ended.err
    assert "Traceback" not in ended.err
    assert holder_of(Store(f"{tmp_path}/private")) is None


JOIN = """
from pipeline.cluster.executor import Executor
from pipeline.cluster.jobs import Job
from schemas.config import Compute
list(Executor(Compute(address="ray://127.0.0.1:1")).map([Job("a", int)]))
"""


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    short = {f"RAY_CLIENT_{which}_CONNECTION_TIMEOUT_S": "1" for which in ("INITIAL", "MAX")}  # for each attempt of Ray
    environment = {**os.environ, **short, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", JOIN], env=environment, capture_output=True, text=True)
    assert "ConfigError: compute.address 'ray://127.0.0.1:1': Ray cannot join" in ended.stderr
    assert "use `local`, or start the cluster first" in ended.stderr


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "s3://AKIAPLANTED:planted/secret@bucket/x"),
        ("verify", "s3://bucket/x", "--endpoint-url", "http://AKIAPLANTED:planted/secret@127.0.0.1:1"),
        ("verify", "s3://bucket/x", "--debug", "--endpoint-url", "http://AKIAPLANTED:planted@127.0.0.1:1"),
        ("import", "scenes", "--out", "s3://AKIAPLANTED:planted/secret@bucket/x"),
    ],
)
def test_a_password_in_an_argument_ends_with_2_and_is_not_repeated(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    ended = mtlue(capsys, *arguments)
    assert ended.code == 2
    assert "held a user name and a password" in ended.err
    for word in ("planted", "secret", "AKIAPLANTED"):
        assert word not in ended.out + ended.err


@pytest.mark.slow
def test_credentials_are_in_nothing_that_a_run_prints_or_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = "AKIA" + "4TESTONLY" + "7QX", "plantedSecret" + "0123456789abcdef" * 2
    monkeypatch.setattr(servers, "FULL", (key, secret))
    (tmp_path / "server").mkdir()
    server = S3Server(tmp_path / "server")
    try:
        bucket = server.bucket()
        raw = Store(f"{bucket}/raw", server.storage)
        environment = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        raw.put(write_shard(tmp_path / "shard.tar", labelled_samples(PER_SHARD)), "train-00000.tar")
        raw.write("train-00001.tar", b"damaged")
        dataset = {"shards": f"{bucket}/raw/*.tar", "storage": {"endpoint_url": server.endpoint_url}}
        made = config(tmp_path, dataset=dataset, output=f"{bucket}/public", work=f"{bucket}/private")
        file = write_config(tmp_path / "pipeline.yaml", made)
        directory = tmp_path / "here"
        first = end(start("run", file, "--debug", directory=directory, environment=environment))
        assert first.code == 1
        assert "shard train-00001.tar: damaged" in first.out
        denied = end(
            start(
                *("run", file, "--debug", "--json"),
                directory=directory,
                environment={"AWS_ACCESS_KEY_ID": READ_ONLY[0], "AWS_SECRET_ACCESS_KEY": READ_ONLY[1]},
            )
        )
        assert denied.code == 2
        assert "access denied" in denied.err
        stored = {url: Store(url, server.storage) for url in (made.output, made.work)}
        texts = {
            f"{url}/{entry.name}": store.read(entry.name) for url, store in stored.items() for entry in store.list()
        }
        assert f"{made.work}/report.html" in texts
        texts |= {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
        texts |= {"output of the first": (first.out + first.err).encode(), "of the second": str(denied).encode()}
        for place, data in texts.items():
            for value in (key, secret, READ_ONLY[1]):
                assert value.encode() not in data, f"{place} holds a credential"
    finally:
        server.stop()
