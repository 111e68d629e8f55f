"""Lists: read right in the encodings that say what they are, and told with row and what to do in the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import ConfigError, InputError
from stages.adapters.lists import LINE_LIMIT, columns_of, csv_rows, find_file, text_rows

TABLE = 'name,age\r\na.png,7\r\n\r\n"b,c.png", 8 \r\n'
ROWS = [(1, ["name", "age"]), (2, ["a.png", "7"]), (4, ["b,c.png", "8"])]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_rows_and_their_numbers_are_read_whatever_the_declared_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "list.csv").write_bytes(TABLE.encode(encoding))
    assert list(csv_rows(tmp_path / "list.csv")) == ROWS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a\nb\nJosé,1\n".encode("latin-1"), r"row 3 is not UTF-8: byte 4 is 0xe9.*Latin-1.*save the file as UTF-8"),
        ("name,age\n".encode("utf-16-le"), r"row 1 has NUL bytes.*UTF-16 without its byte order mark"),
        ("a,b\nc".encode("utf-16") + b"x", r"row 2 is not utf-16 .*save the file as UTF-8"),
        (b"a" * LINE_LIMIT + b"a\n", r"row 1 is longer than 1048576 bytes"),
    ],
)
def test_another_encoding_is_told_with_its_row_and_the_remedy(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    with pytest.raises(InputError, match=rf"list\.csv: {message}"):
        list(text_rows(tmp_path / "list.csv"))


def test_a_quote_that_is_never_closed_is_told(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('name,age\n"a.png,7\nb.png,8\n')
    with pytest.raises(InputError, match=r"list\.csv: row 3 is no CSV .*fix the row"):
        list(csv_rows(tmp_path / "list.csv"))


def test_columns_are_found_under_either_name_and_a_missing_one_is_told(tmp_path: Path) -> None:
    header = ["Image Index", "Patient Sex", ""]
    wanted = {"image": ("Image Index",), "sex": ("Patient Gender", "Patient sex")}
    assert columns_of(header, tmp_path, wanted) == {"image": 0, "sex": 1}
    with pytest.raises(InputError, match=r"row 1 has no column 'Patient Age'; found Image Index, Patient Sex"):
        columns_of(header, tmp_path, {"age": ("Patient Age",)})


def test_a_source_that_is_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere is not a folder; name the folder that holds a\.csv"):
        find_file(tmp_path / "nowhere", "a.csv")
