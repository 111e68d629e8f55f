"""The questions of `make results` and `make results-real`: which rows, victims and attacks on which dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.cells import AT_HALF, FIRST_ONLY, MADE
from schemas.training import Backbone, CountermeasureName, WeightingName


@dataclass(frozen=True)
class Section:
    """Cells that answer one question: every combination of what its fields name."""

    asks: str
    dataset: str = "multifashion"
    tasks: tuple[int, ...] = (2,)
    """Numbers of tasks; of MultiFashion always two."""
    rows: tuple[str, ...] = ("clean", "codes")
    seeds: tuple[int, ...] = (0,)
    victims: tuple[Backbone, ...] = ("stride5",)
    rates: tuple[float, ...] = (3e-3,)
    countermeasures: tuple[CountermeasureName, ...] = ("none",)
    weightings: tuple[WeightingName, ...] = ("ls",)
    stl: bool = False
    """Whether each task has a victim of its own."""
    epochs: int = 12
    """Passes of a victim."""
    batch_size: int = 128
    """Images in its batch."""


SMALL: dict[str, Any] = {"epochs": 10, "batch_size": 64}
"""Of datasets that are harder to see and smaller."""

SECTIONS = {
    "methods": Section("Every method, an unseen victim", rows=("clean", "noise", *MADE, f"codes{FIRST_ONLY}")),
    "own": Section(
        "The surrogates' own architecture", rows=("clean", "codes", "em", "tap", "sep"), victims=("resnet18",)
    ),
    "unseen": Section("Unseen victims at two rates", victims=("stride5", "plain", "vgg16"), rates=(1e-3, 3e-3)),
    "seeds": Section("Other seeds", rows=("codes",), seeds=(1, 2), victims=("stride5", "plain", "vgg16")),
    "backbones": Section("Five backbones", victims=("resnet18", "resnet50", "vgg16", "densenet121", "vit_b_16")),
    "attacks": Section(
        "Attacks on what all images of a class have in common",
        rows=("clean", "codes", "codes, robust to gray", "fresh", "pil"),
        countermeasures=("gray", "projection", "mean_projection", "class_means"),
    ),
    "weightings": Section("Weightings of the victim", weightings=("ls", "rlw", "uw", "aligned_mtl", "fairgrad")),
    "stl": Section("Single-task victims", stl=True),
    "outlines": Section(
        "The embedded dataset", dataset="outlines", rows=("clean", "noise", "codes", "pil", "em"), **SMALL
    ),
    "sizes": Section(
        "64 px, and victims that see 32, 64 and 96",
        dataset="large",
        rows=("clean", "codes", f"codes{AT_HALF}"),
        countermeasures=("half_size", "none", "larger"),
        **SMALL,
    ),
    "attributes": Section(
        "The number of tasks (yes or no: chance 50)",
        dataset="attributes",
        tasks=(1, 2, 4, 8),
        rows=("clean", "codes", "pil"),
        **SMALL,
    ),
}
"""What `make results` measures, in this order."""

PAPER = ("em", "tap", "sep", "em-sample", "tap-sample", "sep-sample")
PHOTO: dict[str, Any] = {"epochs": 10, "batch_size": 128}

REAL = {
    "fewer-faces": Section(
        "Eight balanced attributes of 3,000 faces of CelebA, 32 px, as they are and attacked (chance 50)",
        dataset="fewer-faces-8",
        tasks=(8,),
        rows=("clean", "codes", "tap in colour", "withstand gray"),
        countermeasures=("none", "gray", "half_size", "jpeg75"),
        **PHOTO,
    ),
    "faces": Section(
        "Eight balanced attributes of CelebA, 32 px (chance 50)",
        dataset="faces-8",
        tasks=(8,),
        rows=("clean", "noise", "codes", "tap in colour", "withstand gray and half size"),
        victims=("stride5", "plain", "vgg16"),
        **PHOTO,
    ),
    "faces-methods": Section(
        "The same faces, every method",
        dataset="faces-8",
        tasks=(8,),
        rows=("clean", "noise", *PAPER, "ar", "lsp", "pil", "codes"),
        **PHOTO,
    ),
    "faces-attacks": Section(
        "The same faces, attacked",
        dataset="faces-8",
        tasks=(8,),
        rows=("clean", "codes", "withstand gray and half size"),
        countermeasures=("gray", "jpeg75", "half_size", "projection", "ueraser", "staged", "adversarial4"),
        **PHOTO,
    ),
    "faces-40": Section(
        "All 40 attributes of CelebA, 48 px (AUC; chance 50)",
        dataset="faces-40",
        tasks=(40,),
        rows=("clean", "codes", "tap in colour", "withstand gray and half size"),
        **PHOTO,
    ),
    "objects": Section(
        "CIFAR-10 with quarter turns, 32 px (chance 10 and 25)",
        dataset="turned-objects",
        rows=("clean", "noise", "codes", "tap in colour", "withstand gray and half size"),
        victims=("stride5", "plain", "vgg16"),
        **PHOTO,
    ),
    "rooms": Section(
        "NYUv2: masks of 13 classes and depths, 48 px",
        dataset="photographed-rooms",
        rows=("clean", "noise", "codes"),
        victims=("unet",),
        epochs=20,
        batch_size=16,
    ),
    "faces-backbones": Section(
        "Five backbones on the faces",
        dataset="faces-8",
        tasks=(8,),
        victims=("resnet18", "resnet50", "vgg16", "densenet121", "vit_b_16"),
        **PHOTO,
    ),
    "faces-stl": Section("Single-task victims on the faces", dataset="faces-8", tasks=(8,), stl=True, **PHOTO),
}
"""What `make results-real DATA=folder` measures, in this order."""
