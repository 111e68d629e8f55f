"""The commands of docs/own-pictures.md do what the page says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from pipeline.configuration.loading import load_config
from stages.datasets.label_tables import read_table
from tests.builders import png
from tests.datasets import labels_in
from tests.running import ROOT, mtlue
from tests.unit.stages.datasets.test_folder import COCO, pictures

PAGE = (ROOT / "docs" / "own-pictures.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
IMPORTS = [shlex.split(line)[1:] for line in COMMANDS if line.startswith("mtlue import")]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with what the page's commands name."""
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "pictures", "cat/1.jpg", "dog/IMG 2.png", "cat/3.jpg", "dog/4.jpg")
    pictures(tmp_path / "photos", "IMG_1.jpg", "IMG_2.jpg", "a.jpg", "b.jpg", "c.jpg")
    found = re.search(r"    (file,species.*?)\n\n", PAGE, re.DOTALL)
    assert found is not None
    Path("labels.csv").write_text("\n".join(line.strip() for line in found[1].splitlines()) + "\n")
    Path("instances.json").write_text(json.dumps(COCO))
    Path("masks").mkdir()
    for number, path in enumerate(Path("photos").iterdir()):
        Path("masks", f"{path.stem}.png").write_bytes(png(np.full((20, 20, 1), number % 2, np.uint8)))
    return tmp_path


def test_the_page_has_commands() -> None:
    assert len(IMPORTS) == 4
    assert "mtlue run pictures.yaml" in COMMANDS


@pytest.mark.parametrize("command", IMPORTS, ids=lambda command: command[-1])
def test_an_import_of_the_page_writes_shards_and_a_configuration_that_loads(
    command: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = mtlue(capsys, *command, "--workers", "1")
    assert ended.code == 0, ended.err
    out = command[command.index("--out") + 1]
    config = load_config(Path(f"{Path(out).name}.yaml"), [])
    assert config.output == f"{out}-protected"
    assert labels_in(Path(out))


def test_the_table_of_the_page_has_the_kinds_of_task_that_it_says(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [values for _, values in read_table(Path("labels.csv")).rows]
    assert rows[0] == {"file": "IMG_1.jpg", "species": "cat", "age": 3, "sick": "no"}


def test_every_reason_of_the_page_is_one_of_the_program() -> None:
    source = "".join(path.read_text() for path in (ROOT / "stages").rglob("*.py"))
    table = PAGE[PAGE.index("| reason |") :]
    for reason in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", table[: table.index("\n\n")]):
        assert f'"{reason}"' in source, reason
