"""NYUv2: pixels, masks, depths and normals of both layouts, the right way round; damaged files are told or counted."""

from __future__ import annotations

import builtins
import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from schemas.errors import ConfigError, InputError
from stages.adapters.rooms.nyuv2 import CLASSES, OF_40, NYUv2Labelled, nyuv2_adapter
from tests.datasets import image_of, imported, mapping40, nyuv2_export, nyuv2_tree, samples_in, scenes


def array_of(data: bytes) -> np.ndarray:
    return np.asarray(image_of(data))


def test_each_picture_of_the_labelled_file_has_its_labels_with_the_axes_turned_back(tmp_path: Path) -> None:
    made = scenes()
    summary = imported(nyuv2_adapter(nyuv2_tree(tmp_path / "raw", made)), tmp_path / "out")
    assert {split: count.samples for split, count in summary.splits.items()} == {"test": 2, "train": 3}
    assert list(samples_in(tmp_path / "out", "train-*.tar")) == ["0001", "0003", "0004"]
    assert list(samples_in(tmp_path / "out", "test-*.tar")) == ["0002", "0005"]
    classes = np.array([256, *(OF_40[value - 1] for value in mapping40())]) - 1
    for key, fields in samples_in(tmp_path / "out").items():
        index = int(key) - 1
        assert list(fields) == ["png", "mask.png", "depth.png"]
        np.testing.assert_array_equal(array_of(fields["png"]), made.images[index])
        np.testing.assert_array_equal(array_of(fields["mask.png"]), classes[made.labels[index]])
        assert array_of(fields["depth.png"]).dtype == np.uint16
        np.testing.assert_allclose(array_of(fields["depth.png"]) / 1000, made.depths[index], atol=0.0006)


def test_forty_classes_or_no_masks_on_demand(tmp_path: Path) -> None:
    made = scenes()
    source = nyuv2_tree(tmp_path / "raw", made)
    imported(nyuv2_adapter(source, 40), tmp_path / "40")
    expected = np.array([255, *(mapping40() - 1)])[made.labels[0]]
    np.testing.assert_array_equal(array_of(samples_in(tmp_path / "40")["0001"]["mask.png"]), expected)
    (source / "classMapping40.mat").unlink()
    with pytest.raises(ConfigError, match=r"has no classMapping40\.mat.*or leave masks out: --classes 0"):
        imported(nyuv2_adapter(source), tmp_path / "out")
    imported(nyuv2_adapter(source, 0), tmp_path / "out")
    assert {tuple(fields) for fields in samples_in(tmp_path / "out").values()} == {("png", "depth.png")}
    with pytest.raises(ConfigError, match=r"--classes must be 13, 40, or 0 for no masks; found 14"):
        nyuv2_adapter(source, 14)


def test_splits_of_either_matlab_version_are_read(tmp_path: Path) -> None:
    source = nyuv2_tree(tmp_path / "raw", scenes())
    imported(nyuv2_adapter(source), tmp_path / "old")
    (source / "splits.mat").unlink()
    with h5py.File(source / "splits.mat", "w", userblock_size=512) as file:
        file["trainNdxs"], file["testNdxs"] = np.array([[1.0, 3, 4]]), np.array([[2.0, 5]])
    imported(nyuv2_adapter(source), tmp_path / "new")
    assert samples_in(tmp_path / "old") == samples_in(tmp_path / "new")


def test_a_picture_in_no_split_is_counted(tmp_path: Path) -> None:
    summary = imported(nyuv2_adapter(nyuv2_tree(tmp_path / "raw", scenes(), test=(2,))), tmp_path / "out")
    assert summary.skipped.reasons["no-split"].examples == [
        "nyu_depth_v2_labeled.mat#5: it is in no split of splits.mat; fetch it again"
    ]


def test_a_label_beyond_the_names_is_counted(tmp_path: Path) -> None:
    made = scenes()
    made.labels[2, 3, 4] = 895
    summary = imported(nyuv2_adapter(nyuv2_tree(tmp_path / "raw", made)), tmp_path / "out")
    assert summary.skipped.reasons["class-out-of-range"].examples == [
        "nyu_depth_v2_labeled.mat#3: labels has 895, outside 0..894; fetch it again"
    ]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [((1, 2), (2, 3), "2 is in both trainNdxs and testNdxs"), ((0, 1), (2,), r"trainNdxs has 0, outside 1\.\.5")],
)
def test_splits_that_cannot_be_right_are_told(tmp_path: Path, train: Any, test: Any, message: str) -> None:
    source = nyuv2_tree(tmp_path / "raw", scenes(), train, test)
    with pytest.raises(InputError, match=rf"splits\.mat: {message}"):
        imported(nyuv2_adapter(source), tmp_path / "out")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_told_before_anything_is_written(tmp_path: Path, share: float) -> None:
    path = nyuv2_tree(tmp_path / "raw", scenes()) / "nyu_depth_v2_labeled.mat"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=r"nyu_depth_v2_labeled\.mat .*fetch it again"):
        imported(nyuv2_adapter(path.parent), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_matlab_file_is_told(tmp_path: Path) -> None:
    source = nyuv2_tree(tmp_path / "raw", scenes())
    savemat(source / "classMapping40.mat", {"mapClass": np.arange(20)})
    with pytest.raises(InputError, match=r"mapClass has 20 values in 0\.\.19; expected 894 in 1\.\.40"):
        imported(nyuv2_adapter(source), tmp_path / "out")
    (source / "splits.mat").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"splits\.mat is damaged, or no MATLAB file"):
        imported(nyuv2_adapter(source), tmp_path / "out")
    (source / "nyu_depth_v2_labeled.mat").unlink()
    with h5py.File(source / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.zeros((2, 3, 4, 4), np.uint8)
    with pytest.raises(InputError, match=r"has no array 'depths'; found images"):
        imported(nyuv2_adapter(source), tmp_path / "out")


@pytest.mark.parametrize(("package", "file"), [("h5py", "nyu_depth_v2_labeled.mat"), ("scipy.io", "splits.mat")])
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, file: str
) -> None:
    source = nyuv2_tree(tmp_path / "raw", scenes())
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    needed = package.partition(".")[0]
    with pytest.raises(ConfigError, match=rf"reading {file} needs {needed}; pip install 'mtlue\[nyuv2\]'"):
        imported(NYUv2Labelled(source=source), tmp_path / "out")


