"""Arrays in, arrays out: learn a perturber from images and labels in memory, and protect images with it.

Shapes: N images, H×W×C pixels (C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA), K tasks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pipeline.configuration.loading import check_config
from pipeline.configuration.plans import train_plan
from schemas.config import Config
from schemas.errors import ConfigError, InputError, SampleError
from schemas.plans import GeneratorSpec
from schemas.protection import Withstood
from schemas.tasks import Task
from stages.io.images.spill import Pixels
from stages.perturbers.perturber import GeneratorPerturber
from stages.perturbers.registry import PERTURBERS, network_of
from stages.protect.arrays import protected_images, table_of
from stages.tasks.kinds import fitted_tasks, kinds_of
from stages.tasks.task_kind import TaskKind

Images = np.ndarray | Sequence[np.ndarray]
"""N images: one array N×H×W or N×H×W×C, or a sequence of arrays H×W or H×W×C of any sizes; uint8 or uint16."""

Labels = Mapping[str, Sequence[Any]]
"""Name of each task → its N labels, as a JSON member would hold them: an index, a name, a number; None is missing.
Masks, depths and normals are arrays H×W or H×W×3."""

FORMAT = "mtlue-perturber-1"


class Perturber:
    """A learned perturbation; whoever has it can undo the protection.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> images = rng.integers(0, 256, size=(32, 16, 16, 3), dtype=np.uint8)
        >>> labels = {"shape": [number % 2 for number in range(32)]}
        >>> perturber = fit(images, labels, train={"perturber": "floor", "resolution": 16})
        >>> protected = perturber.protect(images, labels)
        >>> int(np.abs(protected.astype(int) - images).max())
        8
    """

    def __init__(self, network: torch.nn.Module, spec: GeneratorSpec) -> None:
        self._network, self.spec = network, spec
        self._perturber = GeneratorPerturber(network, spec.fingerprint)

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks whose labels `protect` takes."""
        return [task.name for task in self.spec.tasks]

    @property
    def epsilon(self) -> float:
        """ε, the bound on |δ| in [0, 1] units of the pixel range."""
        return self.spec.epsilon

    def protect(self, images: Images, labels: Labels) -> Any:
        """The same images with a perturbation of at most ε; the same image and labels always get the same one.

        Args:
            images: N images; alpha stays as it is.
            labels: of every task of the perturber.

        Returns:
            An array of the same shape and type where `images` is an array, else a list of arrays.

        Raises:
            InputError: an image or a label cannot be used; the message names its row.
            GeneratorError: the perturbation protects nothing.
        """
        pixels = _pixels(images)
        kinds_labels = _labels(labels, self.spec.tasks, pixels)
        table = table_of(pixels, kinds_labels, kinds_of(self.spec.tasks), self.spec.resolution)
        found = protected_images(pixels, table, self._perturber)
        if isinstance(images, np.ndarray):
            return np.stack(list(found)).reshape(images.shape)
        return [image.reshape(given.shape) for image, given in zip(found, images, strict=True)]

    def save(self, path: str | Path) -> None:
        """Write weights and specification into one safetensors file."""
        header = {"format": FORMAT, "spec": self.spec.model_dump_json(exclude_defaults=True)}
        weights = {name: value.contiguous() for name, value in self._network.state_dict().items()}
        save_file(weights, path, metadata=header)


