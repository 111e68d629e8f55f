"""Which trackers listen to a run: the one list of them; they are opened with it and closed with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from pipeline.cluster.progress import Reporter
from pipeline.run.events import Event, Listener
from pipeline.trackers.folder import LINES, LOG, JsonLines, RunFolder
from pipeline.trackers.log import LogFile
from pipeline.trackers.mlflow import MLflow, check_mlflow
from pipeline.trackers.prometheus import Prometheus
from pipeline.trackers.tensorboard import TensorBoard
from schemas.config import Config
from schemas.errors import INTERRUPTED, MtlueError
from schemas.secrets import scrub
from stages.io.store.store import Store

logger = logging.getLogger(__name__)


def check_trackers(config: Config) -> None:
    """Raise ConfigError when a tracker that is asked for cannot be had."""
    if config.watch.mlflow:
        check_mlflow()


@contextmanager
def tracked(reporter: Reporter, config: Config, work: Store) -> Iterator[None]:
    """Let the trackers of a configuration hear what happens inside; an error's exit code is the last of it."""
    events = reporter.events
    try:
        events.listeners += _listeners(config, RunFolder(work))
    except (MtlueError, OSError) as error:
        reporter.show(f"events: no log is written ({scrub(error)}); the run goes on")
    try:
        events.tell("began", text=f"mtlue {_version()}, dataset {config.name}")
        yield
    except BaseException as error:
        logger.info("the run ends with an error", exc_info=not isinstance(error, KeyboardInterrupt | MtlueError))
        events.tell("ended", text=_words(error), figures={"exit_code": _exit_code(error)})
        raise
    finally:
        events.close()


def _listeners(config: Config, folder: RunFolder) -> list[Listener]:
    """The trackers; that of the folder comes last, so that it saves what the others wrote."""
    found: list[Listener] = [
        LogFile(folder.path / LOG),
        JsonLines(folder.path / LINES),
        TensorBoard(folder.path),
    ]
    if config.compute.dashboard or config.compute.address != "local":
        found.append(Prometheus())
    if config.watch.mlflow:
        found.append(MLflow(config.watch.mlflow, config.name, folder.name, _parameters(config)))
    return [*found, Upload(folder)]


class Upload:
    """Copies the run's folder into an object store."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def hear(self, event: Event) -> None:
        """Now and then."""
        self.folder.save()

    def close(self) -> None:
        """For the last time."""
        self.folder.close()


def _parameters(config: Config) -> dict[str, str]:
    train = config.train
    return {
        "dataset": config.name,
        "tasks": str(len(config.tasks)),
        "perturber": train.perturber,
        "epsilon": f"{config.protection.bound}/255",
        "seed": str(train.seed),
        "mtlue": _version(),
    }


def _version() -> str:
    try:
        return version("mtlue")
    except PackageNotFoundError:
        return "not installed as a package"


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return error.exit_code if isinstance(error, MtlueError) else 1


def _words(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; the next run goes on from there"
    return error.message if isinstance(error, MtlueError) else f"{type(error).__name__}: {error}"
