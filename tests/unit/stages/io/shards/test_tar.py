"""Tar shards: what is written is read back, damage is named by shard, offset and key, nothing is lost silently."""

import gzip
import hashlib
import io
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import webdataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import InputError
from schemas.records import Quarantined
from stages.io.shards import tar
from stages.io.shards.sample import Member, Sample, same_key
from stages.io.shards.tar import TarWriter, read_tar

MEMBERS = [("a.jpg", b"picture"), ("a.cls", b"3"), ("sub.dir/b.seg.png", b""), ("sub.dir/b.json", b"{}" * 700)]


def written(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with TarWriter(path) as writer:
        for name, data in members:
            writer.add(name, data)
    return path


def foreign(path: Path, entries: list[tarfile.TarInfo | tuple[str, bytes]], kind: int = tarfile.PAX_FORMAT) -> Path:
    """A tar as other programs write it."""
    with tarfile.open(path, "w", format=kind) as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                header = tarfile.TarInfo(entry[0])
                header.size = len(entry[1])
                archive.addfile(header, io.BytesIO(entry[1]))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type = kind
    header.linkname = target
    return header


def read(path: Path) -> list[Sample | Quarantined]:
    return list(read_tar(path, "train/000.tar"))


def reasons(found: list[Sample | Quarantined]) -> list[tuple[str, str]]:
    return [(item.key, item.reason if isinstance(item, Quarantined) else "") for item in found]


def test_keys_end_at_the_first_dot_of_the_basename_and_order_is_kept(tmp_path: Path) -> None:
    assert read(written(tmp_path / "x.tar", MEMBERS)) == [
        Sample("a", (Member("jpg", b"picture"), Member("cls", b"3"))),
        Sample("sub.dir/b", (Member("seg.png", b""), Member("json", b"{}" * 700))),
    ]


segments = st.text(st.characters(codec="utf-8", exclude_characters="./\\\0"), min_size=1, max_size=60)
names = st.builds(lambda head, stem: "/".join([*head, stem]), st.lists(segments, max_size=3), segments).filter(
    lambda key: key[1:2] != ":" and not any(step.startswith("__") for step in key.split("/"))
)
fields = st.builds(".".join, st.lists(segments, min_size=1, max_size=2))
shards = st.dictionaries(
    names, st.dictionaries(fields, st.binary(max_size=1500), min_size=1, max_size=3), max_size=4
).filter(lambda samples: len({same_key(key).casefold() for key in samples}) == len(samples))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=shards)
def test_any_names_and_data_come_back_and_give_the_same_bytes(
    tmp_path: Path, samples: dict[str, dict[str, bytes]]
) -> None:
    members = [(f"{key}.{field}", data) for key, group in samples.items() for field, data in group.items()]
    first = written(tmp_path / "first.tar", members)
    expected = [Sample(key, tuple(Member(*pair) for pair in group.items())) for key, group in samples.items()]
    assert read(first) == expected
    assert first.read_bytes() == written(tmp_path / "second.tar", members).read_bytes()


def test_written_bytes_never_change(tmp_path: Path) -> None:
    data = written(tmp_path / "x.tar", [*MEMBERS, ("d" * 120 + ".cls", b"1")]).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert digest == "e95dd98cef362e2df696f9e9898922f0668dd45a96959aff8bc2f3665a1ee4d2"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for header in archive:
            assert (header.mtime, header.uid, header.gid, header.mode) == (0, 0, 0, 0o444)
            assert (header.uname, header.gname) == ("", "")
            assert bool(header.pax_headers) == (len(header.name) > 100)


@pytest.mark.parametrize(
    "name", ["", "/a.jpg", "../a.jpg", "a/../b.jpg", "a\0.jpg", "C:\\a.jpg", "C:/a.jpg", "\udcff.jpg"]
)
def test_the_writer_refuses_unsafe_names(tmp_path: Path, name: str) -> None:
    with TarWriter(tmp_path / "x.tar") as writer, pytest.raises(ValueError, match="member name"):
        writer.add(name, b"")


