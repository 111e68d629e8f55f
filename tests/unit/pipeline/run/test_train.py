"""The driver's side of training: a generator whose labels are drowned by the image is named on the terminal."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pipeline.cluster.progress import Reporter
from pipeline.run.session import Session
from pipeline.run.train import train_or_find
from pipeline.state.generators import add_generator
from schemas.plans import TrainPlan
from schemas.records import GeneratorRecord
from schemas.training import Train
from stages.io.store.store import Store
from tests import builders


class Listener(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str, **fields: object) -> None:
        self.said.append(text)


@pytest.mark.parametrize(("share", "warnings"), [(0.29, 1), (0.8, 0), (None, 0)])
def test_a_run_warns_of_a_generator_whose_labels_explain_less_than_half_of_delta(
    share: float | None, warnings: int, tmp_path: Path
) -> None:
    work, listener = Store(str(tmp_path)), Listener()
    train = Train(perturber="generator", generator="tiny")
    plan = TrainPlan(train=train, tasks=builders.tasks(), protected=[True, True], epsilon=8 / 255)
    record = GeneratorRecord(
        fingerprint="f",
        plan=plan.fingerprint,
        spec=plan.spec,
        sha256="s",
        samples=9,
        steps=1,
        seconds=1.0,
        explained=share,
    )
    add_generator(work, plan, record)
    # The generator is there: nothing is trained, and no worker is asked.
    session = cast(Session, SimpleNamespace(reporter=listener, work=work, plans=SimpleNamespace(train=plan)))
    assert train_or_find(session, [], retrain=False) == record
    assert sum("explain 29% of the variance" in text for text in listener.said) == warnings
