"""The generator: δ stays within ε at every size, and labels reach it through embeddings exactly where they should."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from schemas.errors import GeneratorError
from schemas.plans import GeneratorSpec
from schemas.tasks import MISSING, SegmentationTask
from stages.perturbers.generator.network import LABEL_SHARE, PRESETS, Generator, label_channels, of_unit_energy
from tests import builders
from tests.builders import columns

EPSILON = 8 / 255


def images(count: int, resolution: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, resolution, resolution, generator=torch.Generator().manual_seed(seed))


def delta(
    generator: Generator, x: torch.Tensor, labels: list[list[int]], gray: list[bool] | None = None
) -> torch.Tensor:
    with torch.no_grad():
        made: torch.Tensor = generator(x, columns(labels), torch.tensor(gray or [False] * len(x)))
    return made


@pytest.mark.parametrize(
    ("preset", "resolution"),
    [("tiny", 16), ("tiny", 20), ("tiny", 36), ("small", 16), ("large", 16), ("large", 40), ("large", 64)],
)
@pytest.mark.parametrize("training", [False, True])
def test_delta_has_the_images_size_and_stays_within_epsilon(preset: str, resolution: int, training: bool) -> None:
    generator = builders.generator(preset=preset, resolution=resolution).train(training)
    made = delta(generator, images(2, resolution), [[0, 1], [2, 0]])
    assert made.shape == (2, 3, resolution, resolution)
    assert made.abs().max().item() <= np.float32(EPSILON)
    assert made.std().item() > 0.1 * EPSILON


@pytest.mark.parametrize("epsilon", [1 / 255, 0.01, 8 / 255, 32 / 255])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e30])
def test_delta_stays_within_any_epsilon_however_large_the_weights(epsilon: float, scale: float) -> None:
    generator = builders.generator(epsilon=epsilon)
    generator.decoder[-1].weight.mul_(scale)
    made = delta(generator, images(2), [[0, 1], [2, 0]])
    assert bool(made.isfinite().all())
    assert made.abs().max().item() <= np.float32(epsilon)


def test_delta_depends_on_the_label_of_every_protected_task() -> None:
    generator, x = builders.generator(), images(1)
    base = delta(generator, x, [[0, 0]])
    assert (delta(generator, x, [[1, 0]]) - base).abs().max() > 0.1 * EPSILON
    assert (delta(generator, x, [[0, 1]]) - base).abs().max() > 0.1 * EPSILON


def test_delta_depends_on_the_image() -> None:
    generator = builders.generator()
    one, other = delta(generator, images(2), [[1, 0], [1, 0]])
    assert not torch.allclose(one, other, atol=0.01 * EPSILON)


@pytest.mark.parametrize("label", [0, 1, MISSING])
def test_the_label_of_an_unprotected_task_does_not_change_delta(label: int) -> None:
    generator, x = builders.generator(protected=(True, False)), images(1)
    assert torch.equal(delta(generator, x, [[2, label]]), delta(generator, x, [[2, 0]]))
    assert not torch.equal(delta(generator, x, [[1, label]]), delta(generator, x, [[2, 0]]))


def test_each_class_has_its_own_map_and_a_missing_label_takes_their_mean() -> None:
    generator = builders.generator()
    table = generator.class_maps[0]
    found = generator.embeddings[0](torch.tensor([2, MISSING, 0]))
    assert torch.equal(found[0], table[2])
    torch.testing.assert_close(found[1], (table[0] + table[1] + table[2]) / 3)
    assert torch.equal(found[2], table[0])


def test_an_unprotected_task_takes_the_mean_for_every_label() -> None:
    generator, x = builders.generator(protected=(False, True)), images(3)
    made = delta(generator, x, [[0, 1], [2, 1], [MISSING, 1]])
    mean = generator.class_maps[0].mean(dim=0, keepdim=True)
    torch.testing.assert_close(generator.embeddings[0].neutral(3), mean.expand(3, -1, -1, -1))
    generator.class_maps[0].copy_(mean.expand(3, -1, -1, -1).clone())
    generator.spec = builders.generator().spec  # now its label counts, and all of its maps are the mean
    torch.testing.assert_close(delta(generator, x, [[0, 1], [2, 1], [MISSING, 1]]), made)


def test_a_missing_label_gives_the_delta_of_the_mean_map() -> None:
    generator, x = builders.generator(), images(1)
    missing = delta(generator, x, [[MISSING, 1]])
    maps = generator.class_maps[0]
    maps.copy_(maps.mean(dim=0, keepdim=True).expand(3, -1, -1, -1).clone())
    torch.testing.assert_close(missing, delta(generator, x, [[1, 1]]))


def test_one_missing_label_does_not_disturb_the_rest_of_the_batch() -> None:
    generator, x = builders.generator(), images(2)
    with_missing = delta(generator, x, [[1, 1], [MISSING, MISSING]])
    torch.testing.assert_close(with_missing[0], delta(generator, x, [[1, 1], [0, 0]])[0])


def test_a_gray_image_gets_one_delta_for_all_channels_and_its_neighbours_do_not() -> None:
    generator, x = builders.generator(), images(3)
    labels = [[0, 1], [1, 1], [2, 0]]
    made = delta(generator, x, labels, [False, True, False])
    assert torch.equal(made[1, 0], made[1, 1])
    assert torch.equal(made[1, 0], made[1, 2])
    colour = delta(generator, x, labels)
    assert torch.equal(made[0], colour[0])
    assert torch.equal(made[2], colour[2])
    assert not torch.equal(colour[1, 0], colour[1, 1])
    assert made[1].std() > 0.05 * EPSILON


def test_an_images_delta_is_the_same_alone_and_in_a_batch() -> None:
    generator, x = builders.generator(), images(4)
    labels = [[0, 1], [1, 1], [2, 0], [0, 0]]
    together = delta(generator, x, labels)
    alone = torch.cat([delta(generator, x[row : row + 1], labels[row : row + 1]) for row in range(4)])
    torch.testing.assert_close(together, alone, rtol=0, atol=0.01 / 255)


def test_embeddings_grow_with_the_sum_of_the_class_counts_not_with_their_product() -> None:
    counts = [2, 3, 4, 5, 6, 7]
    generator = builders.generator(class_counts=counts, protected=[True] * 6)
    assert sum(len(table) for table in generator.class_maps) == sum(counts)
    side = 16 // 2
    channels = label_channels(PRESETS["tiny"], [True] * 6)
    assert sum(table.numel() for table in generator.class_maps) == sum(counts) * channels * side**2


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_weight_takes_part_in_delta(preset: str) -> None:
    generator = builders.generator(preset=preset).train().requires_grad_(True)
    generator(images(3), columns([[0, 1], [1, 0], [2, 0]]), torch.tensor([False] * 3)).square().sum().backward()
    unused = [name for name, parameter in generator.named_parameters() if parameter.grad is None]
    assert unused == []
    for table in generator.class_maps:
        assert table.grad is not None
        assert table.grad.flatten(1).abs().sum(dim=1).gt(0).all()


# --- the labels are not drowned by the image --------------------------------------------------------------------------


def parts_seen(generator: Generator, x: torch.Tensor, labels: Sequence[torch.Tensor]) -> torch.Tensor:
    """What the whole decoder sees by the letter of docs/method.md, B×channels×h×w: δ is what it makes of that."""
    with torch.no_grad():
        maps = [
            embedding(label) if wanted else embedding.neutral(len(x))
            for embedding, label, wanted in zip(generator.embeddings, labels, generator.spec.protected, strict=True)
        ]
        seen = torch.cat([of_unit_energy(part) for part in (*maps, generator.encoder((x - 0.5) / 0.25))], dim=1)
        by_the_letter = generator.spec.epsilon * torch.tanh(generator.decoder(seen))
        made = generator(x, labels, torch.tensor([False] * len(x)))
    torch.testing.assert_close(made, by_the_letter, rtol=0, atol=1e-4 * generator.spec.epsilon)
    return seen


@pytest.mark.parametrize("counts", [[2, 3], [2] * 12, [40, 2]])  # more classes than are computed once a class
def test_what_is_computed_once_a_class_is_the_delta_of_the_whole_decoder(counts: list[int]) -> None:
    generator = builders.generator(class_counts=counts, protected=[True] * len(counts))
    labels = [torch.tensor([0, MISSING, 1]) for _ in counts]
    parts_seen(generator, images(3), labels)


def test_gradients_of_what_is_computed_once_a_class_are_those_of_the_whole_decoder() -> None:
    generator = builders.generator().requires_grad_(True)
    x, labels, gray = images(3), columns([[0, 1], [MISSING, 1], [2, 0]]), torch.tensor([False] * 3)
    generator(x, labels, gray).square().sum().backward()
    found = {name: parameter.grad.clone() for name, parameter in generator.named_parameters()}
    generator.zero_grad()
    maps = [embedding(label) for embedding, label in zip(generator.embeddings, labels, strict=True)]
    seen = torch.cat([of_unit_energy(part) for part in (*maps, generator.encoder((x - 0.5) / 0.25))], dim=1)
    (generator.spec.epsilon * torch.tanh(generator.decoder(seen))).square().sum().backward()
    largest = max(parameter.grad.abs().max().item() for parameter in generator.parameters())
    for name, parameter in generator.named_parameters():  # a bias before a norm has no gradient but rounding
        atol = 1e-3 * parameter.grad.abs().max().item() + 1e-5 * largest
        torch.testing.assert_close(found[name], parameter.grad, rtol=0, atol=atol, msg=name)


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize(("protected"), [[True], [True, True], [True] * 9, [True, False, False]])
def test_the_labels_have_more_energy_than_the_image_whatever_preset_and_number_of_tasks(
    preset: str, protected: list[bool]
) -> None:
    generator = builders.generator(preset=preset, class_counts=[2] * len(protected), protected=protected)
    for scale in (1.0, 100.0):  # as it starts, and however much the encoder grows in training
        generator.encoder[-1][-1].bn2.weight.mul_(scale)
        seen = parts_seen(generator, images(2), [torch.tensor([0, 1])] * len(protected))
        each = (seen.shape[1] - 2 * PRESETS[preset].encoder) // len(protected)
        energies = [part.square().sum().item() for part in seen.split(each, dim=1)[: len(protected)]]
        of_image = seen[:, each * len(protected) :].square().sum().item()
        assert of_image > 0
        of_labels = sum(energy for energy, wanted in zip(energies, protected, strict=True) if wanted)
        assert of_labels >= 0.99 * LABEL_SHARE * of_image


def test_a_task_with_labels_per_pixel_has_the_energy_of_any_other() -> None:
    tasks = [*builders.tasks([2]), SegmentationTask(kind="segmentation", field="mask.png", classes=3)]
    spec = GeneratorSpec(
        preset="tiny", resolution=16, epsilon=EPSILON, tasks=tasks, protected=[True, True], balanced=True
    )
    generator = Generator(spec).eval().requires_grad_(False)
    seen = parts_seen(generator, images(2), [torch.tensor([0, 1]), torch.arange(512).reshape(2, 16, 16) % 3])
    channels = label_channels(PRESETS["tiny"], [True, True])
    for part in seen.split(channels, dim=1):
        torch.testing.assert_close(part.square().mean(dim=(1, 2, 3)), torch.ones(2), rtol=0.01, atol=0)


def test_the_scale_of_a_tasks_maps_changes_nothing() -> None:
    generator, x = builders.generator(), images(2)
    before = delta(generator, x, [[0, 1], [2, 0]])
    generator.class_maps[0].mul_(0.01)
    torch.testing.assert_close(delta(generator, x, [[0, 1], [2, 0]]), before, rtol=0, atol=0.01 * EPSILON)


def test_maps_of_unit_energy_are_finite_where_there_is_none() -> None:
    assert torch.equal(of_unit_energy(torch.zeros(1, 2, 3, 3)), torch.zeros(1, 2, 3, 3))


def test_gradients_pass_where_delta_has_reached_its_bound() -> None:
    generator = builders.generator().requires_grad_(True)
    with torch.no_grad():
        generator.decoder[-1].weight.mul_(5)
    made = generator(images(2), columns([[0, 1], [2, 0]]), torch.tensor([False, False]))
    reached = made.detach().abs() > 0.95 * EPSILON
    assert reached.float().mean() > 0.3
    (made * reached).sum().backward()
    assert all(table.grad is not None and table.grad.abs().sum() > 0 for table in generator.class_maps)


def test_the_network_of_an_earlier_version_is_refused() -> None:
    spec = builders.generator().spec.model_copy(update={"balanced": False})
    with pytest.raises(GeneratorError, match="an earlier version of mtlue trained it"):
        Generator(spec)
