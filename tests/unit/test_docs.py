"""Every command, configuration and script in README.md and docs/ is tried: on a tiny dataset, in this process.

A page is a story: its commands run in their order in a directory of their own, which holds what the page expects its
reader to have. Trainings are made short. A command that names a bucket or a cluster is parsed.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml

from pipeline.cli import app
from pipeline.commands.init import name_of as name_of_dataset
from pipeline.configuration.loading import check_config, load_config
from stages.adapters.label_tables import read_table
from stages.adapters.medical.chestxray14 import FINDINGS
from tests.builders import config, labelled_samples, png, write_shard
from tests.datasets import ATTRIBUTES, celeba_tree, chest_tree, nyuv2_export, utkface_tree
from tests.running import ROOT, mtlue, write_config
from tests.unit.stages.adapters.test_folder import COCO, pictures

pytestmark = [pytest.mark.usefixtures("here")]

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.parent.name != "reference"]  # written from the code

SHORT = (
    "train.rounds=1", "train.resolution=16", "train.batch_size=8", "protect.max_quarantined=1", "audit.seeds=1",
    "audit.victims=[resnet18]", "audit.learning_rates=[3.0e-3]", "audit.width=4", "audit.epochs=1",
    "audit.batch_size=8",
)  # fmt: skip
"""What makes the trainings of a page short, laid over what it says."""

UNTRAINED = ("train={perturber: floor, resolution: 16}", "protect.max_quarantined=1", "audit=null")
"""The same for configurations of public datasets, whose runs other tests look at."""

PUBLIC = ("faces.yaml", "ages.yaml", "chest.yaml")

AFTER_A_RUN = ("evidence.md", "leak.md")
"""Pages whose reader has published something."""

OWN = (ROOT / "docs" / "own-pictures.md").read_text()

ELSEWHERE = re.compile(r"\w+://|--address|docs/configs/|/etc/|^s3:")
"""What names a bucket or a cluster, or a configuration whose data lie there."""

SHELL = ("mkdir", "tar", "cp", "for")
"""Run by a shell."""

NOT_RUN = ("cd", "export", "git", "source", "python3 -m venv", "sudo apt-get")
"""What sets up a machine."""

DATASET = {"shards": "raw"}
MINIMAL = {"dataset": DATASET, "tasks": [{"field": "json.shape", "classes": 3}], "output": "out", "work": "work"}
"""What a configuration lacks that a page shows in part."""


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in some languages."""
    found = re.findall(r"^( *)```(\w+)\n(.*?)^ *```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [re.sub(f"^{indent}", "", text, flags=re.MULTILINE) for indent, name, text in found if name in languages]


def commands(page: Path) -> list[str]:
    """The commands of a page; a loop is one."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ")
    lines = re.sub(r"^for .*?^done$", lambda loop: " ".join(loop[0].split("\n")), lines, flags=re.DOTALL | re.MULTILINE)
    found = [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines.splitlines()]
    return [line for line in found if line]


WITH_COMMANDS = [page for page in PAGES if commands(page)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the pages expect to be there: pictures, public datasets, and a dataset with its configuration."""
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        write_shard(Path(f"data/raw/train-{number}.tar"), labelled_samples(16, seed=number))
    write_shard(Path("data/raw/test-0.tar"), labelled_samples(16, seed=9))
    made = config(tmp_path, audit={}, train={"perturber": "codes", "rounds": 1})
    places = {"output": "data/protected", "work": "data/private"}
    data = {"shards": "data/raw/train-*.tar", "test_shards": "data/raw/test-*.tar"}
    made = made.model_copy(update={**places, "dataset": made.dataset.model_copy(update=data)})
    write_config(Path("pipeline.yaml"), made)
    pictures(Path("pictures"), *(f"{kind}/{number}.jpg" for kind in ("cat", "dog") for number in range(30)))
    celeba_tree(Path("CELEBA"), 32, names=ATTRIBUTES[:3])
    faces = [f"{age}_{age % 2}_{age % 3}_{20170116184732000 + age}.jpg" for age in range(1, 99, 3)]
    utkface_tree(Path("UTKFACE"), faces)
    chest_tree(Path("CHEST"), ("No Finding", *FINDINGS) * 2)
    nyuv2_export(Path("NYUV2"), 8, 24, 32)
    own_labels()
    for name in ("deploy", "docs", "examples", "benchmarks"):
        Path(name).symlink_to(ROOT / name)
    return tmp_path


def own_labels() -> None:
    """Photographs with the tables and masks that docs/own-pictures.md names."""
    pictures(Path("photos"), "IMG_1.jpg", "IMG_2.jpg", "a.jpg", "b.jpg", "c.jpg")
    (table,) = [text for text in blocks(ROOT / "docs" / "own-pictures.md", "text") if text.startswith("file,")]
    Path("labels.csv").write_text(table)
    Path("instances.json").write_text(json.dumps(COCO))
    Path("masks").mkdir()
    for number, path in enumerate(sorted(Path("photos").iterdir())):
        Path("masks", f"{path.stem}.png").write_bytes(png(np.full((20, 20, 1), number % 2, np.uint8)))


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_the_commands_of_a_page_do_what_it_says(page: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parsed: set[str] = set()
    if page.name in AFTER_A_RUN:
        try_mtlue(["run", "pipeline.yaml"], capsys, parsed)
    for command in commands(page):
        words = shlex.split(command)
        if words[0] == "mtlue":
            try_mtlue(words[1:], capsys, parsed)
        elif words[0] == "make":
            assert re.search(f"^{words[1]}:.*##", (ROOT / "Makefile").read_text(), re.MULTILINE), command
        elif words[0].endswith("pip"):
            assert extras_in(command) <= extras(), command
        elif words[0] in SHELL:
            subprocess.run(["bash", "-ec", command], check=True)
        elif words[0] in {"docker", "kubectl", "ray", "python", "sbatch"}:
            try_others(words)
        else:
            assert command.startswith(NOT_RUN), f"{name_of(page)}: no test knows what to do with {command!r}"


def try_mtlue(words: list[str], capsys: pytest.CaptureFixture[str], parsed: set[str]) -> None:
    """Run a command with short trainings; parse it where its data lie elsewhere.

    Args:
        words: what follows `mtlue`.
        parsed: configurations that a parsed command would write, to which this one may add its own.
    """
    if any(ELSEWHERE.search(word) for word in words) or parsed & set(words):
        parse(words)
        parsed |= {f"{name_of_dataset(words[1])}.yaml"} if words[0] == "init" else set()
        path = next((word for word in words if word.startswith("docs/configs/")), None)
        if path is not None:
            load_config(Path(path), [words[place + 1] for place, word in enumerate(words) if word == "--set"])
        return
    words = ["1s" if before == "--budget" else word for before, word in zip(["", *words], words, strict=False)]
    if words[0] in {"run", "plan", "status", "preview"} or ("--config" in words and words[0] in {"audit", "verify"}):
        words += [word for setting in (UNTRAINED if {*PUBLIC} & {*words} else SHORT) for word in ("--set", setting)]
    if words[0] == "import":
        words += ["--workers", "1"]
    ended = mtlue(capsys, *words)
    assert ended.code == 0, (words, ended.out, ended.err)


def parse(words: list[str]) -> None:
    """Parse a command line; options that do not exist, and missing arguments, are errors."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("mtlue", list(words), resilient_parsing=False)
    while words and hasattr(group, "list_commands"):
        group = group.get_command(context, words[0])
        assert group is not None, words
        words = words[1:]
        context = group.make_context("mtlue", list(words), parent=context)


def try_others(words: list[str]) -> None:
    """The files that a command of another program names are there; what it starts with mtlue is parsed."""
    if "--" in words and words[words.index("--") + 1] == "mtlue":
        parse(words[words.index("--") + 2 :])
    named = [word.rpartition("=")[2] for word in words if word.endswith((".yaml", ".py", ".sbatch", "Dockerfile"))]
    for path in named:
        assert path.startswith("/") or Path(path).exists(), words
    assert named, words


SMALL = {"rounds": 1, "resolution": 16}


def extras_in(command: str) -> set[str]:
    return {extra for found in re.findall(r"\[([\w,]+)\]", command) for extra in found.split(",")}


def extras() -> set[str]:
    return set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


def yaml_blocks() -> Iterator[Any]:
    for page in PAGES:
        for number, text in enumerate(blocks(page, "yaml")):
            if "--8<--" not in text:
                yield pytest.param(yaml.safe_load(text), id=f"{name_of(page)}-{number}")


@pytest.mark.parametrize("shown", list(yaml_blocks()))
def test_a_configuration_of_a_page_loads(shown: Mapping[str, Any]) -> None:
    whole = {**MINIMAL, **shown}
    wanted = shown.get("protection", {}).get("tasks", "all")
    if wanted != "all" and "tasks" not in shown:  # a page names tasks that it has shown before
        names = dict.fromkeys(name.partition(".")[0] for name in wanted)
        sets = {name: [each.partition(".")[2] for each in wanted if each.startswith(f"{name}.")] for name in names}
        whole["tasks"] = [
            {"kind": "multilabel", "field": f"json.{name}", "findings": [*found, "other"]}
            if any(found)
            else {"kind": "binary", "field": f"json.{name}"}
            for name, found in sets.items()
        ]
    if "shards" not in whole["dataset"]:
        whole["dataset"] = {**DATASET, **whole["dataset"]}
    check_config(whole, [], "page")


def test_the_scripts_of_the_pages_run(home: Path) -> None:
    rng = np.random.default_rng(0)
    found = {
        "images": rng.integers(0, 256, (16, 16, 16, 3), np.uint8),
        **{name: [number % 2 for number in range(16)] for name in ("smiling", "age_group", "shapes", "striped")},
    }
    for page in PAGES:
        for text in blocks(page, "python"):
            short = text.replace("mtlue.fit(images, ", f"mtlue.fit(images, train={SMALL}, labels=")
            short = short.replace("train.rounds=6", "train.rounds=1")
            exec(compile(short, name_of(page), "exec"), dict(found))  # noqa: S102 - our own pages


def test_every_reason_of_the_pages_is_one_of_the_program() -> None:
    source = "".join(path.read_text() for path in (ROOT / "stages").rglob("*.py"))
    table = OWN[OWN.index("| reason |") :]
    for reason in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", table[: table.index("\n\n")]):
        assert f'"{reason}"' in source, reason


def test_the_table_of_the_page_has_the_kinds_of_task_that_it_says(home: Path) -> None:
    rows = [values for _, values in read_table(Path("labels.csv")).rows]
    assert rows[0] == {"file": "IMG_1.jpg", "species": "cat", "age": 3, "sick": "no"}


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "method.md"], ids=name_of)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`((?:docs|mtlue|pipeline|schemas|stages|tests|deploy)/[\w./-]+)`", page.read_text())
    gone = [path for path in named if not (ROOT / path).exists()]
    assert not gone
