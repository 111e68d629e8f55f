"""One label only: a run is refused before any training where δ would be the same for every image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.run.estimate import make_plan
from pipeline.run.ingest import refuse_one_label
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.records import ShardProfile
from schemas.stats import Moments
from stages.tasks.counts import LabelCounts
from stages.tasks.kinds import kinds_of
from tests.builders import config, jpeg, picture, write_shard

LABELS_ALONE = ("codes", "floor", "lsp", "ar")


def profile(made: Config, rows: list[list[object]], name: str = "a.tar") -> ShardProfile:
    """Of samples whose raw labels these are, one a task."""
    kinds = kinds_of(made.tasks)
    counts = LabelCounts(kinds)
    for row in rows:
        counts.add([kind.label(raw) for kind, raw in zip(kinds, row, strict=True)])
    return ShardProfile(
        name=name, samples=len(rows), bytes=1, sha256="", modes={}, height=Moments(), width=Moments(),
        histograms=counts.histograms, values=counts.values, missing=counts.missing,
    )  # fmt: skip


def check(made: Config, *profiles: ShardProfile) -> None:
    refuse_one_label(made, profiles)


@pytest.mark.parametrize("perturber", LABELS_ALONE)
def test_one_class_in_all_shards_is_refused_where_delta_depends_on_labels_alone(tmp_path: Path, perturber: str) -> None:
    made = config(tmp_path, train={"perturber": perturber}, tasks=[{"field": "json.a", "classes": ["me", "others"]}])
    with pytest.raises(
        ConfigError, match=r"every label .* the same \(a: me\); perturber .*Add images of other"
    ) as error:
        check(made, profile(made, [["me"], ["me"]]), profile(made, [["me"], [None]]))
    assert error.value.exit_code == 2
    check(made, profile(made, [["me"], ["me"]]), profile(made, [["others"]]))


def test_a_perturber_that_sees_the_image_is_not_refused(tmp_path: Path) -> None:
    for perturber in ("generator", "pil", "em-sample"):
        made = config(tmp_path, train={"perturber": perturber}, tasks=[{"field": "json.a", "classes": 2}])
        check(made, profile(made, [[0], [0]]))


@pytest.mark.parametrize(
    ("tasks", "one", "two"),
    [
        ([{"field": "json.a", "kind": "regression"}], [30], [31]),
        ([{"field": "json.a", "kind": "binary"}], ["no"], ["yes"]),
        ([{"field": "json.a", "kind": "multilabel", "findings": ["x", "y"]}], [["x"]] * 2, [["y"]] * 2),
        ([{"field": "json.a", "classes": 3}, {"field": "json.b", "classes": 3}], [0, 1], [0, 2]),
    ],
)
def test_every_kind_of_label_is_judged_and_one_task_that_differs_is_enough(
    tmp_path: Path, tasks: list[dict[str, Any]], one: list[object], two: list[object]
) -> None:
    made = config(tmp_path, train={"perturber": "codes"}, tasks=tasks)
    with pytest.raises(ConfigError, match=r"every label of the protected tasks is the same"):
        check(made, profile(made, [one, one]))
    check(made, profile(made, [one, two]))


def test_only_tasks_that_are_to_be_protected_count(tmp_path: Path) -> None:
    made = config(tmp_path, train={"perturber": "codes"}, protection={"tasks": ["a"]})
    with pytest.raises(ConfigError, match=r"\(a: 0\)"):
        check(made, profile(made, [[0, 0], [0, 1]]))


def test_plan_refuses_what_a_run_would_refuse(tmp_path: Path) -> None:
    samples = [
        (f"s{n}", [("jpg", jpeg(picture(n, 16, 16))), ("json", json.dumps({"a": 1}).encode())]) for n in range(4)
    ]
    write_shard(tmp_path / "raw/train-0.tar", samples)
    made = config(tmp_path, train={"perturber": "floor"}, tasks=[{"field": "json.a", "classes": 2}])
    with pytest.raises(ConfigError, match=r"every label of the protected tasks is the same \(a: 1\)"):
        make_plan(made)
