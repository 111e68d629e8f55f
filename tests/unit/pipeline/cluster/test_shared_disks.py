"""What Ray lists as a node may be lost already, or be unknown to this process's Ray: no run ends for that."""

from __future__ import annotations

import time
from typing import Any

import pytest
import ray

from pipeline.cluster import shared_disks
from pipeline.cluster.executor import Executor
from schemas.config import Compute
from schemas.errors import TransientError

STRANGER = {"NodeID": "ab" * 28, "NodeManagerAddress": "192.0.2.7", "Alive": True}
"""No Ray here knows this node."""


def one() -> int:
    return 1


def list_stranger(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Ray's list has the node `times` times, then no more; it is a list that lags behind, all else is Ray's own."""
    true, told = ray.nodes, []

    def listed() -> list[dict[str, Any]]:
        told.append(None)
        return [*true(), STRANGER] if len(told) <= times else true()

    monkeypatch.setattr(shared_disks.ray, "nodes", listed)


def test_a_node_that_was_lost_before_ray_noticed_is_left_out(
    ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_stranger(monkeypatch, times=3)
    assert shared_disks.on_other_nodes(Executor(Compute()), one) == []


def test_a_node_that_stays_listed_and_cannot_be_used_is_named(
    ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_stranger(monkeypatch, times=1_000_000)
    monkeypatch.setattr(shared_disks, "NOTICE_SECONDS", 2)
    started = time.monotonic()
    with pytest.raises(TransientError, match=r"node 192\.0\.2\.7 of local cannot be used: .*not schedulable"):
        shared_disks.on_other_nodes(Executor(Compute()), one)
    assert time.monotonic() - started > 2, "it was not asked again"
