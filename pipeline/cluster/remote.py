"""Calls on Ray whose worker imports mtlue from where this process did.

Ray puts the driver's working directory and script directory before everything else on a worker's `sys.path`. A folder
named `stages` there would replace ours. So what Ray imports first is sent by value, and it sets the order before
anything of mtlue is unpacked. On a machine without this process's path, the worker's own installation serves.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle

ROOT = str(Path(__file__).parents[2])
"""The directory from which this process imported its packages."""


def _by_value() -> tuple[Any, Any]:
    """A remote function and an actor; cloudpickle sends by value what is defined inside a function."""

    def unpack(packed: bytes, root: str, last: list[str]) -> Any:
        import importlib
        import pickle
        import sys

        if "mtlue" not in sys.modules:
            for _ in last:
                if sys.path[0] in last:
                    sys.path.append(sys.path.pop(0))
            order = list(sys.path)
            sys.path.insert(0, root)
            try:
                importlib.import_module("mtlue")  # imports our packages from beside itself
            finally:
                sys.path[:] = order
        return pickle.loads(packed)  # noqa: S301 - this process packed it

    def call(packed: bytes, root: str, last: list[str]) -> Any:
        function, arguments = unpack(packed, root, last)
        return function(*arguments)

    class Remote:
        def __init__(self, packed: bytes, root: str, last: list[str]) -> None:
            kind, arguments = unpack(packed, root, last)
            self.inner = kind(*arguments)

        def do(self, packed: bytes, root: str, last: list[str]) -> Any:
            method, arguments = unpack(packed, root, last)
            return getattr(self.inner, method)(*arguments)

    # Ray repeats nothing by itself: it does not count the workers that it kills for their memory, and would go on
    # for ever.
    return ray.remote(max_retries=0)(call), ray.remote(max_restarts=0)(Remote)


_call, _actor = _by_value()


def submit(options: dict[str, Any], function: Callable[..., Any], *arguments: Any) -> Any:
    """Run `function(*arguments)` in a worker; a reference to its result.

    Args:
        options: Ray's, as `num_cpus`.
        function: module-level, or anything that cloudpickle takes.
        arguments: small; they travel as one message.
    """
    return _call.options(**options).remote(*_packed(function, arguments))


class RemoteObject:
    """An object in a worker of its own.

    Args:
        options: Ray's, as `num_cpus`.
        kind: its class.
        arguments: of the class.
    """

    def __init__(self, options: dict[str, Any], kind: type, *arguments: Any) -> None:
        self._handle = _actor.options(**options).remote(*_packed(kind, arguments))

    def do(self, method: str, *arguments: Any) -> Any:
        """Call a method; a reference to its result."""
        return self._handle.do.remote(*_packed(method, arguments))

    def kill(self) -> None:
        """End the worker."""
        ray.kill(self._handle)


def _packed(what: Any, arguments: tuple[Any, ...]) -> tuple[bytes, str, list[str]]:
    script = os.path.dirname(os.path.realpath(sys.argv[0] if sys.argv else ""))
    packed: bytes = cloudpickle.dumps((what, arguments))  # type: ignore[no-untyped-call]
    return packed, ROOT, [os.path.abspath(os.curdir), script]