def test_a_picture_of_the_export_has_its_labels(tmp_path: Path) -> None:
    source = nyuv2_export(tmp_path / "raw")
    summary = imported(nyuv2_adapter(source), tmp_path / "out")
    assert {split: count.samples for split, count in summary.splits.items()} == {"test": 1, "train": 3}
    for key, fields in samples_in(tmp_path / "out").items():
        assert list(fields) == ["png", "mask.png", "depth.png", "normals.npy"]
        split, _, number = key.partition("-")
        image, label, depth, normal = (
            np.load(source / split / kind / f"{int(number)}.npy") for kind in ("image", "label", "depth", "normal")
        )
        np.testing.assert_array_equal(array_of(fields["png"]), np.rint(image * 255))
        np.testing.assert_array_equal(array_of(fields["mask.png"]), np.where(label == -1, 255, label))
        np.testing.assert_allclose(array_of(fields["depth.png"]) / 1000, depth[..., 0], atol=0.0006)
        stored = np.load(io.BytesIO(fields["normals.npy"]))
        assert stored.dtype == np.float16
        np.testing.assert_allclose(stored, normal, atol=0.001)
        assert not stored[0].any(), "no normal stays none"


@pytest.mark.parametrize(
    ("kind", "value", "reason", "message"),
    [
        ("label", 13, "class-out-of-range", r"the mask has 13, outside -1\.\.12"),
        ("label", -2, "class-out-of-range", r"the mask has -2"),
        ("label", 0.5, "class-out-of-range", r"the mask has 0\.5"),
        ("depth", -1, "depth-out-of-range", r"expected 0\.\.66 m"),
        ("depth", 700, "depth-out-of-range", r"expected 0\.\.66 m"),
        ("normal", 2, "normal-out-of-range", r"a normal has the length .*expected 1, or 0"),
        ("image", 255, "image-out-of-range", r"the image has values in .*\.\.255, expected 0\.\.1"),
        ("image", np.nan, "image-out-of-range", r"expected 0\.\.1"),
    ],
)
def test_a_value_that_cannot_be_is_counted_with_its_file(
    tmp_path: Path, kind: str, value: float, reason: str, message: str
) -> None:
    source = nyuv2_export(tmp_path / "raw")
    path = source / "train" / kind / "1.npy"
    array = np.load(path)
    array[3, 4] = value
    np.save(path, array)
    summary = imported(nyuv2_adapter(source), tmp_path / "out")
    (found,) = summary.skipped.reasons[reason].examples
    assert found.startswith("train/image/1.npy: ")
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found)
    assert summary.splits["train"].samples == 2


def test_a_depth_or_normal_that_is_no_number_is_none(tmp_path: Path) -> None:
    source = nyuv2_export(tmp_path / "raw")
    for kind in ("depth", "normal"):
        array = np.load(source / "train" / kind / "1.npy")
        array[3, 4] = np.nan
        np.save(source / "train" / kind / "1.npy", array)
    imported(nyuv2_adapter(source), tmp_path / "out")
    fields = samples_in(tmp_path / "out")["train-00001"]
    assert array_of(fields["depth.png"])[3, 4] == 0
    assert not np.load(io.BytesIO(fields["normals.npy"]))[3, 4].any()


def test_labels_of_another_size_missing_and_damaged_files_are_counted(tmp_path: Path) -> None:
    source = nyuv2_export(tmp_path / "raw", 5)
    (source / "train" / "depth" / "0.npy").unlink()
    np.save(source / "train" / "label" / "1.npy", np.zeros((6, 8)))
    damaged = source / "train" / "normal" / "2.npy"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    np.save(source / "train" / "normal" / "3.npy", np.array([None]), allow_pickle=True)
    summary = imported(nyuv2_adapter(source), tmp_path / "out")
    reasons = summary.skipped.reasons
    assert {reason: each.count for reason, each in reasons.items()} == {
        "damaged-file": 2,
        "missing-file": 1,
        "wrong-size": 1,
    }
    assert reasons["wrong-size"].examples == [
        "train/image/1.npy: the mask has 6×8 pixels, the image 12×16; make them equal"
    ]
    assert reasons["missing-file"].examples == ["train/depth/0.npy is not there; unpack the export again"]


def test_a_folder_that_is_neither_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has neither nyu_depth_v2_labeled\.mat nor train/image/"):
        nyuv2_adapter(tmp_path)
    source = nyuv2_export(tmp_path / "raw")
    (source / "train" / "normal").rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"raw/train has no folder normal"):
        imported(nyuv2_adapter(source), tmp_path / "out")


def test_there_are_thirteen_classes_for_each_of_the_forty() -> None:
    assert (len(CLASSES), len(OF_40), set(OF_40)) == (13, 40, set(range(1, 14)))
    assert CLASSES[OF_40[0] - 1] == "wall"
    assert CLASSES[OF_40[24] - 1] == "tv"
