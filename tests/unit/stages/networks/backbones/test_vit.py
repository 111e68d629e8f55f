"""The vision transformer: patches for small images, and token maps that lie where their patches lie."""

from __future__ import annotations

import pytest
import torch

from schemas.errors import ConfigError
from stages.networks.backbones.architectures import check_backbone
from stages.networks.backbones.vit import ViTB16, patch_side


@pytest.mark.parametrize("resolution", range(8, 128))
def test_small_images_have_8_to_14_patches_a_side_or_are_refused(resolution: int) -> None:
    patch = patch_side(resolution)
    if patch is None:
        with pytest.raises(ConfigError, match=rf"cannot divide images of {resolution} px.*nearest.* is \d+"):
            ViTB16.check_resolution(resolution)
    else:
        ViTB16.check_resolution(resolution)
        assert resolution % patch == 0
        assert 8 <= resolution // patch <= 14


@pytest.mark.parametrize(("resolution", "nearest"), [(17, 16), (68, 66), (130, 128), (231, 224), (1023, 1024)])
def test_a_side_that_no_patch_divides_is_refused_with_the_nearest_that_works(resolution: int, nearest: int) -> None:
    for refused in (lambda: check_backbone("vit_b_16", resolution), lambda: ViTB16(width=4, resolution=resolution)):
        with pytest.raises(ConfigError, match=rf"images of {resolution} px.*is {nearest}$"):
            refused()
    check_backbone("vit_b_16", nearest)


@pytest.mark.parametrize("resolution", [128, 160, 224, 1024])
def test_large_images_have_the_standard_patches(resolution: int) -> None:
    assert patch_side(resolution) == 16


def test_images_of_another_side_than_the_positions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be 16×16 px; found \(32, 32\)"):
        ViTB16(width=4, resolution=16)(torch.rand(1, 3, 32, 32))


def test_a_patch_changes_the_map_most_at_its_own_place() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = ViTB16(width=4, resolution=32).eval()
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[..., 8:12, 20:24] = 0
    with torch.no_grad():
        moved = (net(changed) - net(x)).square().sum(dim=1)[0]
    assert divmod(int(moved.argmax()), 8) == (2, 5)
