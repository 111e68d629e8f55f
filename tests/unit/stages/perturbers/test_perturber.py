"""The generator as a perturber: one that protects nothing is refused before it has protected anything."""

from __future__ import annotations

import pytest
import torch

from schemas.errors import GeneratorError
from schemas.plans import GeneratorSpec
from stages.perturbers.codes import ClassCodes
from stages.perturbers.generator.network import Generator
from stages.perturbers.perturber import GeneratorPerturber, check_delta
from tests import builders

HINT = "train again with --retrain"


def refused(generator: Generator, words: str) -> None:
    with pytest.raises(GeneratorError, match=words) as error:
        GeneratorPerturber(generator, "x")
    assert HINT in error.value.message
    assert error.value.exit_code == 1


def blind(generator: Generator) -> Generator:
    """Its δ has a pattern, from the borders, and ignores image and labels."""
    first = generator.decoder[0]
    assert isinstance(first, torch.nn.ConvTranspose2d)
    assert first.bias is not None
    first.weight.zero_()
    first.bias.fill_(1.0)
    return generator


def test_delta_is_that_of_the_generator_whatever_the_keys_and_the_global_random_state() -> None:
    generator = builders.generator()
    perturber = GeneratorPerturber(generator, "x")
    assert (perturber.resolution, perturber.epsilon, perturber.fingerprint) == (16, 8 / 255, "x")
    x_BCHW = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    labels, gray_B = builders.columns([[0, 1], [2, 0]]), torch.tensor([False, True])
    made = perturber.delta(x_BCHW, labels, gray_B, ["a", "b"])
    torch.manual_seed(7)
    assert torch.equal(perturber.delta(x_BCHW, labels, gray_B, ["c", "d"]), made)
    torch.testing.assert_close(made, generator(x_BCHW, labels, gray_B))
    assert made.device.type == "cpu"


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["decoder.7.weight", "encoder.0.1.running_mean", "embeddings.1.maps"])
def test_a_weight_that_is_not_finite_is_refused_by_name(name: str, value: float) -> None:
    generator = builders.generator()
    generator.state_dict()[name].view(-1)[3 if "running" in name else -1] = value
    refused(generator, rf"weights '{name}' of the generator are not finite")


def test_finite_weights_whose_delta_is_not_are_refused() -> None:
    generator = builders.generator()
    for name, parameter in generator.named_parameters():
        if name.startswith("decoder"):
            parameter.fill_(1e30)
    refused(generator, r"δ of sample 'probe 0' is not finite")


@pytest.mark.parametrize("value", [0.0, 0.5, -1.0, 7.0])
def test_a_delta_that_only_shifts_brightness_is_refused_with_its_value(value: float) -> None:
    shown = max(-1.0, min(1.0, value)) * 8
    refused(builders.constant_generator(value), rf"is {shown:.3g}/255 in every pixel of a channel")


def test_a_delta_that_is_the_same_for_all_images_and_labels_is_refused() -> None:
    generator = blind(builders.generator())
    x_BCHW, gray_B = torch.rand(1, 3, 16, 16), torch.tensor([False])
    made = generator(x_BCHW, builders.columns([[0, 1]]), gray_B)
    assert made.std() > 0, "it is flat, which another check refuses"
    refused(generator, "δ is the same for all images and labels")


def test_only_the_perturber_that_has_regularisers_is_advised_to_weaken_them() -> None:
    refused(blind(builders.generator()), "smaller train.lambda_intra")
    protected = [True, True]
    spec = GeneratorSpec(network="codes", resolution=16, epsilon=8 / 255, tasks=builders.tasks(), protected=protected)
    codes = ClassCodes(spec).eval()
    with torch.no_grad():
        for parameter in codes.parameters():
            parameter.fill_(0.5)
    with pytest.raises(GeneratorError) as error:
        GeneratorPerturber(codes, "0" * 16)
    assert HINT in error.value.message
    assert "lambda" not in error.value.message


def test_a_delta_that_depends_on_labels_alone_or_on_the_image_alone_is_one() -> None:
    by_label, by_image = builders.generator(), builders.generator()
    for module in by_label.encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.zero_()
    GeneratorPerturber(by_label, "x")
    for maps in by_image.class_maps:
        maps.zero_()
    GeneratorPerturber(by_image, "x")


@pytest.mark.parametrize("preset", ["tiny", "small", "large"])
@pytest.mark.parametrize("protected", [(True, False), (False, True)])
def test_generators_of_every_preset_pass(preset: str, protected: tuple[bool, bool]) -> None:
    builders.perturber(preset=preset, protected=protected)


# --- one δ ------------------------------------------------------------------------------------------------------------


def random_delta() -> torch.Tensor:
    return torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_delta_with_a_pattern_passes_as_it_is() -> None:
    made = random_delta()
    made[1, :2] = 0.1  # one channel with a pattern is enough
    assert check_delta(made, ["a", "b", "c"]) is made


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_value_that_is_not_finite_is_refused_by_the_samples_key(value: float) -> None:
    made = random_delta()
    made[1, 2, 7, 7] = value
    with pytest.raises(GeneratorError, match=r"δ of sample 'b' is not finite"):
        check_delta(made, ["a", "b", "c"])


def test_a_tint_of_one_image_of_a_batch_is_refused_by_its_key() -> None:
    made = random_delta()
    made[2] = torch.tensor([2.0, -1.0, 0.0])[:, None, None] / 255
    with pytest.raises(GeneratorError, match=r"δ of sample 'c' is 2/255 in every pixel of a channel"):
        check_delta(made, ["a", "b", "c"])
