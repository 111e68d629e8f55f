"""Whatever makes δ but the generator: what it adds, what plays no part in it, and whether it stops an unseen victim."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from schemas.plans import GeneratorSpec, Noise, TrainPlan, VictimPlan
from schemas.tasks import MISSING, Task
from stages.audit.train_victim import train_victim
from stages.learning.table import ImageTable
from stages.networks.multitask import mean_loss
from stages.perturbers.checkpoint import serialise
from stages.perturbers.codes import ClassCodes
from stages.perturbers.linear import LinearInducement
from stages.perturbers.patterns import autoregressive_maps
from stages.perturbers.per_sample import PerSample
from stages.perturbers.perturber import GeneratorPerturber, check_delta
from stages.perturbers.registry import PERTURBERS
from stages.perturbers.training import Trained
from stages.protect.perturb import add_perturbation
from stages.transforms.pixels import transforms_of
from tests import builders

CPU, EPSILON = torch.device("cpu"), 8 / 255
SAMPLED = ("em-sample", "tap-sample", "sep-sample")
PATTERNS = ("floor", "lsp", "ar")
NAMES = ("codes", "pil", *SAMPLED, *PATTERNS)
CLASSES, SHOWN = 4, 12
"""Classes of the striped set; images whose δ is looked at."""


TINY = {"rounds": 2, "epochs": 2, "surrogate_epochs": 4, "batch_size": 32, "resolution": 16, "width": 4}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    return builders.table(tmp_path_factory.mktemp("table") / "images.arrow", 64)


@pytest.fixture(scope="module")
def learnable(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    """Images enough for a surrogate to learn their classes."""
    return builders.table(tmp_path_factory.mktemp("learnable") / "images.arrow", 192)


def plan(
    name: str, *, protected: tuple[bool, bool] = (True, True), epsilon: float = EPSILON, **values: Any
) -> TrainPlan:
    own = builders.settings_with_a_part({"perturber": name, **values})
    train = builders.training({"augment": ["crop"], **TINY}, **own)
    return TrainPlan(train=train, tasks=builders.tasks(), protected=list(protected), epsilon=epsilon)


def trained(name: str, table: ImageTable, **values: Any) -> Trained:
    made = plan(name, **values)
    return PERTURBERS[name].train(table, made, CPU)


@pytest.fixture(scope="module")
def ready(table: ImageTable) -> Callable[[str], Trained]:
    """Each perturber after its training with the settings that most tests share; trained once, and only read."""
    return cache(lambda name: trained(name, table))


def delta(made: Trained, table: ImageTable, labels: tuple[torch.Tensor, ...] | None = None) -> torch.Tensor:
    batch = table.batch(np.arange(SHOWN), CPU)
    keys = ["k"] * SHOWN
    return GeneratorPerturber(made.generator, "x").delta(batch.x_BCHW, labels or batch.labels, batch.gray_B, keys)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_random_state_alone(
    name: str, table: ImageTable, ready: Callable[[str], Trained]
) -> None:
    one = serialise(ready(name).generator)
    torch.manual_seed(20261129)  # not where the training of `ready` began
    before = torch.get_rng_state()
    assert serialise(trained(name, table).generator) == one
    assert torch.equal(torch.get_rng_state(), before)
    assert serialise(trained(name, table, seed=4).generator) != one


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("epsilon", [1 / 255, EPSILON])
def test_delta_lies_within_epsilon_and_is_one_that_protects(
    name: str, epsilon: float, table: ImageTable, ready: Callable[[str], Trained]
) -> None:
    made = delta(ready(name) if epsilon == EPSILON else trained(name, table, epsilon=epsilon), table)
    assert made.abs().max().item() <= np.float32(epsilon)
    assert made.std() > 0.2 * epsilon
    check_delta(made, [str(row) for row in range(len(made))])


@pytest.mark.parametrize("name", NAMES)
def test_the_labels_of_an_unprotected_task_play_no_part(name: str, table: ImageTable) -> None:
    made = trained(name, table, protected=(True, False))
    labels, expected = table.batch(np.arange(SHOWN), CPU).labels, delta(made, table)
    same, other = (labels[0], 1 - labels[1]), ((labels[0] + 1) % 3, labels[1])
    assert torch.equal(delta(made, table, same), expected)
    assert not torch.allclose(delta(made, table, other), expected, atol=0.1 / 255)


@pytest.mark.parametrize("name", NAMES)
def test_a_gray_image_gets_one_delta_for_all_channels(
    name: str, table: ImageTable, ready: Callable[[str], Trained]
) -> None:
    made, batch = ready(name), table.batch(np.arange(8), CPU)
    gray_B = torch.arange(8) % 2 == 0
    found = GeneratorPerturber(made.generator, "x").delta(batch.x_BCHW, batch.labels, gray_B, ["k"] * 8)
    assert torch.equal(found[gray_B][:, 0], found[gray_B][:, 2])
    assert not torch.allclose(found[~gray_B][:, 0], found[~gray_B][:, 2])


@pytest.mark.parametrize("name", NAMES)
def test_a_table_in_which_labels_are_missing_trains_to_finite_weights(name: str, tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(MISSING, 2, (40, 2))
    labels[:, 1] = MISSING
    made = trained(name, builders.table(tmp_path / "images.arrow", 40, labels=labels), rounds=2, surrogate_epochs=2)
    assert all(bool(value.isfinite().all()) for value in made.generator.state_dict().values())


def test_codes_that_learn_are_those_that_are_published() -> None:
    tasks = builders.tasks([3] * 9)
    spec = GeneratorSpec(network="codes", resolution=16, epsilon=EPSILON, tasks=tasks, protected=[True] * 8 + [False])
    codes, x, gray_B = ClassCodes(spec).requires_grad_(False), torch.rand(4, 3, 16, 16), torch.zeros(4).bool()
    labels = [torch.tensor([0, MISSING, number % 3, 2]) for number in range(9)]
    learned, published = (codes.train(mode)(x, labels, gray_B) for mode in (True, False))
    torch.testing.assert_close(learned, published, rtol=0, atol=1e-6 * EPSILON)


def test_a_missing_label_adds_the_mean_of_a_tasks_codes() -> None:
    spec = GeneratorSpec(
        network="codes", resolution=16, epsilon=EPSILON, tasks=builders.tasks(), protected=[True, True]
    )
    codes, x, gray_B = ClassCodes(spec).requires_grad_(False), torch.rand(1, 3, 16, 16), torch.tensor([False])
    found = codes(x, [torch.tensor([MISSING]), torch.tensor([1])], gray_B)
    first, second = (codes.embeddings[name].table for name in "01")
    expected = (first.mean(dim=0) + second[1]).clamp(-1, 1) * EPSILON
    torch.testing.assert_close(found[0], expected)


def test_what_the_linear_heads_take_for_the_class_is_subtracted(learnable: ImageTable) -> None:
    made = trained("pil", learnable, surrogate_epochs=30)
    assert isinstance(made.generator, LinearInducement)
    labels, added = learnable.batch(np.arange(SHOWN), CPU).labels, delta(made, learnable)
    for number, head in made.generator.heads.items():
        says = head(-added.flatten(1)).argmax(dim=1)
        assert (says == labels[int(number)]).float().mean() > 0.9
        assert (head(added.flatten(1)).argmax(dim=1) == labels[int(number)]).float().mean() < 0.1


def with_pixels(table: ImageTable, change: Any) -> ImageTable:
    images = table.images(np.arange(len(table)))
    return ImageTable((np.stack([change(row, image) for row, image in enumerate(images)]),), table.labels, table.gray_N)


def striped(count: int, seed: int) -> ImageTable:
    """Noise with faint stripes whose width is the label: evidence that a victim needs some epochs to find."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=count)
    images = rng.normal(128, 20, (count, 16, 16, 3))
    widths = (labels[:, None] + 1) * np.arange(16)[None] / (2 * CLASSES)
    images += 12 * np.sign(np.sin(2 * np.pi * widths))[:, None, :, None]
    return ImageTable((np.clip(images, 0, 255).astype(np.uint8),), (labels,), np.zeros(count, dtype=bool))


