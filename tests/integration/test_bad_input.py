"""Bad input, whole runs: what is left out, what is refused, and what the user is told; nothing unprotected gets out."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.run.result import exit_code
from pipeline.state.lease_record import holder_of
from schemas.config import Config
from schemas.errors import ConfigError, MtlueError, StoreError
from schemas.records import LeftOut
from stages.io.store import failures
from stages.io.store.store import Store
from tests.builders import BuiltSample, config, encoded, jpeg, labelled_samples, picture, png, write_shard
from tests.running import contents, mtlue, run, shards_in, write_config
from tests.servers import READ_ONLY, S3Server, free_port

pytestmark = pytest.mark.usefixtures("here")

GOOD = 12
LABELS = ("json", b'{"a": 1, "b": 0}')


def good_shards(root: Path, count: int = 2) -> list[Path]:
    samples = labelled_samples(GOOD * count)
    return [
        write_shard(root / f"raw/train-{shard:05d}.tar", samples[GOOD * shard : GOOD * (shard + 1)])
        for shard in range(count)
    ]


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """A tar of any member names, which our own writer would refuse."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return path


def left_out(made: Config) -> LeftOut:
    return LeftOut.model_validate_json(Store(made.work).read("left-out.json"))


def refused(made: Config, kind: type[MtlueError], code: int, *words: str) -> str:
    """The message of a run that is refused with this exit code; nothing was trained or published."""
    output, work = Store(made.output), Store(made.work)
    with pytest.raises(kind) as error:
        run(made)
    assert error.value.exit_code == code
    for word in words:
        assert word in error.value.message
    assert output.list() == []
    assert work.list("generator") == []
    assert holder_of(work) is None
    return error.value.message


# --- shards -----------------------------------------------------------------------------------------------------------


def test_a_missing_shard_of_a_range_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    good_shards(tmp_path, 2)
    made = config(tmp_path, dataset={"shards": f"{tmp_path}/raw/train-{{00000..00003}}.tar"})
    refused(made, ConfigError, 2, "train-00002.tar", "train-00003.tar", "2 of the shards")
    assert not Path(made.work).exists()
    assert not Path(made.output).exists()


def test_an_empty_prefix_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/notes.txt").write_text("no shard")
    refused(config(tmp_path, dataset={"shards": f"{tmp_path}/raw"}), ConfigError, 2, "/raw", "notes.txt", ".tar")


def test_a_shard_that_is_cut_short_is_left_out_and_the_others_are_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = good_shards(tmp_path, 3)
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 3])
    made = config(tmp_path)
    ended = mtlue(capsys, "run", write_config(tmp_path / "pipeline.yaml", made))
    assert ended.code == 1
    assert "failed      shard train-00001.tar: damaged at byte" in ended.out
    assert "the last whole key is 's000" in ended.out
    assert "Traceback" not in ended.out + ended.err
    assert shards_in(made.output).keys() == {"train-00000.tar", "train-00002.tar"}
    manifest = json.loads(Path(made.output, "manifest.json").read_text())
    assert [shard["name"] for shard in manifest["shards"]] == ["train-00000.tar", "train-00002.tar"]
    (failure,) = left_out(made).failures
    assert (failure.name, failure.stage) == ("train-00001.tar", "ingest")
    before = contents(made.output)

    paths[1].write_bytes(whole)
    fixed = run(made)
    assert exit_code(fixed) == 0
    assert fixed.done_before == 2
    assert left_out(made).failures == []
    after = contents(made.output)
    assert {name: after[name] for name in before if name.endswith(".tar")} == {
        name: digest for name, digest in before.items() if name.endswith(".tar")
    }


def test_samples_that_webdataset_does_not_show_are_none(tmp_path: Path) -> None:
    write_shard(tmp_path / "raw/train-00000.tar", [(f"__hidden__/{key}", data) for key, data in labelled_samples(GOOD)])
    refused(config(tmp_path), MtlueError, 1, "no sample")


def test_when_no_shard_can_be_read_the_first_reason_is_told(tmp_path: Path) -> None:
    for path in good_shards(tmp_path, 2):
        path.write_bytes(b"<html>403 Forbidden</html>" * 100)
    made = config(tmp_path)
    refused(made, MtlueError, 1, "none of the 2 shards", "train-00000.tar", "no tar")
    assert len(left_out(made).failures) == 2