def test_a_writer_that_failed_leaves_nothing_that_reads_as_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with pytest.raises(ValueError, match="member name"):
        written(path, [("a.jpg", b"picture"), ("../b.jpg", b"picture")])
    with pytest.raises(InputError, match="without an end-of-archive"):
        read(path)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves the file open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_the_same_keys_and_fields(tmp_path: Path) -> None:
    long = ("long/" * 30 + "c.jpg", b"deep")
    path = written(tmp_path / "x.tar", [*MEMBERS, long])
    found = [
        {name: data for name, data in sample.items() if not name.startswith("__") or name == "__key__"}
        for sample in webdataset.WebDataset(str(path), shardshuffle=False)
    ]
    expected = [
        {"__key__": sample.key, **{member.field: member.data for member in sample.members}}
        for sample in read(path)
        if isinstance(sample, Sample)
    ]
    assert found == expected
    assert len(found) == 3


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_other_programs_are_read(tmp_path: Path, kind: int) -> None:
    deep = "d" * 80 + "/" + "e" * 80 + ".jpg"
    path = foreign(tmp_path / "x.tar", [("./a.jpg", b"1"), ("./a.cls", b"2"), (deep, b"3" * 600)], kind)
    assert reasons(read(path)) == [("./a", ""), (deep.removesuffix(".jpg"), "")]


def test_directories_and_members_with_double_underscores_are_passed_by(tmp_path: Path) -> None:
    path = foreign(
        tmp_path / "x.tar",
        [special("d", tarfile.DIRTYPE), ("d/__meta__", b"m"), ("d/a.jpg", b"1"), ("__index__", b""), ("d/a.cls", b"2")],
    )
    assert read(path) == [Sample("d/a", (Member("jpg", b"1"), Member("cls", b"2")))]


def test_a_shard_of_nothing_but_its_end_has_no_samples(tmp_path: Path) -> None:
    assert read(written(tmp_path / "x.tar", [])) == []


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "x/../../a.jpg", "C:\\a.jpg", "..\\a.jpg"])
def test_names_that_leave_their_directory_are_quarantined(tmp_path: Path, name: str) -> None:
    found = read(foreign(tmp_path / "x.tar", [(name, b"1"), ("b.jpg", b"2")]))
    assert [reason for _, reason in reasons(found)] == ["unsafe-name", ""]
    assert "train/000.tar" in found[0].message  # type: ignore[union-attr]


def test_a_name_that_is_not_utf8_is_quarantined_in_a_record_that_can_be_stored(tmp_path: Path) -> None:
    path = foreign(tmp_path / "x.tar", [("na\udcefve.jpg", b"1")], tarfile.GNU_FORMAT)
    (found,) = read(path)
    assert isinstance(found, Quarantined)
    assert found.reason == "unsafe-name"
    assert Quarantined.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_link_or_device_takes_its_whole_sample_out(tmp_path: Path, kind: bytes) -> None:
    entries = [("a.cls", b"1"), special("a.jpg", kind, "/etc/passwd"), ("a.txt", b"x"), ("b.jpg", b"2")]
    assert reasons(read(foreign(tmp_path / "x.tar", entries))) == [("a", "unsafe-name"), ("b", "")]


def test_a_sparse_member_is_quarantined_and_never_expanded(tmp_path: Path) -> None:
    header = tarfile.TarInfo("a.jpg")
    header.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": "0,1",
        "GNU.sparse.size": "1",
    }
    header.pax_headers["GNU.sparse.size"] = str(2**50)
    assert reasons(read(foreign(tmp_path / "x.tar", [header, ("b.jpg", b"2")]))) == [("a", "unsafe-name"), ("b", "")]


