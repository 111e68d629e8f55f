"""ChestX-ray14: 112,120 frontal X-rays of 30,805 patients with 14 findings, in the official splits by patient.

Wang et al., "ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks" (CVPR 2017); NIH Clinical Center, free to
use with its source named. Read are `images_001/images/*.png` and on (or `images/*.png`), `Data_Entry_2017.csv` or its
correction of 2020, and the lists of both splits. The findings were mined from reports, and are often wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from schemas.errors import ConfigError, InputError, SampleError
from schemas.imports import Skipped
from stages.adapters.adapter import Checked, Members, OnDisk, Row, held_out
from stages.adapters.lists import columns_of, csv_rows, find_file, text_rows
from stages.adapters.pictures import Stored
from stages.io.store.objects import file_sha256

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""In the order of the paper's tables, which is that of the vector."""

NO_FINDING = "no finding"

TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
"""The correction first: it corrects ages."""
LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}

COLUMNS = {
    "image": ("Image Index",),
    "findings": ("Finding Labels",),
    "follow_up": ("Follow-up #",),
    "patient": ("Patient ID",),
    "age": ("Patient Age",),
    "sex": ("Patient Gender", "Patient Sex"),
    "view": ("View Position",),
}
"""Our name of a column → its names in 2017 and in 2020."""

SIZE = 256
"""Side that is stored, in pixels (docs/method.md)."""

OLDEST = 120
"""Years; the files of 2017 know people of over 400."""

_PLACES = {name.lower().replace("_", " "): place for place, name in enumerate(FINDINGS)}


class ChestXray14(OnDisk):
    """ChestX-ray14: X-rays with 14 findings, from images_*/images/, Data_Entry_2017[_v2020].csv and the lists.

    Members of a sample: `png`; `json`, `findings` (14 values, 0 or 1), their `names`, `patient`, `age`, `sex`, ….

    A row without any finding, not even "No Finding", has null for `findings` and `names`: its labels are missing.
    """

    name: ClassVar[str] = "chestxray14"
    hidden: ClassVar[frozenset[str]] = frozenset({"crop", "gray"})

    pictures: Stored = Stored(size=SIZE, gray=True)
    """How pictures are stored."""

    split: Literal["lists", "patients"] = "lists"
    """The official lists, or a hash of the patient."""

    test_percent: int = Field(default=20, ge=0, le=100)
    """Patients in the test split, in percent, where `split` is `patients`."""

    def check(self) -> Checked:
        """Read table and lists once; with the lists, no patient may be in both splits."""
        table = find_file(self.source, *TABLES)
        _folders(self.source)
        digests: dict[str, int | str] = {"table": file_sha256(table)}
        splits = self._splits()
        if self.split == "lists":
            digests |= {split: file_sha256(self.source / name) for split, name in LISTS.items()}
        patients: dict[str, tuple[str, str]] = {}
        count = 0
        for number, row in _table_rows(table):
            count += 1
            if row is not None and row["image"] in splits:
                _check_patient(f"{table}: row {number}", row, splits[row["image"]], patients)
        return Checked(digests, count)

    def rows(self) -> Iterator[Row | Skipped]:
        """The X-rays in the order of the table."""
        table, folders, splits = find_file(self.source, *TABLES), _folders(self.source), self._splits()
        for number, row in _table_rows(table):
            where = f"{table.name} row {number}"
            try:
                yield self._row(row, splits, folders)
            except SampleError as error:
                yield Skipped.of(error, where if row is None else f"{where} ({row['image']})")
        for file, split in splits.items():
            message = f"{LISTS[split]}: {file} has no row in {table.name}; fetch both again"
            yield Skipped(reason="no-labels", message=message)

    def _row(self, row: dict[str, str] | None, splits: dict[str, str], folders: list[Path]) -> Row:
        if row is None or "/" in row["image"]:
            raise SampleError("malformed-row", "too few columns, or no file; correct the row")
        file, split = row["image"], held_out(row["patient"], self.test_percent)
        if self.split == "lists":
            split = splits.pop(file, "")  # what is left at the end has no row
        if not split:
            raise SampleError("no-split", f"it is in neither of {' and '.join(LISTS.values())}, or stands twice")
        findings = findings_of(row["findings"])
        path = next((folder / file for folder in folders if (folder / file).is_file()), None)
        if path is None:
            raise SampleError(
                "missing-file", f"it is in none of {len(folders)} folders of pictures; unpack all of them"
            )
        _to_front(folders, path.parent)
        labels = {
            "findings": findings,
            "names": None if findings is None else names_of(findings),
            "patient": row["patient"],
            "age": _age(row["age"]),
            "sex": row["sex"],
            "view": row["view"],
            "follow_up": row["follow_up"],
        }
        place = path.relative_to(self.source).as_posix()
        return Row(split, file.partition(".")[0], place, path.stat().st_size, labels)

    def members(self, row: Row) -> Members:
        """The X-ray and its findings."""
        image = self.pictures.member((self.source / row.place).read_bytes())
        return [image, ("json", json.dumps(row.labels).encode())]

    def _splits(self) -> dict[str, str]:
        """File → split of the lists; empty when they are not used."""
        splits: dict[str, str] = {}
        if self.split == "patients":
            return splits
        for split, name in LISTS.items():
            try:
                path = find_file(self.source, name)
            except ConfigError as error:
                raise ConfigError(f"{error.problem}, or split by --split patients") from None
            for number, text in text_rows(path):
                file = text.strip()
                if splits.get(file, split) != split:
                    raise InputError(f"{path}: row {number}: {file} is in {LISTS[splits[file]]} too; fetch both again")
                if file:
                    splits[file] = split
        return splits


