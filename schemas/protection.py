"""What is protected, how strongly and against what, and the training that follows where a configuration names none.

The figures behind each choice are in docs/results.md, "Photographs". What a configuration gives always wins; where that
and `protection.withstand` exclude each other, the configuration is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    withstand: list[Withstood] | None = None
    """What an attacker may do to all images without undoing δ. It decides the training (`chosen_training`) and takes
    longer. `mtlue plan` says how much. None: both where most of the protected tasks are yes/no and nothing in `train`
    excludes them or names a perturber; otherwise nothing. An empty list: nothing."""

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

USUAL: tuple[Withstood, ...] = ("gray", "half_size")
"""What the default of yes/no tasks withstands (docs/results.md, "Which perturber a run gets")."""

NAMES_A_TRAINING = {"perturber", "method", "rounds"}
"""Keys of `train` that say which perturber, or belong to one: with any of them the tasks do not choose it."""

MANY_TASKS, ROUNDS_OF_MANY = 5, 24
"""From this number of protected tasks on, `train.rounds` has this default (docs/results.md, number of tasks)."""


def chosen_training(train: Any, withstand: Sequence[Withstood]) -> Any:
    """`train` as it is given, with what is chosen for the keys that are left out.

    Args:
        train: the value of the configuration's `train`, before it is checked.
        withstand: what δ must withstand (`to_withstand`).

    Raises:
        ValueError: a given key excludes what is to be withstood.
    """
    given = _given(train)
    if not isinstance(given, dict) or not withstand:
        return train  # what is no mapping is refused later
    for key, value in _needed(withstand).items():
        if not _is_met(value, found := given.get(key, value)):
            raise ValueError(
                f"protection.withstand ({', '.join(withstand)}) needs {key} {value!r}, and train has {found!r}; take "
                f"train.{key} out, or protection.withstand"
            )
    return {**POISONING, **_needed(withstand), **given}


def to_withstand(train: Any, protected: Sequence[AnyTask], wish: Sequence[Withstood] | None) -> Sequence[Withstood]:
    """What δ must withstand: what is wished, or without a wish what is usual for these tasks and this training.

    Args:
        train: the value of the configuration's `train`, before it is checked.
        protected: the tasks that are to be protected.
        wish: `protection.withstand`.
    """
    given = _given(train)
    if wish is not None:
        return wish
    if not isinstance(given, dict) or not _are_yes_or_no(protected) or NAMES_A_TRAINING & given.keys():
        return ()
    return USUAL if all(_is_met(value, given.get(key, value)) for key, value in _needed(USUAL).items()) else ()


def with_rounds(train: Train, protected: Sequence[AnyTask], withstand: Sequence[Withstood]) -> Train:
    """The training with more rounds where many tasks are protected and `rounds` is left out."""
    if "rounds" in train.model_fields_set or len(protected) < MANY_TASKS or withstand:
        return train
    # Not as if it had been given: where it has no part, a configuration that gives it is refused.
    return Train.model_construct(train.model_fields_set, **{**dict(train), "rounds": ROUNDS_OF_MANY})


def reasons(train: Train, protected: Sequence[AnyTask], wish: Sequence[Withstood] | None) -> list[str]:
    """Why the training is this one and what it costs, a sentence each; none where it is the usual one."""
    found = train.model_dump()
    if wish is not None:
        return [PRICES[name] for name in wish]
    if _are_yes_or_no(protected) and all(_is_met(value, found[key]) for key, value in _needed(USUAL).items()):
        return [CHOSEN, *(PRICES[name] for name in USUAL)]
    return []


def _given(train: Any) -> Any:
    """The keys that a configuration gives of `train`."""
    return train.model_dump(include=train.model_fields_set) if isinstance(train, Train) else train


def _needed(withstand: Sequence[Withstood]) -> dict[str, Any]:
    """What a training needs to withstand this."""
    needed: dict[str, Any] = {"perturber": "generator", "method": "tap"}
    for name in withstand:
        needed |= WITHSTANDING[name]
    return needed


def _is_met(needed: Any, found: Any) -> bool:
    """Whether a key has what is needed; a list may have more."""
    both_lists = isinstance(needed, list) and isinstance(found, list)
    return set(needed) <= set(found) if both_lists else bool(found == needed)


def _are_yes_or_no(protected: Sequence[AnyTask]) -> bool:
    """Whether most of the protected tasks are yes/no."""
    return 2 * sum(task.yes_or_no for task in protected) > len(protected)


CHOSEN = (
    "most of the protected tasks are yes/no, so the default is withstand: [gray, half_size]. protection.withstand: [] "
    "takes class codes instead, in a third of the time; on photographs a conversion to gray undoes those"
)
"""Why the default is what it is."""

PRICES: dict[Withstood, str] = {
    "gray": "withstand gray: TAP in the generator, one δ for all channels, surrogates that see gray half the time. It "
    "trains three times as long as class codes. Of eight attributes of faces it leaves an unseen victim 56 to 61 % in "
    "gray (class codes 82, TAP in colour 72, chance 50). Where nothing is done the victim reaches up to 6 points more "
    "than with TAP in colour",
    "half_size": "withstand half_size: as for gray, with a second surrogate that sees half the size, for a fifth more "
    "time. At half the size a victim reaches 61 % instead of 64 with 3,000 of these faces, and 64 to 70 % with 8,000",
}
"""What each costs, as measured (docs/results.md, "Photographs")."""
