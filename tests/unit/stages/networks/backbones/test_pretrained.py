"""Weights from elsewhere: ours are torchvision's networks, and what does not fit is refused as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from schemas.errors import ConfigError
from stages.learning.optimise import to_device
from stages.networks.backbones.architectures import BACKBONES
from stages.networks.backbones.densenet import DenseNet121
from stages.networks.backbones.pretrained import load_pretrained
from stages.networks.backbones.resnet import ResNet18

SIDE = 128


def residual_maps(reference: Any, x: torch.Tensor) -> torch.Tensor:
    x = reference.maxpool(reference.relu(reference.bn1(reference.conv1(x))))
    maps: torch.Tensor = reference.layer4(reference.layer3(reference.layer2(reference.layer1(x))))
    return maps


def token_maps(reference: Any, x: torch.Tensor) -> torch.Tensor:
    tokens = reference._process_input(x)
    encoded = reference.encoder(torch.cat([reference.class_token.expand(len(tokens), -1, -1), tokens], dim=1))
    side = SIDE // 16
    maps: torch.Tensor = encoded[:, 1:].transpose(1, 2).reshape(len(tokens), -1, side, side)
    return maps


REFERENCES: dict[str, tuple[Callable[[], nn.Module], Callable[[Any, torch.Tensor], torch.Tensor]]] = {
    "resnet18": (lambda: torchvision.models.resnet18(weights=None), residual_maps),
    "resnet50": (lambda: torchvision.models.resnet50(weights=None), residual_maps),
    "vgg16": (lambda: torchvision.models.vgg16_bn(weights=None, init_weights=False), lambda net, x: net.features(x)),
    "densenet121": (
        lambda: torchvision.models.densenet121(weights=None),
        lambda net, x: functional.relu(net.features(x)),
    ),
    "vit_b_16": (lambda: torchvision.models.vit_b_16(weights=None, image_size=SIDE), token_maps),
}
"""Torchvision's network of a name, and its last feature maps."""


def reference_of(name: str) -> nn.Module:
    """In eval mode, with batch statistics and class token that are not the same everywhere."""
    rng = torch.Generator().manual_seed(0)
    reference = REFERENCES[name][0]().eval()
    for key, value in reference.state_dict().items():
        if key.endswith("running_mean") or key == "class_token":
            value.normal_(std=0.1, generator=rng)
        elif key.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=rng)
    return reference


def without_classifier(state: dict[str, torch.Tensor]) -> list[torch.Size]:
    return [value.shape for key, value in state.items() if not key.startswith(("fc.", "classifier.", "heads."))]


@pytest.mark.parametrize("name", REFERENCES)
def test_at_width_64_and_large_images_it_is_torchvisions_network_weight_for_weight(name: str, tmp_path: Path) -> None:
    reference = reference_of(name)
    ours = to_device(BACKBONES[name](width=64, resolution=SIDE), torch.device("cpu")).eval()
    assert [value.shape for value in ours.state_dict().values()] == without_classifier(reference.state_dict())
    save_file(reference.state_dict(), tmp_path / "weights.safetensors")
    load_pretrained(ours, tmp_path / "weights.safetensors")
    x = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).double()
    reference.classifier = nn.Identity()  # VGG's: a gigabyte in double precision
    with torch.no_grad():
        expected = REFERENCES[name][1](reference.double(), x)
        torch.testing.assert_close(ours.double()(x), expected)
    assert ours.features == expected.shape[1]


def resnet_weights() -> dict[str, torch.Tensor]:
    return reference_of("resnet18").state_dict()


def resnet() -> ResNet18:
    return ResNet18(width=64, resolution=SIDE)


def test_a_torch_state_dict_loads_with_or_without_counters_and_classifier(tmp_path: Path) -> None:
    weights = resnet_weights()
    old = {key: value for key, value in weights.items() if not key.startswith("fc.") and "num_batches" not in key}
    torch.save(weights, tmp_path / "whole.pth")
    torch.save(old, tmp_path / "old.pth")
    whole, without = resnet(), resnet()
    load_pretrained(whole, tmp_path / "whole.pth")
    load_pretrained(without, str(tmp_path / "old.pth"))
    for key, value in whole.state_dict().items():
        assert torch.equal(value, without.state_dict()[key]), key
    assert torch.equal(whole.state_dict()["stages.3.1.bn2.running_var"], weights["layer4.1.bn2.running_var"])


