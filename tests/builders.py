"""Small inputs that many tests share: pictures, shards, tables, configurations and an untrained generator."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from schemas.config import Config
from schemas.perturbers import has_part
from schemas.plans import GeneratorSpec
from schemas.records import ShardRef
from schemas.tasks import Task
from schemas.training import Train
from stages.io.images.encoding import encode_image
from stages.io.shards.tar import TarWriter
from stages.io.store.store import Store
from stages.learning.table import ImageTable, TableWriter, open_table
from stages.perturbers.generator.network import Generator
from stages.perturbers.perturber import GeneratorPerturber
from stages.tasks.kinds import kinds_of
from stages.tasks.task_kind import TaskKind

BuiltSample = tuple[str, list[tuple[str, bytes]]]
"""Key and members, each (field, data), in the order stored."""

CLASSES: Mapping[str, int] = {"a": 3, "b": 2}


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image of Pillow in any of its formats."""
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """PNG of H×W×C uint8 or uint16, C = 1..4."""
    return encode_image(pixels, "png")


def jpeg(pixels: np.ndarray) -> bytes:
    """JPEG of H×W×C uint8, C = 1 or 3."""
    return encoded(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), "JPEG", quality=90)


def picture(seed: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """A smooth random picture with a little noise, H×W×C uint8, all values away from 0 and 255."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[0:height, 0:width] / max(height, width)
    planes = []
    for _ in range(channels):
        a, b, c = rng.uniform(1, 9, 3)
        planes.append(128 + 60 * np.sin(a * right + b * down + c) + rng.normal(0, 6, (height, width)))
    return np.clip(np.stack(planes, axis=2), 10, 245).astype(np.uint8)


def labelled_picture(labels: Sequence[int], classes: Sequence[int], size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise that depends a little on the labels: the first task tints it, the others lay stripes over it."""
    image = rng.normal(128, 20, (size, size, 3))
    ramp = np.arange(size)
    for task, (label, count) in enumerate(zip(labels, classes, strict=True)):
        if task == 0:
            image[..., label % 3] += 40 + 20 * (label // 3)
        else:
            stripes = 25 * np.sign(np.sin(2 * np.pi * (label + 1) * ramp / (2 * count) + task))
            image += stripes[:, None, None] if task % 2 else stripes[None, :, None]
    return np.clip(image, 0, 255).astype(np.uint8)


def labelled_samples(
    count: int, *, size: int = 16, classes: Mapping[str, int] = CLASSES, seed: int = 0
) -> list[BuiltSample]:
    """Samples `s00000`, … with members `jpg` and `json` ({"a": 2, "b": 0}), whose looks depend on their labels."""
    rng = np.random.default_rng(seed)
    samples: list[BuiltSample] = []
    for number in range(count):
        labels = {name: int(rng.integers(classes_of_task)) for name, classes_of_task in classes.items()}
        image = labelled_picture(list(labels.values()), list(classes.values()), size, rng)
        samples.append((f"s{number:05d}", [("jpg", jpeg(image)), ("json", json.dumps(labels).encode())]))
    return samples


def write_shard(path: Path, samples: Sequence[BuiltSample]) -> Path:
    """Write samples as a tar shard; makes its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TarWriter(path) as tar:
        for key, members in samples:
            for field, data in members:
                tar.add(f"{key}.{field}", data)
    return path


def shard_ref(path: Path) -> tuple[Store, ShardRef]:
    """The store of a local shard's directory, and the shard as a listing shows it."""
    store = Store(str(path.parent))
    entry = store.stat(path.name)
    assert entry is not None, path
    return store, ShardRef(name=entry.name, url=store.join(entry.name), size=entry.size, etag=entry.etag)


def config(root: Path, **overrides: Any) -> Config:
    """A configuration with tiny training settings for the tasks of `labelled_samples`.

    Raw shards lie in `root/raw/train-*.tar` (held-out ones in `root/raw/test-*.tar`, when `audit` is overridden), the
    public place is `root/public`, the private one `root/private`. An override that is a dict is laid over the default
    of that section; any other value replaces it: `config(tmp_path, train={"method": "tap"}, tasks=[...])`.
    """
    values: dict[str, Any] = {
        "name": "tiny",
        "dataset": {"shards": f"{root}/raw/train-*.tar", "image": "jpg;png;webp"},
        "tasks": [{"field": f"json.{name}", "classes": count} for name, count in CLASSES.items()],
        "protection": {"epsilon": "8/255"},
        "train": {
            "perturber": "generator",
            "method": "em",
            "width": 4,
            "generator": "tiny",
            "resolution": 16,
            "epochs": 1,
            "surrogate_epochs": 1,
            "batch_size": 32,
            "augment": ["crop"],
            "max_samples": 120,
        },
        "protect": {"max_quarantined": 1.0, "max_failed": 1.0},
        "output": f"{root}/public",
        "work": f"{root}/private",
        "compute": {"cpus": 2, "gpus": 0},
    }
    if overrides.get("audit") is not None:
        values["dataset"]["test_shards"] = f"{root}/raw/test-*.tar"
        values["audit"] = {
            "victims": ["resnet18"],
            "learning_rates": [1e-3],
            "width": 4,
            "epochs": 1,
            "batch_size": 32,
            "max_samples": 120,
        }
    for name, value in overrides.items():
        values[name] = {**values[name], **value} if isinstance(values.get(name), dict) else value
    values["train"] = {**settings_with_a_part(values["train"]), **overrides.get("train", {})}
    return Config.model_validate(values)


def settings_with_a_part(train: Mapping[str, Any]) -> dict[str, Any]:
    """Of settings that several trainings share, those that have a part in this one; a training refuses the others."""
    perturber, method = train.get("perturber", "codes"), train.get("method", "em")
    return {key: value for key, value in train.items() if has_part(key, perturber, method)}


def training(shared: Mapping[str, Any], **own: Any) -> Train:
    """A training of its own settings, and of shared ones that have a part in it."""
    return Train.model_validate({**settings_with_a_part({**shared, **own}), **own})


def tasks(class_counts: Sequence[int] = (3, 2)) -> list[Task]:
    """Tasks `a`, `b`, … of these numbers of classes; by default those of `labelled_samples`."""
    return [Task(field=f"json.{chr(ord('a') + number)}", classes=count) for number, count in enumerate(class_counts)]


def kinds(class_counts: Sequence[int] = (3, 2)) -> list[TaskKind]:
    """`tasks` with what their kinds can do."""
    return kinds_of(tasks(class_counts))


def columns(labels: Sequence[Sequence[int]]) -> tuple[torch.Tensor, ...]:
    """Labels written sample by sample, B×K, as the models take them: one tensor a task."""
    return tuple(torch.tensor(labels).unbind(1))


def generator(
    *,
    seed: int = 0,
    preset: str = "tiny",
    class_counts: Sequence[int] = (3, 2),
    protected: Sequence[bool] = (True, True),
    resolution: int = 16,
    epsilon: float = 8 / 255,
) -> Generator:
    """An untrained generator in eval mode; the global random state is left alone."""
    spec = GeneratorSpec(
        preset=preset,
        resolution=resolution,
        epsilon=epsilon,
        tasks=tasks(class_counts),
        protected=list(protected),
        balanced=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = Generator(spec)
    return made.eval().requires_grad_(False)


def perturber(made: Generator | None = None, **settings: Any) -> GeneratorPerturber:
    """A generator, by default an untrained one of these `settings`, as a perturber."""
    return GeneratorPerturber(made or generator(**settings), "untrained")


def constant_generator(value: float, **settings: Any) -> Generator:
    """A generator whose δ is `value`·ε everywhere, whatever the image and its labels."""
    made = generator(**settings)
    last = made.decoder[-1]
    assert isinstance(last, torch.nn.ConvTranspose2d)
    assert last.bias is not None
    last.weight.zero_()
    last.bias.fill_(math.atanh(value) if abs(value) < 1 else math.copysign(20, value))  # δ is ε·tanh of it
    return made


def table(
    path: Path,
    count: int,
    *,
    size: int = 16,
    classes: Sequence[int] = (3, 2),
    seed: int = 0,
    labels: np.ndarray | None = None,
) -> ImageTable:
    """A table of `labelled_picture`s; `labels` (N×K) replaces what is stored as labels, not what the images show."""
    rng = np.random.default_rng(seed)
    shown = np.stack([rng.integers(0, count_of_task, count) for count_of_task in classes], axis=1)
    writer = TableWriter(path, resolution=size, kinds=kinds(classes))
    for row, stored in zip(shown, shown if labels is None else labels, strict=True):
        writer.add(labelled_picture(row, classes, size, rng), [int(label) for label in stored], gray=False)
    writer.close()
    return open_table([path], kinds(classes))
