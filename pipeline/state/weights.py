"""Weights that networks start from: a file on the driver's disk, in `work` under its checksum, a file at a worker."""

from __future__ import annotations

from pathlib import Path

from schemas.errors import ConfigError
from schemas.plans import TrainPlan
from stages.io.store.checksums import file_sha256
from stages.io.store.store import Store


def weights_sha256(path: str) -> str:
    """What decides the weights, wherever their file lies.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return file_sha256(Path(path))
    except OSError as error:
        raise ConfigError(f"{path}: pretrained weights cannot be read ({error.strerror or error})") from None


def upload_weights(work: Store, path: str) -> None:
    """Bring a file of this machine to where workers find it, if it is not there."""
    name = _object(weights_sha256(path))
    if work.stat(name) is None:
        work.put(Path(path), name)


def fetch_weights(work: Store, sha256: str, folder: Path) -> Path:
    """The file with this checksum, in a folder of this worker."""
    path = folder / f"{sha256}.safetensors"
    work.get(_object(sha256), path)
    return path


def with_fetched_weights(work: Store, plan: TrainPlan, folder: Path) -> TrainPlan:
    """The plan with the paths of this worker for what its surrogates start from."""
    weights = {name: str(fetch_weights(work, sha256, folder)) for name, sha256 in plan.weights.items()}
    return plan.model_copy(update={"train": plan.train.model_copy(update={"weights": weights})})


def _object(sha256: str) -> str:
    return f"weights/{sha256}.safetensors"