def test_shards_without_a_sample_are_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "raw/train-00000.tar", [])
    refused(config(tmp_path), MtlueError, 1, "no sample")


def test_a_protected_shard_is_refused_as_input(tmp_path: Path) -> None:
    good_shards(tmp_path, 2)
    made = config(tmp_path)
    run(made)
    published = shards_in(made.output)
    for work in (made.work, f"{tmp_path}/other-private"):
        again = made.model_copy(
            update={
                "dataset": made.dataset.model_copy(update={"shards": f"{made.output}/*.tar"}),
                "output": f"{tmp_path}/twice",
                "work": work,
            }
        )
        with pytest.raises(ConfigError, match=r"train-00000.tar.*protected shard that mtlue published.*raw data"):
            run(again)
        assert not list(Path(tmp_path, "twice").glob("*"))
    assert shards_in(made.output) == published


# --- samples ----------------------------------------------------------------------------------------------------------


def bomb() -> bytes:
    """A small PNG whose header claims 50,000 × 50,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def animated() -> bytes:
    frames = [Image.fromarray(picture(seed, 16, 16)) for seed in (1, 2)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def test_each_bad_sample_is_left_out_with_its_reason_and_the_good_ones_are_published(tmp_path: Path) -> None:
    image, flipped = jpeg(picture(0, 16, 16)), bytearray(png(picture(0, 16, 16)))
    flipped[60:70] = bytes(10)
    bad: dict[str, tuple[str, list[tuple[str, bytes]]]] = {
        "absent": ("no-image", [LABELS]),
        "corrupt": ("corrupt-image", [("png", bytes(flipped)), LABELS]),
        "html": ("corrupt-image", [("jpg", b"<html>404</html>"), LABELS]),
        "cut": ("truncated-image", [("jpg", image[: len(image) // 2]), LABELS]),
        "empty": ("empty-image", [("jpg", b""), LABELS]),
        "moving": ("animated-image", [("jpg", animated()), LABELS]),
        "bomb": ("decompression-bomb", [("png", bomb()), LABELS]),
        "high": ("label-out-of-range", [("jpg", image), ("json", b'{"a": 3, "b": 0}')]),
        "negative": ("label-out-of-range", [("jpg", image), ("json", b'{"a": 0, "b": -1}')]),
        "word": ("label-unreadable", [("jpg", image), ("json", b'{"a": "cat", "b": 0}')]),
        "broken": ("label-unreadable", [("jpg", image), ("json", b'{"a": 1,')]),
        "../../up": ("unsafe-name", [("jpg", image), LABELS]),
        "/etc/cron": ("unsafe-name", [("jpg", image), LABELS]),
        "twice": ("duplicate-key", [("jpg", image), LABELS, ("jpg", image)]),
    }
    good = labelled_samples(GOOD)
    samples: list[BuiltSample] = []
    for number, (key, (_, members)) in enumerate(bad.items()):
        samples += [(key, members), *good[number : number + 1]]
    write_tar(
        tmp_path / "raw/train-00000.tar",
        [(f"{key}.{field}", data) for key, members in samples for field, data in members],
    )
    made = config(tmp_path)
    result = run(made)
    assert exit_code(result) == 0
    expected = {key: reason for key, (reason, _) in bad.items()}
    found = left_out(made).quarantined
    assert {sample.key: sample.reason for sample in found} == expected
    assert len(found) == len(expected)
    for sample in found:
        assert sample.shard == "train-00000.tar"
        assert sample.key in sample.message, "the message does not name the sample"
    messages = {sample.key: sample.message for sample in found}
    assert "task 'a': field 'json.a' holds 3, outside 0..2" in messages["high"]
    assert "'cat'" in messages["word"]
    with tarfile.open(Path(made.output, "train-00000.tar")) as archive:
        names = archive.getnames()
    assert names == [f"{key}.{ending}" for key, _ in good for ending in ("png", "json")]
    assert result.manifest.samples == GOOD


def test_every_kind_of_image_is_published_in_its_own_layout_within_the_bound(tmp_path: Path) -> None:
    colours = picture(3, 20, 28, channels=4)
    colours[:6, :, 3] = 255
    rgb, deep = colours[..., :3].copy(), (picture(4, 20, 28)[..., :1].astype(np.uint16) * 257) + 99
    palette = Image.fromarray(rgb).quantize(64)
    cmyk = Image.fromarray(rgb).convert("CMYK")
    kinds: dict[str, tuple[str, bytes, np.ndarray]] = {
        "gray": ("png", png(rgb[..., :1]), rgb[..., 0]),
        "palette": ("png", encoded(palette, "PNG"), np.asarray(palette.convert("RGB"))),
        "alpha": ("png", png(colours), colours),
        "deep": ("png", png(deep), deep[..., 0]),
        "point": ("png", png(rgb[:1, :1]), rgb[:1, :1]),
        "row": ("webp", encoded(Image.fromarray(rgb[:1]), "WEBP", lossless=True), rgb[:1]),
        "black": ("png", png(np.zeros_like(rgb)), np.zeros_like(rgb)),
        "white": ("png", png(np.full_like(rgb, 255)), np.full_like(rgb, 255)),
    }
    for key, image in (("cmyk", cmyk), ("turned", Image.fromarray(rgb))):
        exif = Image.Exif()
        exif[274] = 6 if key == "turned" else 1
        data = encoded(image, "JPEG", quality=95, exif=exif)
        with Image.open(io.BytesIO(data)) as opened:
            kinds[key] = ("jpg", data, np.asarray(opened.convert("RGB")))
    samples = [(key, [(field, data), LABELS]) for key, (field, data, _) in kinds.items()]
    write_shard(tmp_path / "raw/train-00000.tar", [*samples, *labelled_samples(GOOD)])
    made = config(tmp_path)
    run(made)
    assert left_out(made).quarantined == []
    with tarfile.open(Path(made.output, "train-00000.tar")) as archive:
        published = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    for key, (_, _, before) in kinds.items():
        data = published[f"{key}.png"]
        with Image.open(io.BytesIO(data)) as opened:
            assert not opened.info.get("exif"), f"{key}: metadata was published"
            after = np.asarray(opened)
        assert after.shape == before.shape, key
        assert after.dtype == before.dtype or key == "deep"
        bound = 8 * 257 if key == "deep" else 8
        change = np.abs(after.astype(int) - before.astype(int))
        assert 1 <= change.max() <= bound, f"{key}: |Δ| {change.max()}"
        if key == "alpha":
            assert not change[..., 3].any(), "the alpha channel changed"


def test_too_many_bad_samples_end_the_run_with_3_before_anything_is_trained_or_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = labelled_samples(GOOD)
    samples[3:4] = [("bad", [("jpg", b"no picture"), LABELS])]
    write_shard(tmp_path / "raw/train-00000.tar", samples)
    made = config(tmp_path, protect={"max_quarantined": 0.05})
    ended = mtlue(capsys, "run", write_config(tmp_path / "pipeline.yaml", made))
    assert ended.code == 3
    for word in ("1 of 12 samples", "max_quarantined (0.05)", "train-00000.tar", "'bad'", "left-out.json"):
        assert word in ended.err
    assert list(Path(made.output).iterdir()) == []
    assert not Path(made.work, "generator.json").exists()
    assert [sample.key for sample in left_out(made).quarantined] == ["bad"]
    again = mtlue(capsys, "run", tmp_path / "pipeline.yaml", "--set", "protect.max_quarantined=0.1")
    assert again.code == 0, again.err
    assert "left out    1 samples" in again.out


def test_a_bad_sample_ends_its_shard_alone_when_the_configuration_says_so(tmp_path: Path) -> None:
    paths = good_shards(tmp_path, 2)
    write_shard(paths[0], [*labelled_samples(GOOD), ("bad", [("jpg", b""), LABELS])])
    made = config(tmp_path, protect={"on_error": "fail"})
    result = run(made)
    assert exit_code(result) == 1
    (failure,) = result.failures
    assert failure.name == "train-00000.tar"
    for word in ("train-00000.tar", "'bad'", "0 bytes", "on_error"):
        assert word in failure.message
    assert shards_in(made.output).keys() == {"train-00001.tar"}


# --- labels and members -----------------------------------------------------------------------------------------------


def test_an_unknown_field_names_the_nearest_one_before_anything_is_trained(tmp_path: Path) -> None:
    good_shards(tmp_path, 1)
    made = config(tmp_path, tasks=[{"field": "json.bb", "classes": 2, "name": "b"}, {"field": "json.a", "classes": 3}])
    refused(made, ConfigError, 2, "task 'b'", "'json.bb'", "did you mean 'json.b'?", "json.a, json.b")


def test_a_field_that_resembles_none_lists_those_that_are_there(tmp_path: Path) -> None:
    good_shards(tmp_path, 1)
    made = config(tmp_path, tasks=[{"field": "cls", "classes": 2}])
    message = refused(made, ConfigError, 2, "no sample has a field 'cls'. The fields found are: json.a, json.b")
    assert "did you mean" not in message


def test_labels_that_are_missing_in_part_are_counted_and_those_images_are_protected_too(tmp_path: Path) -> None:
    samples = labelled_samples(GOOD)
    for number in range(5):
        key, members = samples[number]
        samples[number] = (key, [members[0], ("json", b'{"a": 1, "b": null}' if number else b'{"a": 1}')])
    samples[6] = (samples[6][0], samples[6][1][:1])  # no label at all
    write_shard(tmp_path / "raw/train-00000.tar", samples)
    made = config(tmp_path)
    result = run(made)
    assert exit_code(result) == 0
    assert result.quarantined == []
    (record,) = result.records
    assert record.samples == GOOD
    assert record.labelled == {"a": GOOD - 1, "b": GOOD - 6}


def test_a_task_without_any_label_is_refused(tmp_path: Path) -> None:
    samples = [(key, [members[0], ("json", b'{"a": 1, "b": null}')]) for key, members in labelled_samples(GOOD)]
    write_shard(tmp_path / "raw/train-00000.tar", samples)
    refused(config(tmp_path), ConfigError, 2, "task 'b'", f"all {GOOD} labels", "'json.b'", "remove the task")


@pytest.mark.parametrize(
    ("field", "data", "found"),
    [
        ("orig.png", png(picture(1, 16, 16)), "is an image that nobody declared"),
        ("npy", bytes(range(256)), "undeclared binary"),
        ("txt", jpeg(picture(1, 16, 16)), "is an image that nobody declared"),
    ],
)
def test_an_undeclared_member_that_may_be_the_original_is_refused_before_any_training(
    tmp_path: Path, field: str, data: bytes, found: str
) -> None:
    samples = labelled_samples(GOOD)
    samples[7][1].append((field, data))
    write_shard(tmp_path / "raw/train-00000.tar", samples)
    refused(config(tmp_path), ConfigError, 2, "train-00000.tar", "'s00007'", repr(field), found, "`keep` or `drop`")
    declared = config(tmp_path, dataset={"members": {field: "drop"}})
    assert exit_code(run(declared)) == 0
    with tarfile.open(Path(declared.output, "train-00000.tar")) as archive:
        assert not [name for name in archive.getnames() if name.endswith(f".{field}")]


def test_two_images_in_one_sample_are_refused(tmp_path: Path) -> None:
    samples = labelled_samples(GOOD)
    samples[2][1].append(("png", png(picture(1, 16, 16))))
    write_shard(tmp_path / "raw/train-00000.tar", samples)
    refused(config(tmp_path), ConfigError, 2, "train-00000.tar", "'s00002'", "jpg, png", "dataset.image")


# --- places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "work"),
    [
        ("raw", "private"),
        ("raw/protected", "private"),
        (".", "../private"),
        ("raw/../raw/", "private"),
        ("link/x", "private"),
        ("public", "raw"),
        ("public", "raw/work"),
        ("public", "public"),
        ("public", "public/work"),
        ("private/public", "private"),
    ],
)
def test_places_that_overlap_are_refused_before_anything_is_written(tmp_path: Path, output: str, work: str) -> None:
    root = tmp_path / "here"
    good_shards(root, 1)
    (root / "link").symlink_to(root / "raw")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="overlap") as error:
        run(config(root, output=f"{root}/{output}", work=f"{root}/{work}"))
    assert "choose another prefix" in error.value.message
    assert sorted(tmp_path.rglob("*")) == before


def test_places_that_overlap_on_a_store_are_refused(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    (path,) = good_shards(tmp_path, 1)
    Store(f"{bucket}/raw", s3.storage).put(path, "train-00000.tar")
    dataset = {"shards": f"{bucket}/raw/", "storage": {"endpoint_url": s3.endpoint_url}}
    for output, work in ((f"{bucket}/raw/x", f"{bucket}/w"), (f"{bucket}/x", f"{bucket}/raw"), (bucket, "/tmp/w")):
        with pytest.raises(ConfigError, match=r"overlap.*choose another prefix"):
            run(config(tmp_path, dataset=dataset, output=output, work=work))
    assert [entry.name for entry in Store(bucket, s3.storage).list()] == ["raw/train-00000.tar"]


def on_s3(server: S3Server, root: Path, bucket: str, **overrides: Any) -> Config:
    dataset = {"shards": f"{bucket}/raw/*.tar", "storage": {"endpoint_url": server.endpoint_url}}
    return config(root, **({"dataset": dataset, "output": f"{bucket}/public", "work": f"{bucket}/private"} | overrides))


@pytest.fixture
def bucket(s3: S3Server, tmp_path: Path) -> str:
    """A bucket with one raw shard."""
    url = s3.bucket()
    (path,) = good_shards(tmp_path, 1)
    Store(f"{url}/raw", s3.storage).put(path, "train-00000.tar")
    return url


def stopped_by_store(made: Config, *words: str) -> str:
    with pytest.raises(StoreError) as error:
        run(made)
    assert error.value.exit_code == 2
    for word in words:
        assert word in error.value.message
    return error.value.message


@pytest.mark.parametrize("place", ["output", "work"])
def test_a_place_that_may_not_be_written_ends_the_run_at_its_start(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READ_ONLY[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READ_ONLY[1])
    other = {"output": "work", "work": "output"}[place]
    made = on_s3(s3, tmp_path, bucket, **{other: f"{tmp_path}/{other}"})
    message = stopped_by_store(made, f"{place}: {bucket}/", "access denied", "AWS_ACCESS_KEY_ID", "write")
    assert READ_ONLY[1] not in message
    assert [entry.name for entry in Store(bucket, s3.storage).list()] == ["raw/train-00000.tar"]


@pytest.mark.parametrize("place", ["output", "work"])
def test_a_place_on_a_disk_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    good_shards(tmp_path, 1)
    (tmp_path / "taken").write_text("a file")
    stopped_by_store(config(tmp_path, **{place: f"{tmp_path}/taken"}), f"{place}: ", "/taken", "directory")
    stopped_by_store(config(tmp_path, **{place: "/proc/mtlue"}), f"{place}: ", "/proc/mtlue")


def test_wrong_credentials_are_told_without_their_values(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = "AKIA" + "WRONG" * 3, "w" * 40
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    message = stopped_by_store(on_s3(s3, tmp_path, bucket), "credentials are wrong", "AWS_SECRET_ACCESS_KEY")
    assert key not in message
    assert secret not in message
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    stopped_by_store(on_s3(s3, tmp_path, bucket), "no credentials were found", "environment of every worker")


@pytest.mark.parametrize("place", ["dataset", "output", "work"])
def test_a_bucket_that_does_not_exist_is_named_and_not_made(
    s3: S3Server, bucket: str, tmp_path: Path, place: str
) -> None:
    storage = {"endpoint_url": s3.endpoint_url}
    missing: dict[str, Any] = {
        "dataset": {"dataset": {"shards": "s3://no-such-bucket/raw/*.tar", "storage": storage}},
        "output": {"output": "s3://no-such-bucket/public"},
        "work": {"work": "s3://no-such-bucket/private"},
    }
    made = on_s3(s3, tmp_path, bucket, **missing[place])
    stopped_by_store(made, "s3://no-such-bucket", "the bucket does not exist", s3.endpoint_url)
    assert not s3.client.exists("no-such-bucket")


def test_a_server_that_does_not_answer_is_named(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "FIRST_PATIENCE_SECONDS", 0.1)
    nowhere = f"http://127.0.0.1:{free_port()}"
    dataset = {"shards": f"{bucket}/raw/*.tar", "storage": {"endpoint_url": nowhere}}
    with pytest.raises(MtlueError) as error:
        run(on_s3(s3, tmp_path, bucket, dataset=dataset))
    for word in (bucket, nowhere, "no connection", "endpoint_url", " times in "):
        assert word in error.value.message
