"""What a `work` did not write in `output`: found before any work, never replaced; what it wrote itself is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.commands.status import status_lines, status_of
from pipeline.run.estimate import make_plan
from pipeline.run.publish import prune, withdrawn_shards
from pipeline.run.train import refuse_lost_work
from pipeline.state.ledger import Ledger
from pipeline.state.owner import IDENTITY, OWNER, Owner
from pipeline.state.places import Places
from pipeline.state.written import (
    WRITTEN,
    adopt,
    begin_shards,
    card_name,
    changed_files,
    drop_second_card,
    end_shards,
    read_written,
    refuse_strangers,
    strangers,
)
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.records import Manifest, ManifestShard, ShardRecord
from schemas.stats import Moments
from stages.publish.public_files import CARD, README, UPDATING, begin_update
from tests.builders import config, jpeg, labelled_samples, picture, write_shard

JPEG = jpeg(picture(0, 8, 8))


@pytest.fixture
def made(tmp_path: Path) -> Config:
    write_shard(tmp_path / "raw/train-0.tar", labelled_samples(4))
    return config(tmp_path)


@pytest.fixture
def places(made: Config) -> Places:
    return Places(made)


def check(places: Places, *, take_over: bool = False) -> None:
    refuse_strangers(places, Ledger(places.work), places.output.list(), take_over=take_over)


def mark(places: Places, work: str = "this one") -> None:
    """As if `work` had claimed the output; by default the one of these places."""
    places.work.write(IDENTITY, Owner(work="this one").model_dump_json().encode())
    places.output.write(OWNER, Owner(work=work).model_dump_json().encode())


def publish_shard(places: Places, name: str = "train-0.tar", data: bytes = b"protected") -> ManifestShard:
    """A shard as a run leaves it."""
    places.output.write(name, data)
    record = ShardRecord(
        identity="0" * 16, name=name, source_sha256="", sha256="", bytes=len(data), samples=4, max_delta=8,
        psnr=Moments(), delta=Moments(),
    )  # fmt: skip
    Ledger(places.work).add(record)
    return ManifestShard(name=name, bytes=len(data), sha256="0" * 64, samples=4)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("train-0.tar", b"raw"),
        ("old/x.tar", b"raw"),
        ("images/0.jpg", JPEG),
        ("photo", JPEG),
        ("x.parquet", b""),
        ("originals.zip", b"PK\3\4\0\0"),
        ("labels.csv", b"a,b\n" * 300_000),
        ("drawing.svg", b"<svg/>"),
        ("gray.txt", b"P2 2 2 255\n0 1 2 3\n"),
        (".hidden/7.bin", b"\0\1\2"),
    ],
)
def test_what_may_be_data_and_was_there_before_is_refused_by_name(places: Places, name: str, data: bytes) -> None:
    places.output.write(name, data)
    with pytest.raises(ConfigError, match=rf"output .* 1 file \({name}\) .*did not write.*Move them away.*`output`"):
        check(places)


def test_texts_and_what_other_tools_keep_for_themselves_may_stay(places: Places) -> None:
    for name in (".gitattributes", "LICENSE", "docs/how.md", "_SUCCESS", ".gitkeep"):
        places.output.write(name, b"*.tar filter=lfs\n" if name.startswith(".gita") else b"")
    for name in (".git/objects/pack/pack-1.pack", ".cache/huggingface/x.bin", ".DS_Store", "a/.DS_Store"):
        places.output.write(name, b"\0\1")
    places.output.write(".mtlue-write-check", b"\0")
    check(places)
    assert strangers(places, Ledger(places.work), places.output.list()).data == []


def test_five_of_many_strangers_are_named(places: Places) -> None:
    for number in range(9):
        places.output.write(f"{number}.jpg", JPEG)
    with pytest.raises(ConfigError, match=r"9 files \(0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, …\)"):
        check(places)


def test_shards_of_this_work_are_known_by_the_ledger_or_because_they_were_begun(places: Places) -> None:
    mark(places)
    publish_shard(places)
    check(places)
    begin_shards(places.work, ["train-1.tar", "train-2.tar"])
    places.output.write("train-1.tar", b"put, and the run was killed before it was recorded")
    check(places)
    end_shards(places.work, ["train-1.tar"])
    assert read_written(places.work).shards == ["train-2.tar"]
    with pytest.raises(ConfigError, match=r"train-1.tar"):
        check(places)


def test_a_ledger_says_nothing_of_another_output(made: Config, places: Places) -> None:
    mark(places)
    publish_shard(places)
    begin_shards(places.work, ["train-1.tar"])
    other = Places(made.model_copy(update={"output": f"{made.output}-2"}))
    other.output.write("train-0.tar", b"a raw shard of that name")
    other.output.write("train-1.tar", b"another")
    with pytest.raises(ConfigError, match=r"2 files \(train-0.tar, train-1.tar\)"):
        check(other)


def test_an_output_that_was_copied_without_its_mark_is_known_by_the_sizes_in_the_ledger(places: Places) -> None:
    publish_shard(places)
    check(places)
    places.output.write("train-0.tar", b"other bytes, of another length")
    with pytest.raises(ConfigError, match=r"train-0.tar"):
        check(places)


@pytest.mark.parametrize("name", ["manifest.json", "croissant.json", "wids.json", CARD, UPDATING])
def test_a_file_of_another_tool_is_never_replaced(places: Places, name: str) -> None:
    places.output.write(name, b'{"of": "another tool"}')
    with pytest.raises(
        ConfigError, match=rf"1 file \({name}\) that this `work` did not write, and a run would replace"
    ):
        check(places)
    with pytest.raises(ConfigError, match=rf"\({name}\).*move it away"):
        changed_files(places, {name: b"ours"})
    assert places.output.read(name) == b'{"of": "another tool"}'


def test_what_was_written_may_be_written_again_even_by_a_run_that_follows_a_killed_one(places: Places) -> None:
    for data in (b"first", b"second"):  # recorded, then killed before the write
        assert changed_files(places, {"wids.json": data}) == {"wids.json": data}
        check(places)
    places.output.write("wids.json", b"second")
    assert changed_files(places, {"wids.json": b"third"}) == {"wids.json": b"third"}
    check(places)
    places.output.write("wids.json", b"third")
    before = places.work.stat(WRITTEN)
    assert changed_files(places, {"wids.json": b"third"}) == {}
    assert places.work.stat(WRITTEN) == before, "a run with nothing to do writes"
    assert changed_files(places, {"wids.json": b"fourth"}) == {"wids.json": b"fourth"}
    begin_update(places.output, 2)
    check(places)


def test_the_owners_readme_stays_and_the_card_has_another_name(places: Places) -> None:
    assert card_name(places, b"card") == README
    places.output.write(README, b"# My dataset")
    assert strangers(places, Ledger(places.work), places.output.list()).readme
    check(places)
    assert card_name(places, b"card") == CARD
    places.output.write(CARD, changed_files(places, {CARD: b"card"})[CARD])
    check(places)
    places.output.delete(README)
    assert card_name(places, b"card") == README
    places.output.write(README, changed_files(places, {README: b"card"})[README])
    drop_second_card(places)
    assert places.output.stat(CARD) is None
    assert card_name(places, b"another card") == README
    places.output.write(README, b"card, with a line of the owner's")
    assert card_name(places, b"another card") == CARD


def test_an_output_that_is_taken_over_counts_as_written_and_nothing_else_there(places: Places) -> None:
    mark(places, "another")
    shard = ManifestShard(name="theirs.tar", bytes=5, sha256="0" * 64, samples=1)
    manifest = Manifest(name="x", samples=1, bytes=5, shards=[shard])
    places.output.write("manifest.json", manifest.model_dump_json().encode())
    places.output.write("theirs.tar", b"12345")
    places.output.write("wids.json", b"{}")
    with pytest.raises(ConfigError, match=r"theirs.tar.*--take-over makes them this run's"):
        check(places)
    check(places, take_over=True)
    adopt(places, Ledger(places.work), take_over=True)
    mark(places)
    check(places)
    assert withdrawn_shards(places, Ledger(places.work), [], places.output.list()) == ["theirs.tar"]
    places.output.write("raw.tar", b"12345")
    with pytest.raises(ConfigError, match=r"1 file \(raw.tar\)"):
        check(places, take_over=True)
    prune(places, Ledger(places.work), ["theirs.tar"])
    assert read_written(places.work).shards == []
    assert places.output.stat("theirs.tar") is None


def test_what_an_earlier_version_published_is_known_by_its_mark(places: Places) -> None:
    mark(places)
    publish_shard(places)
    places.output.write("wids.json", b"{}")
    check(places)
    adopt(places, Ledger(places.work), take_over=False)
    assert read_written(places.work).shards == []
    assert places.work.stat(WRITTEN) is not None
    places.output.write("wids.json", b"[]")
    with pytest.raises(ConfigError, match=r"wids.json"):
        check(places)


def test_plan_refuses_and_status_says_what_a_run_would_refuse(made: Config, places: Places) -> None:
    places.output.write("train-0.tar", b"raw")
    refuse_lost_work(places)  # a fresh `work` has lost nothing
    with pytest.raises(ConfigError, match=r"1 file \(train-0.tar\)") as error:
        make_plan(made)
    assert error.value.exit_code == 2
    (line,) = [line for line in status_lines(status_of(made)) if line.startswith("stranger")]
    assert error.value.message in line
