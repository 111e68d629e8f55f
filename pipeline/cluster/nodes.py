"""One function, once on every other node of a cluster that was joined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.cluster.executor import START_SECONDS, Executor
from pipeline.cluster.worker import remote_call
from schemas.errors import MtlueError, TransientError

T = TypeVar("T")


def on_other_nodes(executor: Executor, function: Callable[..., T], arguments: tuple[Any, ...]) -> list[tuple[str, T]]:
    """Run one short function once on every node but this process's own: each node's address and result.

    Raises:
        TransientError: a node does not answer, or cannot run mtlue.
    """
    executor.start()
    mine = ray.get_runtime_context().get_node_id()
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    others = [node for node in nodes if node["Alive"] and node["NodeID"] != mine]
    calls = [
        remote_call.options(
            num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(function, arguments, executor.directory, START_SECONDS)
        for node in others
    ]
    found: list[tuple[str, T]] = []
    for node, call in zip(others, calls, strict=True):
        address = node["NodeManagerAddress"]
        try:
            value = ray.get(call, timeout=START_SECONDS)
        except (GetTimeoutError, RayError) as error:
            told = " ".join(str(error).split())[:300]
            raise TransientError(f"node {address} of {executor.compute.address} cannot be used: {told}") from None
        if isinstance(value, MtlueError):
            raise value
        found.append((address, value))
    return found