def test_the_spellings_of_torchvisions_published_densenet_and_vit_are_read(tmp_path: Path) -> None:
    dense = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key): value
        for key, value in reference_of("densenet121").state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in dense
    torch.save(dense, tmp_path / "dense.pth")
    load_pretrained(DenseNet121(width=64, resolution=SIDE), tmp_path / "dense.pth")
    tokens = {
        key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): value
        for key, value in reference_of("vit_b_16").state_dict().items()
    }
    assert "encoder.layers.encoder_layer_0.mlp.linear_2.bias" in tokens
    torch.save(tokens, tmp_path / "tokens.pth")
    load_pretrained(BACKBONES["vit_b_16"](width=64, resolution=SIDE), tmp_path / "tokens.pth")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: weights.pop("layer2.0.conv1.weight"), r"missing: stages\.1\.0\.conv1\.weight"),
        (lambda weights: weights.update({"layer5.weight": torch.zeros(1)}), r"unknown: layer5\.weight"),
        (
            lambda weights: weights.update({"conv1.weight": torch.zeros(64, 3, 3, 3)}),
            r"another shape: stem\.0\.weight \[64, 3, 3, 3\] instead of \[64, 3, 7, 7\]",
        ),
        (lambda weights: weights["bn1.bias"].fill_(float("nan")), r"not finite: stem\.1\.bias"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_never_loaded_in_part(
    change: Callable[[dict[str, torch.Tensor]], Any], words: str, tmp_path: Path
) -> None:
    weights = resnet_weights()
    change(weights)
    save_file(weights, tmp_path / "weights.safetensors")
    net = resnet()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(ConfigError, match=rf"weights\.safetensors.*do not fit ResNet18.*{words}.*width 64.*224 px"):
        load_pretrained(net, tmp_path / "weights.safetensors")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_thin_or_small_backbone_and_another_architecture_are_refused(tmp_path: Path) -> None:
    save_file(resnet_weights(), tmp_path / "weights.safetensors")
    for net in (ResNet18(width=8, resolution=SIDE), ResNet18(width=64, resolution=32)):
        with pytest.raises(ConfigError, match="another shape: stem"):
            load_pretrained(net, tmp_path / "weights.safetensors")
    with pytest.raises(ConfigError, match=r"missing: .* and \d+ more; unknown: .* and \d+ more"):
        load_pretrained(DenseNet121(width=64, resolution=SIDE), tmp_path / "weights.safetensors")


@pytest.mark.parametrize("name", ["stride5", "plain"])
def test_nets_of_our_own_take_their_own_weights_and_no_others(name: str, tmp_path: Path) -> None:
    trained, fresh = (BACKBONES[name](width=4, resolution=16) for _ in range(2))
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    load_pretrained(fresh, tmp_path / "weights.safetensors")
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in fresh.state_dict().items())
    save_file(resnet_weights(), tmp_path / "others.safetensors")
    with pytest.raises(ConfigError, match="none of torchvision's networks; give a state dict of this very one"):
        load_pretrained(fresh, tmp_path / "others.safetensors")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_cut_file_is_one_clear_error(suffix: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    weights = {"conv1.weight": torch.zeros(64, 3, 7, 7)}
    if suffix == ".pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        load_pretrained(resnet(), path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_missing_file_and_a_directory_are_one_clear_error(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"folder{suffix}").mkdir()
    for name in ("none", "folder"):
        with pytest.raises(ConfigError, match=rf"{name}{suffix}.*cannot be read"):
            load_pretrained(resnet(), tmp_path / f"{name}{suffix}")


class Runs:
    """Pickled, it asks the reader to make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_file_that_runs_code_is_refused_unrun(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Runs(tmp_path / "ran")}, tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match="without running code"):
        load_pretrained(resnet(), tmp_path / "weights.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[1, 2], {"model": {"conv1.weight": torch.zeros(1)}}, {1: torch.zeros(1)}])
def test_what_is_no_state_dict_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match="not a state dict"):
        load_pretrained(resnet(), tmp_path / "weights.pth")
