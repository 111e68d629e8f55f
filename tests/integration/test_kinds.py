"""One dataset with labels of unlike kinds, one of them per pixel, from shards to evidence; some labels are missing."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.run.result import RunResult
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.records import GeneratorRecord
from schemas.tasks import RegressionTask
from stages.io.store.store import Store
from tests.builders import BuiltSample, config, png, write_shard
from tests.running import mtlue, run, write_config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]

FINDINGS = ["bar", "dot", "ring"]
TASKS: list[dict[str, Any]] = [
    {"field": "json.tint", "classes": ["red", "green", "blue"]},
    {"field": "lit.txt", "name": "lit", "kind": "binary"},
    {"field": "marks.npy", "name": "marks", "kind": "multilabel", "findings": FINDINGS},
    {"field": "json.age", "kind": "regression", "bins": 4, "unit": "years", "low": 0},
    {"field": "mask.png", "name": "mask", "kind": "segmentation", "classes": ["wall", "bar", "dot", "ring"]},
]
SIDE, PER_SHARD = 16, 60


def drawn(count: int, seed: int) -> list[BuiltSample]:
    """Noise with a tint, a light side, three marks, which a mask shows too, and a brightness.

    Every seventh label of each task is missing.
    """
    rng = np.random.default_rng(seed)
    samples: list[BuiltSample] = []
    for number in range(count):
        tint, lit, marks, age = rng.integers(3), rng.integers(2), rng.integers(0, 2, 3), rng.uniform(1, 80)
        image = rng.normal(100, 10, (SIDE, SIDE, 3))
        image[:, :, tint] += 30
        image[:, : SIDE // 2] += 30 * lit
        mask = np.zeros((SIDE, SIDE, 1), dtype=np.uint8)
        for place, mark in enumerate(marks):
            image[4 * place : 4 * place + 3, 12:] += 60 * mark
            mask[4 * place : 4 * place + 3, 12:] = (place + 1) * mark
        image += age - 40
        vector = marks.astype(np.float32)
        if number % 7 == 2:
            vector[number % 3] = np.nan
        array = io.BytesIO()
        np.save(array, vector)
        values = {"tint": None if number % 7 == 3 else int(tint), "age": None if number % 7 == 4 else float(age)}
        samples.append(
            (
                f"s{number:05d}",
                [
                    ("png", png(np.clip(image, 0, 255).astype(np.uint8))),
                    ("json", json.dumps(values).encode()),
                    ("lit.txt", b"" if number % 7 == 5 else (b"yes" if lit else b"no")),
                    ("marks.npy", array.getvalue()),
                    *([] if number % 7 == 6 else [("mask.png", png(mask))]),
                ],
            )
        )
    return samples


def settings(root: Path, **overrides: Any) -> Config:
    dataset = {
        "shards": f"{root}/raw/train-*.tar",
        "test_shards": f"{root}/raw/test-*.tar",
        "image": "png",
        "members": {"marks.npy": "keep", "mask.png": "keep"},
    }
    train = {"perturber": "codes", "rounds": 1, "resolution": SIDE, "batch_size": 32}
    audit: dict[str, Any] = {"epochs": 2, "width": 8}
    return config(root, **{"dataset": dataset, "tasks": TASKS, "train": train, "audit": audit, **overrides})


def with_short_vector() -> list[tuple[str, bytes]]:
    """Members of a sample whose vector lacks a finding."""
    array = io.BytesIO()
    np.save(array, np.array([1, 0]))
    return [(field, array.getvalue() if field == "marks.npy" else data) for field, data in drawn(1, 3)[0][1]]


@dataclass(frozen=True)
class Done:
    root: Path
    config: Config
    result: RunResult


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    root = tmp_path_factory.mktemp("kinds")
    write_shard(root / "raw/train-00000.tar", drawn(PER_SHARD, 0))
    write_shard(root / "raw/train-00001.tar", [*drawn(PER_SHARD, 1), ("short", with_short_vector())])
    write_shard(root / "raw/test-00000.tar", drawn(PER_SHARD, 99))
    made = settings(root)
    return Done(root, made, run(made))


def test_every_kind_reaches_the_evidence_with_its_own_figures(done: Done) -> None:
    found = {task.name: task for task in done.result.evidence.tasks}
    assert set(found) == {"tint", "lit", "marks.bar", "marks.dot", "marks.ring", "age", "mask"}
    assert found["mask"].metric == "mean_iou"
    assert set(found["tint"].scores) == {"balanced_accuracy", "accuracy"}
    assert set(found["marks.dot"].scores) == {"balanced_accuracy", "accuracy", "auc"}
    (marks,) = done.result.evidence.sets
    assert (marks.name, len(marks.tasks), marks.chance["auc"]) == ("marks", 3, 0.5)
    assert 0 < marks.scores["auc"]["clean"].last <= 1
    age = found["age"]
    assert (age.metric, age.judged_by.unit, age.judged_by.larger_is_better) == ("mae", "years", False)
    assert 15 < age.chance["mae"] < 25  # of always answering the median of numbers spread over 80
    assert done.result.evidence.metric.name == "advantage"
    assert "beyond chance in the mean over tasks" in done.result.evidence.sentence


def test_labels_that_are_missing_are_counted_for_each_task(done: Done) -> None:
    record = done.result.records[0]
    missing = {name: record.samples - count for name, count in record.labelled.items()}
    assert missing == {"tint": 9, "lit": 8, "marks.bar": 3, "marks.dot": 3, "marks.ring": 3, "age": 8, "mask": 8}


def test_a_vector_of_the_wrong_length_is_left_out_with_its_reason(done: Done) -> None:
    (left_out,) = done.result.quarantined
    assert (left_out.shard, left_out.key, left_out.reason) == ("train-00001.tar", "short", "label-wrong-length")
    assert "task 'marks': field 'marks.npy' holds 2 values; expected 3" in left_out.message
    assert sum(record.samples for record in done.result.records) == 2 * PER_SHARD


def test_bins_of_the_training_set_are_stored_with_the_generator(done: Done) -> None:
    record = GeneratorRecord.model_validate_json(Store(done.config.work).read("generator.json"))
    age = next(task for task in record.spec.tasks if task.name == "age")
    assert isinstance(age, RegressionTask)
    assert age.values is not None
    assert len(age.values.edges) == 3
    assert 0 < age.values.low < age.values.edges[0] < age.values.edges[-1] < age.values.high < 81


def test_report_and_card_tell_of_every_kind(done: Done) -> None:
    page = (done.root / "private/report.html").read_text()
    for part in ("Mean absolute error", "years", "marks.ring", "marks (3)", "AUC", "The figure that decides each task"):
        assert part in page, part
    card = (done.root / "public/README.md").read_text()
    assert "a number in years, at least 0" in card
    assert "| value | images |" in card
    assert "| 2 | ring |" in card
    assert '"marks": numpy.load(io.BytesIO(sample["marks.npy"]))' in card
    croissant = (done.root / "public/croissant.json").read_text()
    assert "marks (findings, in order: bar, dot, ring)" in croissant


def test_what_is_done_is_not_done_again(done: Done) -> None:
    again = run(done.config)
    assert again.done_before == len(again.records) == 2
    assert again.evidence == done.result.evidence


def test_the_audit_tells_a_terminal_the_same(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    ended = mtlue(capsys, "audit", "--config", write_config(done.root / "again.yaml", done.config))
    assert ended.code == 0, ended.err
    assert "mean advantage over chance on 60 held-out clean images" in ended.out


def test_a_single_finding_of_a_set_can_be_protected(done: Done) -> None:
    chosen = settings(done.root, protection={"tasks": ["marks", "age"]})
    assert chosen.protected_tasks == [False, False, True, True, True, True, False]
    one = settings(done.root, protection={"tasks": ["marks.dot"]})
    assert one.protected_tasks == [False, False, False, True, False, False, False]


def test_a_list_column_of_parquet_is_a_multi_label_vector(tmp_path: Path) -> None:
    images = [dict(drawn(1, seed)[0][1])["png"] for seed in range(40)]
    rows = {
        "png": images,
        "marks": [[seed % 2, None, 1 - seed % 2] for seed in range(40)],
        "age": [float(seed) for seed in range(40)],
    }
    (tmp_path / "raw").mkdir()
    pq.write_table(pa.table(rows), tmp_path / "raw/train-0.parquet")
    tasks = [
        {"field": "marks", "kind": "multilabel", "findings": [*FINDINGS]},
        {"field": "age", "kind": "regression", "bins": 2},
    ]
    made = settings(tmp_path, dataset={"shards": f"{tmp_path}/raw/*.parquet", "image": "png"}, tasks=tasks, audit=None)
    with pytest.raises(ConfigError, match=r"task 'marks\.dot': all 40 labels of field 'marks' are missing"):
        run(made)


def test_held_out_data_without_labels_of_a_task_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    write_shard(tmp_path / "raw/train-00000.tar", drawn(20, 0))
    bare = [(key, [m for m in members if m[0] != "lit.txt"]) for key, members in drawn(20, 99)]
    write_shard(tmp_path / "raw/test-00000.tar", bare)
    made = settings(tmp_path)
    with pytest.raises(ConfigError, match=r"held-out data \(dataset.test_shards\) has no label of task 'lit'"):
        run(made)
    assert not list((tmp_path / "private").glob("generator*"))
