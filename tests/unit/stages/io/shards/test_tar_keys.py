"""Keys of a tar: no image is read without a member of its own that stands elsewhere in the shard."""

import io
import subprocess
import tarfile
import unicodedata
from pathlib import Path

import pytest

from schemas.records import Quarantined
from stages.io.shards.sample import Member, Sample, Strays
from stages.io.shards.tar import read_tar


def tar(path: Path, names: list[str], kind: int = tarfile.PAX_FORMAT) -> Path:
    """A tar whose members have their own names as bytes, in this order."""
    with tarfile.open(path, "w", format=kind) as archive:
        for name in names:
            header = tarfile.TarInfo(name)
            if name.endswith("/"):
                header.type = tarfile.DIRTYPE
            header.size = 0 if name.endswith("/") else len(name.encode())
            archive.addfile(header, io.BytesIO(name.encode()))
    return path


def found_in(path: Path) -> dict[str, object]:
    """Key → its fields, or the reason why it is left out; every key once."""
    found = list(read_tar(path, "train/0.tar"))
    named = {
        each.key: each.reason if isinstance(each, Quarantined) else [member.field for member in each.members]
        for each in found
    }
    assert len(named) == len(found), "a key comes twice"
    for each in found:
        for member in each.members if isinstance(each, Sample) else ():
            assert member.data.decode().endswith(member.field), "a member has the bytes of another"
    return named


STRAYS = [
    ".DS_Store",
    "._b.jpg",
    "d/._b.jpg",
    "d/.DS_Store",
    "__MACOSX/._b.jpg",
    "__MACOSX/b.jpg",
    "d/__MACOSX/b.jpg",
    "__own__/b.jpg",
    "README",
    "d.1/README",
    "Thumbs",
    ".jpg",
    "b.",
]


@pytest.mark.parametrize("stray", STRAYS)
@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_member_without_a_key_ends_no_sample_and_is_counted(tmp_path: Path, stray: str, kind: int) -> None:
    path = tar(tmp_path / "x.tar", ["a.jpg", stray, "d/", "__index__", "a.cls", stray, "c.jpg"], kind)
    strays = Strays()
    found = list(read_tar(path, "x.tar", strays.add))
    assert [(each.key, [member.field for member in each.members]) for each in found if isinstance(each, Sample)] == [
        ("a", ["jpg", "cls"]),
        ("c", ["jpg"]),
    ]
    assert len(found) == 2
    assert (strays.count, strays.first) == (2, stray)


@pytest.mark.parametrize(
    "names",
    [
        ["a.jpg", "b.jpg", "b.cls", "a.cls"],  # a label appended late
        ["a.jpg", "b.jpg", "a.cls", "b.cls"],  # sorted by field
        ["a.cls", "b.jpg", "a.txt", "b.cls", "a.jpg"],  # three places
    ],
)
def test_a_key_that_comes_back_is_left_out_whole_and_once_with_the_commands_that_sort(
    tmp_path: Path, names: list[str]
) -> None:
    path = tar(tmp_path / "x.tar", ["c.jpg", "c.cls", *names])
    found = found_in(path)
    assert found["c"] == ["jpg", "cls"]
    assert found["a"] == "unsorted-key"
    (left_out, *_) = [each for each in read_tar(path, "train/0.tar") if isinstance(each, Quarantined)]
    assert left_out.message.startswith("shard train/0.tar: sample 'a': its members stand in ")
    assert "sort the tar by name" in left_out.message
    assert "rename" not in left_out.message
    command = left_out.message.partition("by name: ")[2].replace("0.tar", "x.tar")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    assert (
        {key: set(fields) for key, fields in found_in(tmp_path / "sorted.tar").items()}
        == {  # type: ignore[call-overload]
            "a": {name[2:] for name in names if name[0] == "a"},
            "b": {"jpg", "cls"},
            "c": {"jpg", "cls"},
        }
    )


def test_a_repeated_member_leaves_its_whole_key_out(tmp_path: Path) -> None:
    in_a_row = tar(tmp_path / "x.tar", ["a.jpg", "a.cls", "a.jpg", "a.cls", "b.jpg"])
    assert found_in(in_a_row) == {"a": "duplicate-key", "b": ["jpg"]}
    apart = tar(tmp_path / "y.tar", ["a.jpg", "b.jpg", "a.cls", "a.jpg"])
    assert found_in(apart) == {"a": "duplicate-key", "b": ["jpg"]}
    (left_out, _) = read_tar(apart, "y.tar")
    assert isinstance(left_out, Quarantined)
    assert "member 'a.jpg' stands twice" in left_out.message


def test_keys_whose_accents_or_paths_are_spelled_in_two_ways_are_one_sample(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "été") for form in ("NFC", "NFD"))
    assert composed != apart
    path = tar(tmp_path / "x.tar", [f"{composed}.jpg", f"{apart}.cls", "./b.jpg", "b.cls"])
    assert found_in(path) == {composed: ["jpg", "cls"], "./b": ["jpg", "cls"]}
    split = tar(tmp_path / "y.tar", [f"{composed}.jpg", "b.jpg", f"{apart}.cls"])
    assert found_in(split) == {composed: "unsorted-key", "b": ["jpg"]}


def test_members_whose_keys_differ_in_case_alone_are_left_out_unless_they_are_two_samples(tmp_path: Path) -> None:
    one = tar(tmp_path / "x.tar", ["A.jpg", "B.jpg", "B.json", "a.json"])
    assert found_in(one) == {"A": "unsorted-key", "B": ["jpg", "json"]}
    two = tar(tmp_path / "y.tar", ["A.jpg", "A.json", "a.jpg", "a.json"])
    assert found_in(two) == {"A": ["jpg", "json"], "a": ["jpg", "json"]}


def test_a_link_anywhere_leaves_its_whole_key_out(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in [("a.jpg", tarfile.REGTYPE), ("b.jpg", tarfile.REGTYPE), ("a.cls", tarfile.LNKTYPE)]:
            header = tarfile.TarInfo(name)
            header.type, header.linkname = kind, "b.jpg" if kind == tarfile.LNKTYPE else ""
            header.size = 0 if kind == tarfile.LNKTYPE else len(name)
            archive.addfile(header, io.BytesIO(name.encode()))
    assert found_in(path) == {"a": "unsorted-key", "b": ["jpg"]}


def test_a_dot_in_a_folder_belongs_to_the_key(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", ["v1.0/a.jpg", "v1.0/a.cls", "v1.1/a.jpg", "v1.0.a.jpg"])
    assert found_in(path) == {"v1.0/a": ["jpg", "cls"], "v1.1/a": ["jpg"], "v1": ["0.a.jpg"]}


def test_members_are_read_whole(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", ["a.jpg", "._a.jpg", "a.cls"])
    assert list(read_tar(path, "x.tar")) == [Sample("a", (Member("jpg", b"a.jpg"), Member("cls", b"a.cls")))]
