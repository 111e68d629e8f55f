"""The Python interface: its names, what it loads, and arrays in, arrays out."""

import subprocess
import sys

import numpy as np
import pytest

import mtlue
from schemas.errors import ConfigError, InputError
from tests.running import ROOT

PATTERN = {"perturber": "floor", "resolution": 16}
"""A perturber that needs no training."""

QUICK = {"rounds": 1, "resolution": 16, "batch_size": 8}
"""Class codes of one round."""


def faces(count: int = 24, side: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(count, side, side + 4, 3), dtype=np.uint8)


def shapes(count: int = 24) -> list[int]:
    return [number % 3 for number in range(count)]


def test_the_public_names_are_these():
    assert mtlue.__all__ == ["Perturber", "audit", "fit", "load", "plan", "run", "verify"]
    assert all(callable(getattr(mtlue, name)) for name in mtlue.__all__)
    with pytest.raises(AttributeError, match="it has Perturber, audit"):
        mtlue.protect  # noqa: B018


def test_import_loads_nothing_heavy_and_the_package_is_typed():
    code = "import mtlue, sys; print(sorted({'torch', 'ray', 'pyarrow', 'numpy', 'pydantic'} & {*sys.modules}))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
    assert (ROOT / "mtlue/py.typed").exists()


def test_arrays_of_one_size_come_back_in_their_shape_within_the_bound():
    images = faces()
    perturber = mtlue.fit(images, {"shape": shapes()}, train=PATTERN)
    protected = perturber.protect(images, {"shape": shapes()})
    change = np.abs(protected.astype(int) - images)
    assert (protected.shape, protected.dtype) == (images.shape, images.dtype)
    assert change.max() == 8
    assert change.reshape(len(images), -1).any(axis=1).all()


def test_trained_codes_give_every_image_of_a_class_the_same_perturbation():
    images = np.full((24, 16, 16, 3), 128, dtype=np.uint8)
    perturber = mtlue.fit(images, {"shape": shapes()}, train=QUICK)
    protected = perturber.protect(images, {"shape": shapes()})
    assert np.array_equal(protected[0], protected[3])
    assert not np.array_equal(protected[0], protected[1])


def test_images_of_several_sizes_types_and_channels_come_back_each_in_its_own():
    images = [faces(1)[0], faces(1)[0][:9, :, 0], (faces(1)[0].astype(np.uint16) * 257)[:, :, [0, 1, 2, 0]]]
    perturber = mtlue.fit(images, {"shape": [0, 1, None]}, train=PATTERN)
    protected = perturber.protect(images, {"shape": [0, 1, None]})
    assert [(image.shape, image.dtype) for image in protected] == [(image.shape, image.dtype) for image in images]
    assert np.array_equal(protected[2][:, :, 3], images[2][:, :, 3])  # alpha


def test_kinds_of_task_and_names_are_those_of_a_configuration():
    images, masks = faces(), [np.full((20, 24), number % 2, dtype=np.uint8) for number in range(24)]
    tasks = [{"kind": "segmentation", "field": "mask", "classes": 2}, {"kind": "regression", "field": "age"}]
    labels = {"mask": masks, "age": [float(number) for number in range(24)], "unused": shapes()}
    perturber = mtlue.fit(images, labels, tasks=tasks, train=QUICK)
    assert perturber.tasks == ["mask", "age"]
    assert perturber.protect(images, labels).shape == images.shape


def test_a_saved_perturber_gives_the_same_bytes(tmp_path):
    images, labels = faces(), {"shape": ["disc" if number % 2 else "square" for number in range(24)]}
    perturber = mtlue.fit(images, labels, train=PATTERN, epsilon=4 / 255)
    perturber.save(tmp_path / "secret.safetensors")
    again = mtlue.load(tmp_path / "secret.safetensors")
    assert again.epsilon == 4 / 255
    assert np.array_equal(again.protect(images, labels), perturber.protect(images, labels))


def test_images_and_labels_that_cannot_be_used_are_named_by_row():
    images, good = faces(), {"shape": shapes()}
    perturber = mtlue.fit(images, good, train=PATTERN)
    for given, labels, message in (
        (images / 255, good, r"images\[0\] has type float64"),
        (images[0, 0, 0], good, r"images\[0\] has shape \(\)"),
        (images[:0], good, "images is empty"),
        (images, {"form": shapes()}, "labels has no key 'shape'"),
        (images, {"shape": [0]}, "has 1 labels for 24 images"),
        (images, {"shape": [0, 1, 9, *shapes(21)]}, r"labels\['shape'\]\[2\]: .* holds 9, outside 0..2"),
    ):
        with pytest.raises(InputError, match=message):
            perturber.protect(given, labels)


def test_settings_and_tasks_are_checked_as_those_of_a_file():
    images, good = faces(), {"shape": shapes()}
    for arguments, message in (
        ({"train": {"round": 3}}, "did you mean 'rounds'"),
        ({"epsilon": 8}, "protection.epsilon"),
        ({"tasks": [{"kind": "circle", "field": "shape"}]}, r"tasks.0.kind"),
    ):
        with pytest.raises(ConfigError, match=message):
            mtlue.fit(images, good, **arguments)
    with pytest.raises(ConfigError, match="say what the task is"):
        mtlue.fit(images, {"age": [0.5] * 24})


def test_a_file_that_holds_no_perturber_is_refused(tmp_path):
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    for path in (tmp_path / "other.safetensors", tmp_path / "absent.safetensors"):
        with pytest.raises(InputError, match="no perturber can be read"):
            mtlue.load(path)


def test_a_whole_dataset_is_planned_from_a_mapping_or_a_file(tmp_path):
    for config in ({"tasks": []}, tmp_path / "absent.yaml"):
        with pytest.raises(ConfigError, match=r"configuration: |no such file"):
            mtlue.plan(config)


def test_what_is_to_be_withstood_decides_the_training_of_arrays_as_in_a_configuration():
    images, labels = faces(side=16)[:, :, :16], {"star": [number % 2 for number in range(24)]}
    brief = {"width": 4, "epochs": 1, "surrogate_epochs": 1, "resolution": 16, "batch_size": 12}
    tasks = [{"field": "star", "kind": "binary"}]
    perturber = mtlue.fit(images, labels, tasks=tasks, withstand=["gray"], train=brief)
    assert perturber.spec.achromatic
    with pytest.raises(ConfigError, match="withstand .gray. needs perturber"):
        mtlue.fit(images, labels, tasks=tasks, withstand=["gray"], train=PATTERN)
    with pytest.raises(ConfigError, match="withstand"):
        mtlue.fit(images, labels, tasks=tasks, withstand=["jpeg"])
