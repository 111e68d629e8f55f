"""A Ray of this process's own: its files are private and leave with it, its start is tried again on a busy machine."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ray

from pipeline.cluster.scratch import Scratch
from schemas.config import Compute
from schemas.errors import ConfigError, TransientError

START_ATTEMPTS = 3
"""Times that a Ray is started; each waits 30 s for its processes (Ray's own limit)."""

PAUSE_SECONDS = 15.0
"""Pause after a start that failed; the second is twice as long."""

LONGEST_PARENT = 22
"""Bytes of the path of a directory for Ray's files: 107 of a socket's path, less 85 of our names and of Ray's."""

OBJECT_STORE_BYTES = 150 * 2**20
"""Memory of Ray's object store. Only small records travel through Ray; images never do."""

NICENESS = "RAY_worker_niceness"
"""Ray gives its workers a niceness of 15; on a busy machine they get a thirtieth of a core. A Ray of our own has 0."""

STATISTICS = "RAY_USAGE_STATS_ENABLED"
"""Ray sends statistics of its use to its makers every hour unless this is 0. A Ray of our own sends nothing."""

TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 - the name of a variable


logger = logging.getLogger(__name__)


class LocalRay:
    """One Ray, joined by nobody else.

    Ray gives mode 0777 to its folder, and its logs can be read by all. Here the folder lies in a private one. Ray's
    token lies in the environment instead of a file below HOME, which may not exist or take no files.

    Args:
        compute: its CPUs and GPUs, and whether its dashboard is started too.

    Raises:
        ConfigError: no directory can take Ray's files.
    """

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.scratch = _short_scratch()
        self.directory = f"{self.scratch.path}/r"
        self.dashboard = ""
        """Address of Ray's dashboard, once it runs."""
        self.own_token = not {TOKEN, "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
        if self.own_token:
            os.environ[TOKEN] = secrets.token_hex(32)
            _read_token_again()

    @property
    def options(self) -> dict[str, Any]:
        """All options of `ray.init`; what Ray reads from the environment is set in `start`."""
        compute = self.compute
        return {
            "address": "local",
            "num_cpus": os.cpu_count() if compute.cpus == "auto" else compute.cpus,
            **({} if compute.gpus == "auto" else {"num_gpus": compute.gpus}),
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": compute.dashboard,
            "log_to_driver": False,
            "logging_level": "ERROR",
            "_temp_dir": self.directory,
            "_skip_env_hook": True,
        }

    def start(self) -> None:
        """Start it.

        Raises:
            TransientError: it did not start in `START_ATTEMPTS` times.
            ConfigError: it never will with these options.
        """
        os.environ.setdefault(NICENESS, "0")
        os.environ.setdefault(STATISTICS, "0")
        if self.compute.dashboard:
            _check_dashboard()
        problem = ""
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                context = ray.init(**self.options)
                self.dashboard = (context.dashboard_url or "") if self.compute.dashboard else ""
                return
            except Exception as error:  # Ray raises Exception itself when its processes are slow
                if _lasts(error):
                    raise ConfigError(
                        f"compute.address 'local': Ray cannot start ({error}); check `compute`, and that TMPDIR and "
                        "RAY_TMPDIR are directories that you may write to"
                    ) from None
                problem = " ".join(str(error).split())[:300]
                logger.warning("Ray did not start, attempt %d of %d: %s", attempt, START_ATTEMPTS, problem)
            ray.shutdown()
            self._end_processes()
            if attempt < START_ATTEMPTS:
                time.sleep(PAUSE_SECONDS * attempt)
        raise TransientError(
            f"Ray did not start on this machine in {START_ATTEMPTS} attempts. The machine is too busy, or has too "
            f"little memory or disk: wait until other work ends, or lower compute.cpus, and run again ({problem})"
        )

    def close(self) -> None:
        """Remove its files and its token; Ray itself is shut down before."""
        if self.own_token:
            os.environ.pop(TOKEN, None)
            _read_token_again()
        self.scratch.close()

    def _end_processes(self) -> None:
        """End what a start that failed left running; each such process names Ray's directory in its command line."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if f"{self.directory}/".encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                    os.kill(int(path.parent.name), signal.SIGKILL)


def _check_dashboard() -> None:
    """Raise ConfigError when the packages of Ray's dashboard are not installed."""
    if find_spec("aiohttp_cors") is None or find_spec("prometheus_client") is None:
        raise ConfigError(
            "compute.dashboard: the packages of Ray's dashboard are not installed; pip install 'mtlue[dashboard]', or "
            "leave it out"
        )


def _lasts(error: Exception) -> bool:
    """Whether another start would fail in the same way; timeouts are errors of the system too, and do not last."""
    slow = isinstance(error, (TimeoutError, ConnectionError))
    return isinstance(error, (ValueError, OSError)) and not slow


def _short_scratch() -> Scratch:
    """A private directory whose path leaves room for Ray's sockets, which may have 107 bytes.

    Raises:
        ConfigError: there is none.
    """
    wanted = [os.environ.get("RAY_TMPDIR", ""), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]  # noqa: S108
    if Path(tempfile.gettempdir()).name.startswith("mtlue-run-"):
        wanted[1] = str(Path(tempfile.gettempdir()).parent)
    for parent in wanted:
        if parent and len(os.fsencode(parent)) <= LONGEST_PARENT and os.access(parent, os.W_OK | os.X_OK):
            return Scratch(parent)
    tried = ", ".join(filter(None, wanted))
    raise ConfigError(
        f"no directory for Ray's sockets: their paths may have 107 bytes, and none of {tried} "
        f"is short enough (at most {LONGEST_PARENT}) and writable; set RAY_TMPDIR to one that is"
    )


def _read_token_again() -> None:
    """Ray keeps the token that it has read once; older ones (before 2.52) have none."""
    loader = getattr(ray._raylet, "AuthenticationTokenLoader", None)
    if loader is not None:
        loader.instance().reset_cache()