def _check_patient(where: str, row: dict[str, str], split: str, patients: dict[str, tuple[str, str]]) -> None:
    """Remember a patient's split and first picture in `patients`; refuse another split."""
    known, first = patients.setdefault(row["patient"], (split, row["image"]))
    if known != split:
        raise InputError(
            f"{where}: patient {row['patient']} is in both splits ({first} in {known}, {row['image']} in {split}): "
            "the test would show patients of the training; take the official lists, or --split patients"
        )


def _table_rows(table: Path) -> Iterator[tuple[int, dict[str, str] | None]]:
    """Number and wanted columns of each row; None for a row that is too short."""
    rows = csv_rows(table)
    columns = columns_of(next(rows, (1, [""]))[1], table, COLUMNS)
    for number, fields in rows:
        whole = len(fields) > max(columns.values()) and fields[columns["image"]]
        yield number, {name: fields[place] for name, place in columns.items()} if whole else None


def findings_of(text: str) -> list[int] | None:
    """The vector of 14 values of `Effusion|Mass`, `No Finding` or, without any label, None.

    Raises:
        SampleError: `unknown-finding`, `contradictory-findings`.
    """
    names = [name.strip().lower().replace("_", " ") for name in text.split("|") if name.strip()]
    if not names:
        return None
    unknown = [name for name in names if name not in _PLACES and name != NO_FINDING]
    if unknown:
        known = ", ".join(FINDINGS)
        raise SampleError("unknown-finding", f"Finding Labels is {text!r}; the findings are {known}; correct the row")
    if NO_FINDING in names and len(names) > 1:
        raise SampleError("contradictory-findings", f"Finding Labels is {text!r}: none beside some; correct the row")
    vector = [0] * len(FINDINGS)
    for name in names:
        if name != NO_FINDING:
            vector[_PLACES[name]] = 1
    return vector


def names_of(findings: list[int]) -> list[str]:
    """The names of a vector's findings."""
    return [name for name, value in zip(FINDINGS, findings, strict=True) if value]


def _age(text: str) -> int | None:
    """Years of `58` or `058Y`; under a year (`006M`, `012D`) 0; None where it cannot be."""
    found = re.fullmatch(r"(\d+)([YMD]?)", text.upper())
    if found is None:
        return None
    years = {"": 1.0, "Y": 1.0, "M": 1 / 12, "D": 1 / 365}[found[2]] * int(found[1])
    return int(years) if years <= OLDEST else None


def _folders(source: Path) -> list[Path]:
    """The directories that hold pictures."""
    candidates: list[Path] = [source / "images", source / "images" / "images"]
    for archive in sorted(source.glob("images_*")):
        candidates += [archive / "images", archive]
    found = [folder for folder in candidates if folder.is_dir() and any(folder.glob("*.png"))]
    if not found:
        raise ConfigError(
            f"{source} has no images_*/images/*.png or images/*.png; unpack the archives of pictures there"
        )
    return found


def _to_front(folders: list[Path], folder: Path) -> None:
    """Move a folder to the front: the next picture most likely lies there too."""
    if folders[0] != folder:
        folders.remove(folder)
        folders.insert(0, folder)
