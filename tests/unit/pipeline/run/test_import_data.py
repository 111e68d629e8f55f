"""An import as a whole: the same bytes whatever the workers; what is there stays; nothing else is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cluster.progress import Reporter
from pipeline.run.import_data import import_dataset
from schemas.config import Compute
from schemas.errors import ConfigError, InputError, StoreError
from stages.adapters import importing
from stages.adapters.faces.celeba import CelebA
from stages.adapters.importing import ShardLimit
from stages.adapters.pictures import Stored
from stages.io.store.store import Store
from tests.builders import jpeg, picture
from tests.datasets import celeba_tree, edit, imported, labels_in
from tests.running import contents, shards_in
from tests.servers import S3Server

SMALL = Stored(size=16, crop=16)


def small(source: Path) -> CelebA:
    return CelebA(source=source, pictures=SMALL)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return celeba_tree(tmp_path_factory.mktemp("raw"), 30, height=24, width=20)


@pytest.fixture
def own_source(tmp_path: Path) -> Path:
    return celeba_tree(tmp_path / "raw", 30, height=24, width=20)


def times(place: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}


def test_the_shards_and_the_summary_are_the_same_whatever_the_number_of_workers(
    tmp_path: Path, source: Path, ray_session: None
) -> None:
    damaged = celeba_tree(tmp_path / "raw", 30, height=24, width=20)
    for number in (3, 12, 22):
        (damaged / "img_align_celeba" / f"{number:06d}.jpg").write_bytes(b"\xff\xd8\xff")
    for workers in (1, 2, 3):
        imported(small(damaged), tmp_path / str(workers), workers=workers)
    found = [
        {name: data for name, data in contents(str(tmp_path / place)).items() if "/" not in name} for place in "123"
    ]
    assert found[0] == found[1] == found[2]
    assert "import.json" in found[0]


def test_shards_are_full_by_samples_and_split_by_split(tmp_path: Path, source: Path) -> None:
    summary = imported(small(source), tmp_path, samples=10)
    shards = {shard.name: shard.samples for count in summary.splits.values() for shard in count.shards}
    assert shards == {
        "test-00000.tar": 3,
        "train-00000.tar": 10,
        "train-00001.tar": 10,
        "train-00002.tar": 4,
        "val-00000.tar": 3,
    }
    assert list(labels_in(tmp_path, "train-00001.tar")) == [f"{n:06d}" for n in [*range(13, 19), *range(21, 25)]]
    assert json.loads((tmp_path / "import.json").read_text())["parameters"]["shard_samples"] == 10


def test_shards_are_full_by_bytes_of_their_sources(tmp_path: Path, source: Path) -> None:
    sizes = [path.stat().st_size for path in (source / "img_align_celeba").iterdir()]
    summary = imported(small(source), tmp_path, size=3 * max(sizes))
    counts = [shard.samples for shard in summary.splits["train"].shards]
    assert sum(counts) == 24
    assert all(3 <= count <= 5 for count in counts[:-1])


def test_a_second_import_reads_no_picture_and_rewrites_nothing(
    tmp_path: Path, own_source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = imported(small(own_source), tmp_path / "out")
    before = times(tmp_path / "out")

    def refuse(*arguments: object) -> None:
        pytest.fail("a picture was read")

    monkeypatch.setattr(CelebA, "members", refuse)
    assert imported(small(own_source), tmp_path / "out") == first
    assert times(tmp_path / "out") == before


@pytest.mark.parametrize("damage", ["delete", "shorten", "flip", "forget"])
def test_a_shard_that_is_not_there_or_not_right_is_made_again_and_it_alone(
    tmp_path: Path, source: Path, damage: str
) -> None:
    imported(small(source), tmp_path)
    whole, before = contents(str(tmp_path)), times(tmp_path)
    victim = tmp_path / "train-00001.tar"
    victim.chmod(0o644)
    data = victim.read_bytes()
    if damage == "delete":
        victim.unlink()
    elif damage == "shorten":
        victim.write_bytes(data[:-512])
    elif damage == "flip":
        victim.write_bytes(data[:600] + bytes([data[600] ^ 1]) + data[601:])
    else:
        (tmp_path / "import" / "train-00001.json").unlink()
    imported(small(source), tmp_path)
    shards = {name: digest for name, digest in contents(str(tmp_path)).items() if "/" not in name}
    assert shards == {name: digest for name, digest in whole.items() if "/" not in name}
    changed = {name for name, time in times(tmp_path).items() if before.get(name) != time}
    assert {name for name in changed if name.endswith(".tar")} == {"train-00001.tar"}


def test_shards_that_were_copied_elsewhere_are_compared_and_kept(tmp_path: Path, source: Path) -> None:
    imported(small(source), tmp_path / "a")
    for name in contents(str(tmp_path / "a")):
        path = tmp_path / "b" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((tmp_path / "a" / name).read_bytes())
    before = times(tmp_path / "b")
    imported(small(source), tmp_path / "b")
    assert times(tmp_path / "b").items() >= {n: t for n, t in before.items() if n != "import.json"}.items()


def test_a_picture_that_was_mended_is_imported_and_only_its_shard_changes(tmp_path: Path, own_source: Path) -> None:
    face = own_source / "img_align_celeba" / "000002.jpg"
    face.write_bytes(b"\xff\xd8\xff")
    assert imported(small(own_source), tmp_path / "out").skipped.total == 1
    before = times(tmp_path / "out")
    face.write_bytes(jpeg(picture(2, 24, 20)))
    assert imported(small(own_source), tmp_path / "out").skipped.total == 0
    after = times(tmp_path / "out")
    assert {name for name in after if after[name] != before[name] and name.endswith(".tar")} == {"train-00000.tar"}
    assert "000002" in labels_in(tmp_path / "out")


def test_shards_for_which_the_source_has_no_rows_any_more_are_taken_away(tmp_path: Path, own_source: Path) -> None:
    imported(small(own_source), tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("kept")
    for number in range(11, 31):
        (own_source / "img_align_celeba" / f"{number:06d}.jpg").unlink()
    summary = imported(small(own_source), tmp_path / "out")
    assert summary.skipped.reasons["missing-file"].count == 20
    names = ("train-00000", "train-00001", "val-00000", "test-00000")
    left = {"import.json", "notes.txt", *(f"{name}.tar" for name in names), *(f"import/{name}.json" for name in names)}
    assert set(contents(str(tmp_path / "out"))) == left
    assert len(labels_in(tmp_path / "out")) == 10


def test_a_shard_whose_every_picture_is_damaged_is_left_out(tmp_path: Path, own_source: Path) -> None:
    for number in range(1, 5):
        (own_source / "img_align_celeba" / f"{number:06d}.jpg").write_bytes(b"\xff\xd8\xff")
    for _ in range(2):
        summary = imported(small(own_source), tmp_path / "out")
        assert summary.skipped.reasons["corrupt-image"].count == 4
        assert summary.splits["train"].shards[0].name == "train-00001.tar"
        assert not (tmp_path / "out" / "train-00000.tar").exists()


def test_another_import_into_the_same_place_is_refused_and_changes_nothing(tmp_path: Path, own_source: Path) -> None:
    imported(small(own_source), tmp_path / "out")
    before = times(tmp_path / "out")
    with pytest.raises(
        ConfigError, match=r"import\.json records an import with other parameters \(crop: 16 there, 20 asked, size"
    ):
        imported(CelebA(source=own_source, pictures=Stored(size=20, crop=20)), tmp_path / "out")
    edit(own_source / "list_eval_partition.txt", "000002.jpg 0", "000002.jpg 1")
    with pytest.raises(ConfigError, match=r"partition: [0-9a-f]+ there"):
        imported(small(own_source), tmp_path / "out")
    assert times(tmp_path / "out") == before


def test_somebodys_shards_and_files_are_never_overwritten(tmp_path: Path, source: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "train-00000.tar").write_bytes(b"somebody's data")
    with pytest.raises(ConfigError, match=r"train-00000\.tar exists.*empty place"):
        imported(small(source), tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "import.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"import\.json is not the summary of an import"):
        imported(small(source), tmp_path / "b")
    assert (tmp_path / "b" / "import.json").read_text() == "[]"


def test_a_bucket_gets_the_bytes_that_a_disk_gets_from_several_workers(
    tmp_path: Path, source: Path, s3: S3Server, ray_session: None
) -> None:
    imported(small(source), tmp_path)
    bucket = Store(f"{s3.bucket()}/celeba", s3.storage)
    imported(small(source), bucket, workers=2)
    assert shards_in(bucket.url, s3.storage) == shards_in(str(tmp_path))
    before = bucket.list()
    imported(small(source), bucket, workers=2)
    assert bucket.list() == before


def test_a_relative_source_is_that_of_the_caller_also_in_workers(
    tmp_path: Path, source: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    assert imported(small(Path(source.name)), tmp_path, workers=2).samples == 30


def test_an_import_that_came_to_nothing_stands_in_the_way_of_no_other(tmp_path: Path, own_source: Path) -> None:
    with pytest.raises(InputError, match="none of the 30 rows"):
        imported(CelebA(source=own_source, pictures=Stored(size=16, crop=100)), tmp_path / "out")
    assert imported(small(own_source), tmp_path / "out").samples == 30
    assert set(contents(str(tmp_path / "out"))) == set(contents_of_a_fresh_import(own_source, tmp_path / "fresh"))


def contents_of_a_fresh_import(source: Path, place: Path) -> dict[str, str]:
    imported(small(source), place)
    return contents(str(place))


def test_few_rows_are_made_without_ray_unless_workers_are_asked_for(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("Ray is started")

    monkeypatch.setattr("pipeline.cluster.executor.Executor", refuse)
    limit = ShardLimit(samples=30)
    arguments = small(source), Store(str(tmp_path / "a")), Reporter("plain")
    assert import_dataset(*arguments, limit=limit).samples == 30
    for other, compute in ((limit, Compute(cpus=2)), (ShardLimit(samples=29), Compute())):
        with pytest.raises(RuntimeError, match="Ray is started"):
            import_dataset(small(source), Store(str(tmp_path / "b")), Reporter("plain"), limit=other, compute=compute)


def test_a_missing_bucket_is_told(source: Path, s3: S3Server) -> None:
    with pytest.raises(StoreError, match="no-such-bucket"):
        imported(small(source), Store("s3://no-such-bucket/x", s3.storage))


def test_the_name_of_a_record_is_never_that_of_a_shard() -> None:
    assert importing.record_name("test-00012.tar") == "import/test-00012.json"
