"""Fixtures that several tests share: a real S3 server, and a small Ray of our own."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.object_stores import AzureServer, Emulator, GcsServer
from tests.servers import FULL, BreakingProxy, S3Server, ServerMissingError

os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "600000")
"""Set before any test starts Ray, also for the processes of tests. With Ray's niceness of 15 a worker gets a thirtieth
of a busy core; an idle worker that is kept saves the next one the import of torch, half of a short run's time."""


os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
"""Read when gcsfs is imported: otherwise it asks Google what kind each bucket is."""

SLOWEST = (
    "integration/test_chaos.py",
    "integration/test_resume.py",
    "integration/test_cluster.py",
    "stages/perturbers/test_perturbers_of_their_own.py",
    "integration/test_gate.py",
    "integration/test_one_writer.py",
    "cluster/test_executor.py",
    "integration/test_run_s3.py",
    "integration/test_cli.py",
    "stages/perturbers/generator/",
    "integration/test_s3_store.py",
    "integration/test_import.py",
    "mtlue/test_examples.py",
    "integration/",
    "stages/networks/backbones/",
    "stages/perturbers/",
    "stages/countermeasures/",
)
"""Parts of paths, the slowest first. With `--dist loadfile --no-loadscope-reorder` files begin in this order. So no
process waits at the end for one long file."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first; inside a file, and among the others, the order stays."""

    def rank(item: pytest.Item) -> int:
        return next((number for number, part in enumerate(SLOWEST) if part in str(item.path)), len(SLOWEST))

    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on a busy core are many times as slow as one on networks this small.

    A training on this machine takes as many threads as it has cores (`Executor.stream`), so it has one here.
    `tests.running.start` says the same to processes of their own.
    """
    import torch

    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as context:
        context.setattr(os, "cpu_count", lambda: 1)
        yield


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server for the whole run, its credentials in the environment.

    `s3.endpoint_url` and `s3.storage` reach it; `s3.bucket("raw")` makes a bucket and returns its URL, `s3.bucket()`
    one of a new name. Without the server the test is skipped; it fails in CI, where a skip would go unnoticed.
    """
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        nowhere = str(tmp_path_factory.mktemp("aws") / "none")
        environment.setenv("AWS_CONFIG_FILE", nowhere)
        environment.setenv("AWS_SHARED_CREDENTIALS_FILE", nowhere)
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        environment.setenv("AWS_ACCESS_KEY_ID", FULL[0])
        environment.setenv("AWS_SECRET_ACCESS_KEY", FULL[1])
        server = started(S3Server, tmp_path_factory.mktemp("s3"))
        try:
            yield server
        finally:
            server.stop()


T = TypeVar("T")


def started(kind: Callable[[Path], T], directory: Path) -> T:
    """A server; where it is not installed the test is skipped, and fails in CI, where a skip would go unnoticed."""
    try:
        return kind(directory)
    except ServerMissingError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A server of Google Cloud Storage for the whole run, found through the environment."""
    yield from _emulator(GcsServer, tmp_path_factory.mktemp("gcs"))


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A server of Azure's blobs for the whole run, found through the environment."""
    yield from _emulator(AzureServer, tmp_path_factory.mktemp("azure"))


def _emulator(kind: type[Emulator], directory: Path) -> Iterator[Emulator]:
    server = started(kind, directory)
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in server.environment.items():
                environment.setenv(name, value)
            yield server
    finally:
        server.stop()


@pytest.fixture
def breaking(s3: S3Server) -> Iterator[BreakingProxy]:
    """A connection to the S3 server that breaks as the test says."""
    proxy = BreakingProxy(s3.endpoint_url)
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A Ray of two CPUs for the whole run, joined to no other; one that a test has started itself is left as it is."""
    import ray

    if ray.is_initialized():
        yield
        return
    with pytest.MonkeyPatch.context() as environment:
        # Its limit counts the whole machine's memory: on a busy one it kills workers that use little.
        environment.setenv("RAY_memory_monitor_refresh_ms", "0")
        # Workers keep the environment of this moment: those that `s3` needs, whichever fixture comes first.
        environment.setenv("AWS_ACCESS_KEY_ID", FULL[0])
        environment.setenv("AWS_SECRET_ACCESS_KEY", FULL[1])
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(
                address="local",
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=150 * 2**20,
                log_to_driver=False,
            )
        yield
        ray.shutdown()


EXECUTORS = ("pipeline.cluster.executor", "pipeline.run.session", "pipeline.run.verify")
"""Modules that name the executor of jobs."""


@pytest.fixture(scope="module")
def here() -> Iterator[None]:
    """Jobs of a module's tests run in this process.

    A worker of Ray imports torch for seconds, and each training has a worker of its own. Tests of what a run does need
    none of that; tests of Ray's part take `ray_session`, `on_ray` or a process of their own.
    """
    from tests.here import Here

    with pytest.MonkeyPatch.context() as context:
        for module in EXECUTORS:
            context.setattr(f"{module}.Executor", Here)
        yield


@pytest.fixture
def on_ray(ray_session: None) -> Iterator[None]:
    """Jobs of this test run on Ray, in a module whose others run `here`."""
    from tests.here import Executor

    with pytest.MonkeyPatch.context() as context:
        for module in EXECUTORS:
            context.setattr(f"{module}.Executor", Executor)
        yield
