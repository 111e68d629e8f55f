"""Victims that start from weights: the file decides, a frozen backbone stays as it is, a wrong file ends it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from pipeline.run.checks import check_networks
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.plans import VictimPlan
from schemas.training import Audit
from stages.audit.train_victim import train_victim
from stages.countermeasures.training import Pretrained
from stages.networks.backbones.architectures import BACKBONES
from stages.networks.multitask import MultiTaskModel, accumulate_gradients
from tests import builders

CPU = torch.device("cpu")


def saved(path: Path, name: str = "resnet18", width: int = 4) -> Path:
    """Weights of a backbone that has learned nothing, and is not what a seed of 1 gives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        save_file(BACKBONES[name](width=width, resolution=16).state_dict(), path)
    return path


@pytest.mark.parametrize("freeze", [False, True])
def test_a_frozen_backbone_stays_as_it_is_and_the_heads_learn(freeze: bool) -> None:
    kinds = builders.kinds()
    model = MultiTaskModel("resnet18", width=4, kinds=kinds, resolution=16)
    Pretrained(freeze=freeze).begin_epoch(model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    rng = torch.Generator().manual_seed(0)
    x_BCHW = torch.rand(8, 3, 16, 16, generator=rng)
    accumulate_gradients(model, x_BCHW, builders.columns([[0, 1], [2, 0]] * 4), kinds)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    changed = {
        key.partition(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])
    }
    assert changed == ({"shared", "heads"} if freeze else {"backbone", "shared", "heads"})


def test_the_file_decides_what_a_victim_starts_from(tmp_path: Path) -> None:
    table = builders.table(tmp_path / "images.arrow", 96)
    plan = VictimPlan(
        tasks=builders.tasks(), data="clean", backbone="resnet18", width=4, epochs=5, batch_size=16, augment=[], seed=1,
        learning_rate=1e-2,
    )  # fmt: skip
    weights = saved(tmp_path / "weights.safetensors")
    random, started, again = (train_victim(table, table, plan, CPU, weights=file) for file in (None, weights, weights))
    assert started.figures == again.figures
    assert started.figures != random.figures


def configured(root: Path, **pretrained: Any) -> Config:
    return builders.config(root, audit={"pretrained": {"backbone": "resnet18", "width": 4, **pretrained}})


def test_weights_that_fit_are_taken_and_both_ways_of_using_them_are_tried(tmp_path: Path) -> None:
    config = configured(tmp_path, weights=str(saved(tmp_path / "weights.safetensors")))
    check_networks(config)
    assert config.audit is not None
    assert config.audit.tried == ["pretrained", "pretrained_frozen"]


def test_a_file_that_is_missing_or_does_not_fit_is_told_of_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^audit\.pretrained, at width 4 and 16 px: .*none\.safetensors.*cannot be read"
    ):
        check_networks(configured(tmp_path, weights=str(tmp_path / "none.safetensors")))
    file = str(saved(tmp_path / "weights.safetensors"))
    with pytest.raises(ConfigError, match=r"weights\.safetensors: the weights do not fit ResNet18 .*another shape"):
        check_networks(configured(tmp_path, weights=file, width=8))
    with pytest.raises(ConfigError, match=r"the weights do not fit Stride5 .*missing: .*unknown: "):
        check_networks(configured(tmp_path, weights=file, backbone="stride5"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"countermeasures": ["pretrained_frozen"]}, r"names pretrained_frozen, which needs audit\.pretrained"),
        ({"pretrained": {"backbone": "resnet18", "weights": "weights.pth"}}, r"\.safetensors"),
        ({"require": {"countermeasures": ["pretrained"]}}, r"require\.countermeasures names pretrained"),
    ],
)
def test_a_configuration_that_has_no_weights_for_it_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Audit.model_validate(settings)
