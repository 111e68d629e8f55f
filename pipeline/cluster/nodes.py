"""One function, once on every other node of a cluster that was joined."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.cluster import worker
from pipeline.cluster.executor import START_SECONDS, Executor
from pipeline.cluster.remote import submit
from schemas.errors import MtlueError, TransientError

T = TypeVar("T")

NOTICE_SECONDS = 60
"""How long Ray may take to notice that a node was lost (five health checks, 3 s apart), or here that one has joined."""


def on_other_nodes(executor: Executor, work: Callable[[], T]) -> list[tuple[str, T]]:
    """Do one short work once on every node but this process's own: each node's address and result.

    A node that was lost does no job, and is left out.

    Raises:
        TransientError: a node does not answer, or cannot run mtlue.
    """
    executor.start()
    mine = ray.get_runtime_context().get_node_id()
    others = {name: node for name, node in _alive().items() if name != mine}

    def call(name: str) -> Any:
        there = NodeAffinitySchedulingStrategy(name, soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": there}
        return submit(options, worker.call, work, executor.directory, START_SECONDS)

    calls, deadline = {name: call(name) for name in others}, time.monotonic() + NOTICE_SECONDS
    found: list[tuple[str, T]] = []
    for name, node in others.items():
        address = node["NodeManagerAddress"]
        try:
            while True:
                try:
                    value = ray.get(calls[name], timeout=START_SECONDS)
                    break
                except TaskUnschedulableError:
                    if name not in _alive() or time.monotonic() > deadline:
                        raise
                    time.sleep(1)
                    calls[name] = call(name)
        except (GetTimeoutError, RayError) as error:
            if name not in _alive():
                continue  # it was lost before, and listed until Ray noticed
            problem = " ".join(str(error).split())[:300]
            raise TransientError(f"node {address} of {executor.compute.address} cannot be used: {problem}") from None
        if isinstance(value, MtlueError):
            raise value
        found.append((address, value))
    return found


def _alive() -> dict[str, dict[str, Any]]:
    """The nodes that Ray takes for alive now, by their names."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {node["NodeID"]: node for node in nodes if node["Alive"]}
