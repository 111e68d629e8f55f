"""From a public dataset's own layout to evidence: import, then a run of the ready configuration, made tiny.

The pictures are drawn so that they show their labels faintly: an X-ray has waves of its own for each finding, a face is
the lighter the older, tinted by race and lit from the side by gender.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.configuration.loading import load_config
from pipeline.run.run import RunResult
from schemas.config import Config
from stages.adapters.adapter import Adapter
from stages.adapters.faces.utkface import UTKFace
from stages.adapters.medical.chestxray14 import FINDINGS, ChestXray14
from stages.adapters.pictures import Stored
from tests.builders import jpeg, png
from tests.datasets import chest_tree, imported, labels_in, utkface_tree
from tests.running import run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]

DIRECTORY = Path(__file__).parents[2] / "docs" / "configs"
SIDE = 32


@dataclass(frozen=True)
class Done:
    root: Path
    config: Config
    result: RunResult


def protected(
    root: Path, adapter: Adapter, name: str, *, rounds: int, epochs: int, change: Callable[[str], str] = str
) -> Done:
    """Import a dataset and run its ready configuration on it, at a tiny size."""
    imported(adapter, root / "raw", samples=80)
    (root / f"{name}.yaml").write_text(change((DIRECTORY / f"{name}.yaml").read_text()))
    places = {"shards": "raw/train-*.tar", "test_shards": "raw/test-*.tar"}
    made = load_config(
        root / f"{name}.yaml",
        [
            *(f"dataset.{key}={root}/{value}" for key, value in places.items()),
            f"output={root}/public",
            f"work={root}/private",
            f"train.resolution={SIDE}",
            f"train.rounds={rounds}",
            "train.batch_size=32",
            "train.augment=[crop]",
            "protection.epsilon=32/255",  # so few pictures and passes
            "audit.victims=[plain]",
            "audit.learning_rates=[3.0e-3]",
            "audit.width=8",
            f"audit.epochs={epochs}",
            "audit.batch_size=32",
            "compute.cpus=2",
        ],
    )
    return Done(root, made, run(made))


def xray(names: str, seed: int) -> bytes:
    """Noise with faint waves for each finding: seven wavelengths, down and across."""
    image = np.random.default_rng(seed).normal(128, 12, (SIDE, SIDE))
    for name in names.split("|"):
        if name in FINDINGS:
            across, number = divmod(FINDINGS.index(name), 7)
            waves = 18 * np.sin(2 * np.pi * (number + 1) * np.arange(SIDE) / 16)
            image += waves[None, :] if across else waves[:, None]
    return png(np.clip(image, 0, 255).astype(np.uint8)[..., None])


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Done:
    root, rng = tmp_path_factory.mktemp("chest"), np.random.default_rng(0)
    labels = []
    for number in range(200):
        chosen = [name for name in FINDINGS if rng.random() < 0.3]
        labels.append("" if number % 9 == 8 else "|".join(chosen) or "No Finding")
    source = chest_tree(root / "source", labels, size=SIDE)
    for number, names in enumerate(labels):
        file = f"{number // 2 + 1:08d}_{number % 2:03d}.png"
        (source / f"images_{number % 2 + 1:03d}" / "images" / file).write_bytes(xray(names, number))
    return protected(
        root, ChestXray14(source=source, pictures=Stored(size=SIDE, gray=True)), "chestxray14", rounds=1, epochs=2
    )


def test_findings_with_missing_labels_come_through_with_their_chance_lines(chest: Done) -> None:
    evidence = chest.result.evidence
    assert {task.name for task in evidence.tasks} == {f"findings.{name}" for name in FINDINGS}
    for task in evidence.tasks:
        assert set(task.scores) == {"balanced_accuracy", "accuracy", "auc"}
        assert task.chance["auc"] == task.chance["balanced_accuracy"] == 0.5
        assert task.chance["accuracy"] > 0.5, "the majority's share"
    missing = dict.fromkeys(chest.result.records[0].labelled, 0)
    for record in chest.result.records:
        for name, count in record.labelled.items():
            missing[name] += record.samples - count
    rows = sum(labels["findings"] is None for labels in labels_in(chest.root / "raw", "train-*.tar").values())
    assert missing == {f"findings.{name}": rows for name in FINDINGS}
    assert rows > 10
    assert labels_in(chest.root / "public") == labels_in(chest.root / "raw", "train-*.tar")


def face(age: int, gender: int, race: int, seed: int) -> bytes:
    """Noise that is a little lighter the older, tinted by race and lit from the left or right by gender."""
    image = np.random.default_rng(seed).normal(128, 20, (SIDE, SIDE, 3)) + (age - 45) / 4
    image[:, gender * SIDE // 2 :][:, : SIDE // 2] += 10
    image[..., race % 3] += 12 * (1 - 2 * (race // 3))
    return jpeg(np.clip(image, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Done:
    root, rng = tmp_path_factory.mktemp("faces"), np.random.default_rng(0)
    source = utkface_tree(root / "source", ["61_1_20170109142408075.jpg.chip.jpg"])
    for number in range(400):
        age, gender, race = int(rng.integers(1, 90)), int(rng.integers(2)), int(rng.integers(5))
        name = f"{age}_{gender}_{race}_{20170116184732000 + number}.jpg.chip.jpg"
        (source / name).write_bytes(face(age, gender, race, number))
    return protected(
        root,
        UTKFace(source=source, pictures=Stored(size=SIDE)),
        "utkface",
        rounds=3,
        epochs=14,
        change=with_age_as_number,
    )


def with_age_as_number(text: str) -> str:
    """The ready configuration of UTKFace with the alternative that stands in its comment."""
    lines = text.splitlines()
    (groups,) = [line for line in lines if "json.age_group" in line]
    (number,) = [line for line in lines if "kind: regression" in line]
    return text.replace(groups, number.replace("# - ", "- "))


def test_the_age_of_faces_comes_through_as_a_number_beside_classes(faces: Done) -> None:
    summary = json.loads((faces.root / "raw" / "import.json").read_text())
    assert summary["skipped"]["reasons"]["malformed-name"]["count"] == 1
    tasks = {task.name: task for task in faces.result.evidence.tasks}
    assert set(tasks) == {"age", "race", "gender"}
    assert (tasks["age"].metric, tasks["age"].judged_by.unit) == ("mae", "years")
    assert 15 < tasks["age"].chance["mae"] < 30
    assert tasks["race"].chance["balanced_accuracy"] == 0.2
    assert labels_in(faces.root / "public") == labels_in(faces.root / "raw", "train-*.tar")


def test_victims_learn_less_of_the_faces_when_they_are_protected(faces: Done) -> None:
    tasks = faces.result.evidence.tasks
    mean = {data: sum(task.advantage(data) for task in tasks) / len(tasks) for data in ("clean", "protected")}
    assert mean["clean"] > 0.5
    assert mean["protected"] < 0.85 * mean["clean"]  # measured 0.48 and 0.70: few pictures, few passes