def load(path: str | Path) -> Perturber:
    """A perturber that `Perturber.save` has written.

    Raises:
        InputError: the file is missing, damaged, or of something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise InputError(f"{path}: this file holds no perturber ({FORMAT}); name one that Perturber.save wrote")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
        spec = GeneratorSpec.model_validate(json.loads(header["spec"]))
        network = network_of(spec)
        network.load_state_dict(weights, strict=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{path}: no perturber can be read from this file ({error}); save it again") from None
    return Perturber(network.eval().requires_grad_(False), spec)


def fit(
    images: Images,
    labels: Labels,
    *,
    tasks: Sequence[Mapping[str, Any]] | None = None,
    epsilon: float | str = "8/255",
    train: Mapping[str, Any] | None = None,
    withstand: Sequence[Withstood] | None = None,
) -> Perturber:
    """Learn a perturber for these images; it protects others with the same tasks as well.

    Args:
        images: N images.
        labels: of each task.
        tasks: as in a configuration file; their `field` names a key of `labels`. None: every key is a classification,
            whole numbers count from 0, and other labels are names.
        epsilon: ε in [0, 1] units, or a fraction in text.
        train: the keys of `train` in a configuration file: `{"perturber": "generator", "method": "tap"}`.
        withstand: as `protection.withstand` in a configuration file: `["gray", "half_size"]`.

    Raises:
        ConfigError: a task or a setting is wrong.
        InputError: an image or a label cannot be used; the message names its row.
        GeneratorError: the training diverges, or its perturbation protects nothing.
    """
    protection = {"epsilon": epsilon} | ({} if withstand is None else {"withstand": list(withstand)})
    config = _config(labels, tasks, protection, train or {})
    plan = train_plan(config)
    plan = plan.model_copy(update={"train": plan.train.model_copy(update={"weights": config.train.weights})})
    pixels = _pixels(images)
    rows = _sample(len(pixels), plan.train.max_samples, plan.train.seed)
    kinds = kinds_of(plan.tasks)
    values = _labels(labels, plan.tasks, pixels)
    table = table_of(
        [pixels[row] for row in rows],
        [[of_task[row] for row in rows] for of_task in values],
        kinds,
        plan.train.resolution,
    )
    fitted = plan.model_copy(update={"tasks": fitted_tasks(plan.tasks, table.labels)})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trained = PERTURBERS[plan.train.perturber].train(table, fitted, device)
    return Perturber(trained.generator, fitted.spec)


def _config(
    labels: Labels, tasks: Sequence[Mapping[str, Any]] | None, protection: Mapping[str, Any], train: Mapping[str, Any]
) -> Config:
    """A configuration with these tasks: the checks and the defaults are those of a configuration file."""
    if not labels:
        raise ConfigError("labels is empty; give it the labels of one task at least, by the task's name")
    wanted = [_inferred(name, values) for name, values in labels.items()] if tasks is None else list(map(dict, tasks))
    nowhere = "arrays"  # nothing is read from there, and nothing is written
    return check_config(
        {
            "dataset": {"shards": nowhere},
            "output": nowhere,
            "tasks": wanted,
            "protection": dict(protection),
            "train": dict(train),
        },
        [],
        "fit",
    )


def _inferred(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """A classification with the classes that occur: whole numbers count from 0, other labels are names."""
    found = {value.item() if isinstance(value, np.generic) else value for value in values if value is not None}
    if all(isinstance(value, int) and value >= 0 for value in found):
        return {"field": name, "classes": max(2, 1 + max(map(int, found), default=0))}
    if all(isinstance(value, str) for value in found):
        return {"field": name, "classes": sorted(found)}
    odd = next(value for value in found if not isinstance(value, str))
    raise ConfigError(
        f"labels[{name!r}] holds {odd!r}, which is neither a class index nor a name; say what the task is: "
        f"tasks=[{{'kind': 'regression', 'field': {name!r}}}]"
    )


def _pixels(images: Images) -> list[Pixels]:
    """Each image as H×W×C."""
    found = []
    for row, image in enumerate(images):
        if image.dtype not in (np.uint8, np.uint16):
            raise InputError(f"images[{row}] has type {image.dtype}; give pixels as stored, uint8 (0..255) or uint16")
        if image.ndim not in (2, 3) or 0 in image.shape or (image.ndim == 3 and image.shape[2] > 4):
            raise InputError(f"images[{row}] has shape {image.shape}; give H×W, or H×W×C with C from 1 to 4")
        found.append(np.atleast_3d(image))
    if not found:
        raise InputError("images is empty; give one image at least")
    return found


def _labels(labels: Labels, tasks: Sequence[Task], images: Sequence[Pixels]) -> list[list[Any]]:
    """Of each task, the label of each image as its kind has it."""
    missing = [task.field for task in tasks if task.field not in labels]
    if missing:
        raise InputError(f"labels has no key {missing[0]!r}; the tasks are {', '.join(task.field for task in tasks)}")
    return [_labels_of(kind, labels[kind.task.field], images) for kind in kinds_of(tasks)]


def _labels_of(kind: TaskKind, values: Sequence[Any], images: Sequence[Pixels]) -> list[Any]:
    name = kind.task.field
    if len(values) != len(images):
        raise InputError(f"labels[{name!r}] has {len(values)} labels for {len(images)} images; give one an image")
    found = []
    for row, (value, image) in enumerate(zip(values, images, strict=True)):
        try:
            label = kind.label(value.item() if isinstance(value, np.generic) else value)
            if not kind.is_missing(label):
                kind.check(label, *image.shape[:2])
        except SampleError as error:
            raise InputError(f"labels[{name!r}][{row}]: {error.problem}") from None
        found.append(label)
    return found


def _sample(count: int, most: int, seed: int) -> list[int]:
    """The rows that a training sees."""
    if count <= most:
        return list(range(count))
    return sorted(np.random.default_rng(seed).choice(count, size=most, replace=False).tolist())
