"""A node that has just joined may not be known to this process's Ray: it is asked again, and not for ever."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.cluster.nodes import _answer
from pipeline.cluster.worker import remote_call


def one() -> int:
    return 1


def call(node: str, directory: Path) -> Any:
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return remote_call.options(num_cpus=0, scheduling_strategy=there).remote(one, (), str(directory), 60.0)


def test_a_node_that_is_not_known_yet_is_asked_again_until_the_deadline(ray_session: None, tmp_path: Path) -> None:
    unknown, known = "ab" * 28, ray.get_runtime_context().get_node_id()
    nodes = [unknown, known]
    first = call(unknown, tmp_path)
    assert _answer(lambda: call(nodes.pop(0), tmp_path), first, time.monotonic() + 600) == 1
    assert nodes == []
    with pytest.raises(TaskUnschedulableError):
        _answer(lambda: call(unknown, tmp_path), call(unknown, tmp_path), time.monotonic() - 1)