def test_sign_steps_bring_the_surrogates_loss_to_where_the_method_wants_it(learnable: ImageTable) -> None:
    batch, kinds = learnable.batch(np.arange(SHOWN), CPU), builders.kinds()
    for name in SAMPLED:
        network = trained(name, learnable, surrogate_epochs=6).generator
        assert isinstance(network, PerSample)
        assert len(network.surrogates) == (6 if name == "sep-sample" else 1)
        wanted = list(batch.labels)
        if name != "em-sample":
            wanted = [kind.target(label) for kind, label in zip(kinds, batch.labels, strict=True)]
        moved_BCHW = (batch.x_BCHW + network(batch.x_BCHW, batch.labels, batch.gray_B)).clamp(0, 1)
        for surrogate in network.surrogates:
            assert not surrogate.training
        before, after = (
            np.mean([float(mean_loss(surrogate(shown), wanted, kinds)) for surrogate in network.surrogates])
            for shown in (batch.x_BCHW, moved_BCHW)
        )
        assert after < (0.98 if name == "em-sample" else 0.8) * before, name


def test_untargeted_sign_steps_only_push_away_from_the_class(learnable: ImageTable) -> None:
    batch, kinds = learnable.batch(np.arange(SHOWN), CPU), builders.kinds()
    network = trained("tap-sample", learnable, surrogate_epochs=6, targeted=False).generator
    moved_BCHW = (batch.x_BCHW + network(batch.x_BCHW, batch.labels, batch.gray_B)).clamp(0, 1)
    surrogate = network.surrogates[0]
    assert mean_loss(surrogate(moved_BCHW), batch.labels, kinds) > 1.2 * mean_loss(
        surrogate(batch.x_BCHW), batch.labels, kinds
    )


