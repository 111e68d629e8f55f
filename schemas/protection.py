"""What is protected, how strongly and against what, and the training that follows where a configuration names none.

The figures behind each choice are in docs/results.md, "Photographs". What a configuration gives always wins; where that
and `protection.withstand` exclude each other, the configuration is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from schemas.model import Model
from schemas.tasks import AnyTask
from schemas.training import Train

Withstood = Literal["gray", "half_size"]
"""What an attacker may do to the images that a named setting is measured to withstand."""


def parse_epsilon(value: Any) -> float:
    """Read ε as a number or a fraction in text (`8/255`), in [0, 1] units of the pixel range."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"epsilon must be a number or a fraction such as 8/255; found {value!r}")
    try:
        epsilon = float(Fraction(value.replace(" ", ""))) if isinstance(value, str) else float(value)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"epsilon must be a number or a fraction such as 8/255; found {value!r}") from None
    if not 1 / 255 - 1e-9 <= epsilon <= 32 / 255 + 1e-9:
        raise ValueError(f"epsilon must lie between 1/255 and 32/255 (8/255 is usual); found {value!r}")
    return epsilon


Fractional = Annotated[str, Field(pattern=r"^ *[0-9]+([.][0-9]+)? *(/ *[0-9]+ *)?$")]
"""A number or fraction in text, for the schema of editors."""


class Protection(Model):
    """What is protected, and how strongly."""

    epsilon: Annotated[float, BeforeValidator(parse_epsilon, json_schema_input_type=float | Fractional)] = 8 / 255
    """ε, the bound on |δ| in [0, 1] units of the pixel range; also a fraction in text (`8/255`)."""

    tasks: Literal["all"] | list[str] = "all"
    """Names of the tasks that become unlearnable; the name of a multi-label set means all of its findings."""

    withstand: list[Withstood] = Field(default_factory=list)
    """What an attacker may do to all images without undoing δ. It decides the training (`chosen_training`), takes
    longer, and costs strength against an attacker who does nothing. `mtlue plan` says how much."""

    @property
    def bound(self) -> int:
        """B, the integer bound on 8-bit pixels: floor(255·ε + 1e-6) (docs/method.md, "The bound")."""
        return int(255 * self.epsilon + 1e-6)


POISONING: dict[str, Any] = {
    "perturber": "generator", "method": "tap", "generator": "tiny", "width": 16, "surrogate_epochs": 6, "epochs": 6,
}  # fmt: skip
"""TAP in the generator at the size that was measured on 8,000 faces."""

WITHSTANDING: dict[Withstood, dict[str, Any]] = {
    "gray": {"achromatic": True, "robust": ["gray"]},
    "half_size": {"achromatic": True, "robust": ["gray"], "surrogate_sizes": [1.0, 0.5]},
}
"""What a training needs so that δ withstands something, beside the perturber and its method."""

MANY_YES_OR_NO = 20
"""From this number of protected yes/no tasks on, the default is TAP in the generator. With 8 tasks class codes are as
strong, in a third of the time; with 40 TAP is stronger, in a third of the time. The line between them is a guess."""


MANY_TASKS, ROUNDS_OF_MANY = 5, 24
"""From this number of protected tasks on, `train.rounds` has this default (docs/results.md, number of tasks)."""


def chosen_training(train: Any, protected: Sequence[AnyTask], withstand: Sequence[Withstood]) -> Any:
    """`train` as it is given, with what is chosen for the keys that are left out.

    Args:
        train: the value of the configuration's `train`, before it is checked.
        protected: the tasks that are to be protected.
        withstand: of `protection`.

    Raises:
        ValueError: a given key excludes what is to be withstood.
    """
    given = train.model_dump(include=train.model_fields_set) if isinstance(train, Train) else train
    if not isinstance(given, dict):
        return train  # which is refused for that
    if not withstand:
        return {**(POISONING if _is_poisoned(given, protected) else {}), **given}
    needed: dict[str, Any] = {"perturber": "generator", "method": "tap"}
    for name in withstand:
        needed |= WITHSTANDING[name]
    for key, value in needed.items():
        found = given.get(key, value)
        if not (set(value) <= set(found) if isinstance(value, list) and isinstance(found, list) else found == value):
            raise ValueError(
                f"protection.withstand ({', '.join(withstand)}) needs {key} {value!r}, and train has {found!r}; take "
                f"train.{key} out, or protection.withstand"
            )
    return {**POISONING, **needed, **given}


def with_rounds(train: Train, protected: Sequence[AnyTask], withstand: Sequence[Withstood]) -> Train:
    """The training with more rounds where many tasks are protected and `rounds` is left out."""
    if "rounds" in train.model_fields_set or len(protected) < MANY_TASKS or withstand:
        return train
    # Not as if it had been given: where it has no part, a configuration that gives it is refused.
    return Train.model_construct(train.model_fields_set, **{**dict(train), "rounds": ROUNDS_OF_MANY})


def _is_poisoned(given: Mapping[str, Any], protected: Sequence[AnyTask]) -> bool:
    """Whether the default is TAP in the generator: many yes/no tasks, and no key that names another training."""
    return _are_many(protected) and not {"perturber", "method", "rounds"} & given.keys()


def _are_many(protected: Sequence[AnyTask]) -> bool:
    """Whether so many yes/no tasks are protected that the default is another one."""
    return sum(task.yes_or_no for task in protected) >= MANY_YES_OR_NO


def reasons(train: Train, protected: Sequence[AnyTask], withstand: Sequence[Withstood]) -> list[str]:
    """Why the training is this one and what it costs, a sentence each; none where it is the usual one."""
    sentences = [PRICES[name] for name in withstand]
    if not withstand and (train.perturber, train.method) == ("generator", "tap") and _are_many(protected):
        sentences.append(
            f"TAP in the generator is the default from {MANY_YES_OR_NO} yes/no tasks on: of 40 attributes of faces it "
            "leaves an unseen victim an AUC of 66, class codes 70 in three times the time (clean 86)"
        )
    return sentences


PRICES: dict[Withstood, str] = {
    "gray": "withstand gray: TAP in the generator, one δ for all channels, surrogates that see gray half the time. It "
    "trains three times as long as class codes. Of eight attributes of faces it leaves an unseen victim 56 to 61 % in "
    "gray (class codes 82, TAP in colour 72, chance 50). Where nothing is done the victim reaches up to 6 points more "
    "than with TAP in colour",
    "half_size": "withstand half_size: as for gray, with a second surrogate that sees half the size, for a fifth more "
    "time. On 3,000 of these faces a victim at half the size reaches 61 % instead of 64",
}
"""What each costs, as measured (docs/results.md, "Photographs")."""