def test_a_member_too_large_is_passed_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    header = tarfile.TarInfo("a.jpg")
    header.size = tar.MEMBER_LIMIT + 1
    after = tarfile.TarInfo("b.jpg").tobuf()
    with path.open("wb") as file:
        file.write(header.tobuf())
        file.seek(-(-header.size // 512) * 512, io.SEEK_CUR)
        file.write(after + bytes(1024))
    tracemalloc.start()
    assert reasons(read(path)) == [("a", "member-too-large"), ("b", "")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_the_members_of_one_key_together_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "MEMBER_LIMIT", 10)
    found = read(written(tmp_path / "x.tar", [("a.jpg", b"123456"), ("a.txt", b"123456"), ("b.jpg", b"1234567890")]))
    assert reasons(found) == [("a", "member-too-large"), ("b", "")]


def test_every_cut_is_refused_with_shard_offset_and_last_key(tmp_path: Path) -> None:
    data = written(tmp_path / "x.tar", MEMBERS).read_bytes()
    body = 512 * 8 + 512  # four headers, three blocks for the last member, one each for the first two; less the end
    end = data.rindex(b"{}") + 1
    end += -end % 512
    assert end <= body
    cut = tmp_path / "cut.tar"
    for length in range(0, end + 512, 37):
        cut.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"train/000\.tar.*byte \d+"):
            read(cut)
    cut.write_bytes(data[: end - 600])
    with pytest.raises(
        InputError, match=rf"at byte {end - 600} of {end - 600}: .*'sub\.dir/b\.json'.*last whole key is 'a'"
    ):
        read(cut)
    cut.write_bytes(data[:end])
    with pytest.raises(InputError, match=rf"byte {end} .*without an end-of-archive.*last whole key is 'a'"):
        read(cut)
    cut.write_bytes(data[: end + 512])
    assert len(read(cut)) == 2


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    data = bytearray(written(tmp_path / "x.tar", MEMBERS).read_bytes())
    data[1024 + 10] ^= 0xFF
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(InputError, match=r"at byte 1024 of .*header is damaged; no key was whole"):
        read(tmp_path / "x.tar")


def test_tars_glued_together_are_not_read_as_the_first_one_only(tmp_path: Path) -> None:
    data = written(tmp_path / "x.tar", MEMBERS).read_bytes()
    (tmp_path / "x.tar").write_bytes(data + data)
    with pytest.raises(InputError, match="data follows the end"):
        read(tmp_path / "x.tar")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (gzip.compress, "gzip"),
        (lambda data: b"PK\x03\x04" + data, "zip"),
        (lambda data: b"", "no tar"),
        (lambda data: b"just a text\n" * 100, "no tar"),
    ],
)
def test_a_file_that_is_no_tar_is_named_for_what_it_is(
    tmp_path: Path, change: Callable[[bytes], bytes], found: str
) -> None:
    path = written(tmp_path / "x.tar", MEMBERS)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=rf"train/000\.tar.*{found}"):
        read(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=2000), after=st.booleans())
def test_random_bytes_are_refused(tmp_path: Path, data: bytes, after: bool) -> None:
    path = written(tmp_path / "x.tar", MEMBERS[:1])
    if not any(data):
        return
    path.write_bytes(path.read_bytes()[:1024] * after + data)
    with pytest.raises(InputError):
        read(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 8000), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_gives_samples_or_an_input_error_and_nothing_else(
    tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    path = foreign(tmp_path / "x.tar", [("n" * 150 + ".jpg", b"1" * 700), *MEMBERS])
    data = bytearray(path.read_bytes())
    for position, value in changes:
        data[position % len(data)] = value
    path.write_bytes(data)
    try:
        found = read(path)
    except InputError:
        return
    assert all(isinstance(item, Sample | Quarantined) for item in found)


def header_with_size(name: str, kind: bytes, size: int) -> bytes:
    header = tarfile.TarInfo(name)
    header.type = kind
    header.size = size
    return header.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
@pytest.mark.parametrize("size", [-1024, 2**40, 2**62])
def test_a_size_that_the_file_does_not_have_allocates_nothing(tmp_path: Path, kind: bytes, size: int) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(
        written(path, MEMBERS[:1]).read_bytes()[:1024] + header_with_size("b.jpg", kind, size) + bytes(2048)
    )
    tracemalloc.start()
    with pytest.raises(InputError, match=r"train/000\.tar"):
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_endless_chains_of_extended_headers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes((header_with_size("x", tarfile.XHDTYPE, 6) + b"6 a=b\n".ljust(512, b"\0")) * 3000)
    with pytest.raises(InputError, match=r"train/000\.tar"):
        read(path)


def test_memory_does_not_grow_with_the_shard(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = written(tmp_path / "x.tar", [(f"{index:06d}.jpg", bytes(2000)) for index in range(count)])
        tracemalloc.start()
        assert sum(1 for _ in read_tar(path, "x.tar")) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    few, many = peak(200), peak(2000)
    assert many - few < 1800 * 200