def test_patches_and_autoregressive_patterns_give_each_task_its_own_part_of_the_picture(
    ready: Callable[[str], Trained],
) -> None:
    for name in ("lsp", "ar"):
        codes = ready(name).generator
        assert isinstance(codes, ClassCodes)
        first, second = (codes.embeddings[number].table for number in "01")
        used = [(task.abs().amax(dim=(0, 1)) > 0) for task in (first, second)]
        assert not bool((used[0] & used[1]).any()), name
        assert float((used[0] | used[1]).float().mean()) > 0.9, name
    squares = ready("lsp").generator.embeddings["0"].table[:, :, :8, :8]
    assert torch.equal(squares, squares[:, :, :1, :1].expand_as(squares))


def test_each_value_of_an_autoregressive_pattern_follows_from_its_neighbours() -> None:
    planes = autoregressive_maps(2, 16, torch.Generator().manual_seed(0)).double().flatten(0, 1)
    for plane in planes:
        windows = plane.unfold(0, 3, 1).unfold(1, 3, 1).reshape(-1, 9)
        weights = torch.linalg.lstsq(windows[:, :-1], windows[:, -1:]).solution
        torch.testing.assert_close(windows[:, :-1] @ weights, windows[:, -1:], atol=1e-4, rtol=0)
    assert planes[:, -4:].std() > 0.2 * planes[:, :4].std()


MAKES: dict[str, dict[str, Any]] = {
    "codes": {"rounds": 8},
    "pil": {"surrogate_epochs": 30},
    "tap-sample": {"surrogate_epochs": 20, "width": 8},
    "generator": {"method": "fresh", "generator": "tiny", "epochs": 8},
}
"""What is trained on the striped set. sep-sample has the code of tap-sample, with more surrogates. EM in the generator,
pil in the generator and em-sample do not stop this victim on so small a set."""

STRONG = 24 / 255

LESS = 0.2
"""How much less than from random noise a victim learns, at the best epoch; chance is 0.25.

Measured with 2 seeds, each with a victim of its own: noise leaves 0.95 to 0.99, pil 0.37 to 0.49, tap-sample 0.59 to
0.61 (after 12 epochs), codes 0.38 to 0.57, the generator 0.25 to 0.43.
"""


def striped_victim(version: ImageTable, seed: int = 1) -> float:
    """Best balanced accuracy, over its epochs, of a victim that nothing in the package has a network like."""
    tasks = [Task(field="json.width", classes=CLASSES)]
    plan = VictimPlan(
        tasks=tasks, data="x", backbone="stride5", width=8, epochs=12, batch_size=16, augment=["crop"], seed=seed
    )
    figures = train_victim(version, striped(128, 1), plan, CPU).figures
    return max(epoch["width"]["balanced_accuracy"] for epoch in figures)


def protected_stripes(name: str, seed: int = 0) -> ImageTable:
    train, tasks = striped(256, 0), [Task(field="json.width", classes=CLASSES)]
    settings = plan(name, seed=seed, **MAKES[name]).train
    wanted = TrainPlan(train=settings, tasks=tasks, protected=[True], epsilon=STRONG)
    made = PERTURBERS[settings.perturber].train(train, wanted, CPU)
    batch = train.batch(np.arange(len(train)), CPU)
    deltas = GeneratorPerturber(made.generator, "x").delta(batch.x_BCHW, batch.labels, batch.gray_B, ["k"] * len(train))
    return with_pixels(train, lambda row, image: add_perturbation(image, deltas[row], STRONG))


@pytest.fixture(scope="module")
def from_noise() -> float:
    """What the victim reaches on random noise of the same strength."""
    torch.set_num_threads(1)
    (noise,) = transforms_of([Noise(epsilon=STRONG)])
    return striped_victim(with_pixels(striped(256, 0), lambda row, image: noise(image, str(row))))


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKES)
def test_an_unseen_victim_learns_far_less_than_from_random_noise(name: str, from_noise: float) -> None:
    torch.set_num_threads(1)
    assert from_noise > 0.7
    assert striped_victim(protected_stripes(name)) < from_noise - LESS
