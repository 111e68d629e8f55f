"""Classes of a task: their number, their names, and which names are refused."""

from __future__ import annotations

from typing import Any

from schemas.tasks.task import is_number


class Classes:
    """Part of a kind whose configuration has `classes`: their number C, or their names in order."""

    classes: int | list[str]

    @property
    def class_count(self) -> int:
        """C, the number of classes."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    @property
    def class_names(self) -> list[str]:
        """C names; the indices as text where the configuration gives only a number."""
        return [str(index) for index in range(self.classes)] if isinstance(self.classes, int) else self.classes

    @property
    def in_order(self) -> str:
        """The classes in words: their names, or the range of their indices."""
        named = f"0..{self.class_count - 1}" if isinstance(self.classes, int) else ", ".join(self.classes)
        return f"classes, in order: {named}"


def check_names(names: list[str]) -> None:
    """Refuse names that repeat, or that could be mistaken for each other or for a number.

    Raises:
        ValueError: names the first of them.
    """
    if len(set(names)) != len(names):
        raise ValueError(f"class names must differ; found {names}")
    bad = [name for name in names if not name.strip() or name != name.strip() or is_number(name)]
    if bad:
        raise ValueError(
            f"class names must be words without spaces around them; found {bad[0]!r} "
            "(for numbered classes, give their number: `classes: 5`)"
        )


def class_label(names: list[str]) -> dict[str, Any]:
    """The Hugging Face feature of class indices."""
    return {"names": names, "_type": "ClassLabel"}
