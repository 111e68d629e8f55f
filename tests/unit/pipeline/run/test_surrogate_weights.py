"""Surrogates that start from weights: the file's bytes decide, wherever it lies; a wrong one is told of at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from pipeline.configuration.plans import train_plan
from pipeline.run.checks import check_networks
from pipeline.run.train import train_step
from pipeline.run.victim_training import victim_step
from pipeline.state.generators import upload_weights, weights_sha256
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.evidence import VictimResult
from schemas.plans import VictimPlan
from schemas.records import GeneratorRecord
from schemas.training import Train
from stages.audit.train_victim import train_victim
from stages.io.store.store import Store
from stages.networks.backbones.architectures import BACKBONES
from stages.perturbers.generator.training import Training
from stages.perturbers.training import unheard
from tests import builders

EM = {"perturber": "generator", "method": "em", "generator": "tiny", "width": 4, "epochs": 1, "batch_size": 16}


def saved(path: Path, seed: int = 1, width: int = 4) -> Path:
    """Weights of a ResNet-18 that has learned nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        save_file(BACKBONES["resnet18"](width=width, resolution=16).state_dict(), path)
    return path


def configured(root: Path, **train: Any) -> Config:
    return builders.config(root, train={**EM, **train})


def test_surrogates_of_that_architecture_start_from_the_file(tmp_path: Path) -> None:
    file, table = saved(tmp_path / "one.safetensors"), builders.table(tmp_path / "images.arrow", 32)
    config = configured(tmp_path, backbones=["vgg16", "resnet18"], weights={"resnet18": str(file)}, resolution=32)
    plan = train_plan(config).model_copy(update={"train": config.train})
    with torch.random.fork_rng(devices=[]):
        context = Training(table, plan, torch.device("cpu"), unheard).context
        other, given = context.new_surrogates()
        again, same = context.new_surrogates()
    for name, value in load_file(file).items():
        assert torch.equal(given.backbone.state_dict()[name], value), name
        assert torch.equal(same.backbone.state_dict()[name], value), name
    assert not all(torch.equal(*pair) for pair in zip(other.parameters(), again.parameters(), strict=True))


def test_a_training_fetches_its_weights_from_work_and_they_decide_it(tmp_path: Path) -> None:
    work, images = Store(str(tmp_path / "work")), tmp_path / "images.arrow"
    builders.table(images, 32)
    work.put(images, "tables/images.arrow")
    files = [saved(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2)]

    def trained(file: Path | None) -> GeneratorRecord:
        plan = train_plan(configured(tmp_path, weights={} if file is None else {"resnet18": str(file)}))
        for each in files[:1] if file is None else [file]:
            upload_weights(work, str(each))
        return train_step(work, ["tables/images.arrow"], plan, plan.fingerprint, "", 1e9, unheard)

    found = [trained(file) for file in (None, *files)]
    files[0].rename(tmp_path / "moved.safetensors")
    assert len({record.sha256 for record in found}) == len({record.plan for record in found}) == 3
    assert trained(tmp_path / "moved.safetensors").sha256 == found[1].sha256


def test_the_second_generator_of_an_averaged_pair_starts_from_them_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, file = Store(str(tmp_path / "work")), saved(tmp_path / "one.safetensors")
    builders.table(tmp_path / "images.arrow", 32)
    work.put(tmp_path / "images.arrow", "table")
    upload_weights(work, str(file))
    seen = []

    def spied(*tables: Any, clean: Any, weights: Any) -> VictimResult:
        (path,) = tables[2].second.train.weights.values()
        seen.append(Path(path).read_bytes())
        return train_victim(*tables, clean=clean, weights=weights)

    monkeypatch.setattr("pipeline.run.victim_training.train_victim", spied)
    plan = VictimPlan(
        tasks=builders.tasks(), data="protected", backbone="plain", width=4, epochs=1, batch_size=16, augment=[],
        seed=0, countermeasure="averaged_pair",
        second=train_plan(configured(tmp_path, weights={"resnet18": str(file)})),
    )  # fmt: skip
    assert victim_step(work, ["table"], ["table"], ["table"], plan, samples=32).samples == 32
    assert seen == [file.read_bytes()]


def test_the_bytes_of_the_file_are_part_of_the_plan_and_its_place_is_not(tmp_path: Path) -> None:
    file, plain = saved(tmp_path / "one.safetensors"), train_plan(configured(tmp_path))
    first = train_plan(configured(tmp_path, weights={"resnet18": str(file)}))
    moved = saved(tmp_path / "moved.safetensors")
    assert train_plan(configured(tmp_path, weights={"resnet18": str(moved)})).fingerprint == first.fingerprint
    saved(file, seed=2)
    other = train_plan(configured(tmp_path, weights={"resnet18": str(file)}))
    assert len({plain.fingerprint, first.fingerprint, other.fingerprint}) == 3
    assert str(tmp_path) not in other.model_dump_json()
    assert weights_sha256(str(moved)) == first.weights["resnet18"]


def test_a_file_that_is_missing_or_does_not_fit_is_told_of_before_anything_is_trained(tmp_path: Path) -> None:
    none = configured(tmp_path, weights={"resnet18": str(tmp_path / "none.safetensors")})
    with pytest.raises(ConfigError, match=r"^train\.weights\.resnet18, at width 4 and 16 px: .*none.*cannot be read"):
        check_networks(none)
    with pytest.raises(ConfigError, match=r"none\.safetensors: pretrained weights cannot be read"):
        train_plan(none)
    wide = saved(tmp_path / "wide.safetensors", width=8)
    with pytest.raises(ConfigError, match=r"wide\.safetensors: the weights do not fit ResNet18 .*another shape"):
        check_networks(configured(tmp_path, weights={"resnet18": str(wide)}))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"perturber": "codes"}, "has no part in perturber codes"),
        ({**EM, "backbones": ["vgg16"]}, "weights names resnet18, which is no surrogate of this training"),
    ],
)
def test_weights_that_no_surrogate_would_start_from_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Train.model_validate({**settings, "weights": {"resnet18": "weights.safetensors"}})
