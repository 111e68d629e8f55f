"""The configuration that fits a survey, as commented YAML: what was seen, what is doubtful, what is not published."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from schemas.errors import InputError
from schemas.tasks.task import MEMBER_ENDINGS
from stages.survey.survey import Survey
from stages.survey.tasks import Suggestion, suggestion

SMALLEST, LARGEST = 16, 128
"""Sides in pixels at which training is offered: larger pictures are seen at the larger one."""

FEWEST_TO_SPLIT = 50
"""Samples below which an audit cannot hold some out (`pipeline/run/audit.py`)."""

MOST_SAMPLES = 20_000
"""Images that training and victims see at most, so that a first run on a CPU ends."""

WIDE = 118
"""Letters of a line."""

FIELD = re.compile(r"[^.\s]+( +[^.\s]+)*(\.[^.\s]+( +[^.\s]+)*)*")
"""Names of fields that a task can read."""

SIDES = frozenset({"left", "right"})


@dataclass(frozen=True)
class Placed:
    """Where the data lies and where the result goes."""

    name: str
    shards: Sequence[str]
    test_shards: Sequence[str]
    output: str
    work: str
    endpoint_url: str | None = None
    origin: str = "mtlue init"
    """The command that wrote it."""


def configuration_text(seen: Survey, placed: Placed) -> str:
    """A whole `pipeline.yaml`.

    Raises:
        InputError: no image, or no label that a task could read.
    """
    if not seen.images:
        members = ", ".join([*seen.fields, *seen.maps, *seen.unknown]) or "nothing"
        raise InputError(f"none of {seen.samples} samples has an image; they have {members}: name other shards")
    found = suggestions(seen)
    if not any(each.task for each in found):
        reasons = "; ".join(f"{each.field}: {each.seen}" for each in found) or "there is nothing beside the image"
        raise InputError(
            f"no label was found in {seen.samples} samples, and protection needs one that differs between them "
            f"({reasons}): add labels, for example with `mtlue import folder PICTURES --labels labels.csv`"
        )
    lines = [
        f"# Written by `{placed.origin}` from {seen.samples} samples{' and the labels of all' if seen.whole else ''}.",
        "# Lines with CHECK are guesses: look at them.",
        "# `mtlue plan` says what a run would do and how long it takes; `mtlue run` does it.",
        "",
        f"name: {scalar(placed.name)}",
        "",
        *_dataset_lines(seen, placed, found),
        "",
        *_task_lines(seen, found),
        "",
        "protection:",
        "  epsilon: 8/255  # largest change of a pixel: 8 of 255 levels",
        "  tasks: all      # or names of tasks: the others stay learnable",
        "",
        *_train_lines(seen, found),
        "",
        *_audit_lines(seen, placed, found),
        "",
        f"output: {scalar(_literal(placed.output))}  # public: protected shards, manifest, card",
        f"work: {scalar(_literal(placed.work))}  # private: perturber, ledger, report; never publish it",
    ]
    return "\n".join(lines) + "\n"


def suggestions(seen: Survey) -> list[Suggestion]:
    """A task, or the reason for none, of each field and label map, in the order of the samples."""
    made = []
    for name, values in seen.fields.items():
        if not FIELD.fullmatch(name):
            made.append(Suggestion(name, None, "a name that no task can read (dots or spaces at its ends)"))
        elif name not in seen.leads:  # what leads back to an original is dropped, and stands there
            whole = seen.whole or seen.complete
            made.append(suggestion(values, seen.class_names.get(name), whole=whole))
    return [*made, *(maps.suggestion(seen.class_names.get(name)) for name, maps in seen.maps.items())]


def _dataset_lines(seen: Survey, placed: Placed, found: Sequence[Suggestion]) -> Iterator[str]:
    yield "dataset:"
    yield f"  shards: {_patterns(placed.shards)}"
    if placed.test_shards:
        yield f"  test_shards: {_patterns(placed.test_shards)}  # clean, for the audit only; never published"
    yield f"  image: {scalar(';'.join(seen.images))}"
    if seen.without_image:
        yield f"  # CHECK: {seen.without_image} of {seen.samples} samples have no such image and would be left out."
    members = dict(_member_lines(seen, found))
    if members:
        yield "  members:  # `drop`: not published"
        yield from (f"    {scalar(name)}: {line}" for name, line in members.items())
    if placed.endpoint_url is not None:
        yield f"  storage: {{endpoint_url: {scalar(placed.endpoint_url)}}}"
    for each in seen.left_out[:1]:
        yield f"  # CHECK: {len(seen.left_out)} samples cannot be read; the first: {_one_line(each.message)}"


def _member_lines(seen: Survey, found: Sequence[Suggestion]) -> Iterator[tuple[str, str]]:
    tasks = {each.field for each in found if each.task is not None}
    for name in seen.maps:
        if name in tasks:
            yield name, "keep"
        else:
            yield name, "drop  # CHECK: not understood; `keep` publishes it as it is"
    for name, what in seen.unknown.items():
        yield name, f"drop  # CHECK: {what}, maybe the unprotected original; `keep` publishes it as it is"
    for name in seen.columns.nested:
        yield name, "drop  # CHECK: bytes inside a list or struct, maybe the unprotected original"
    for name, what in seen.leads.items():
        if name not in tasks:
            yield name, f"drop  # CHECK: it holds {what.rstrip(',')}; `keep` publishes it as it is"


def _task_lines(seen: Survey, found: Sequence[Suggestion]) -> Iterator[str]:
    yield "tasks:  # each becomes unlearnable; take out what nobody would train on"
    counts = Counter(doubt for each in found if each.task is not None for doubt in each.doubts)
    shared = [doubt for doubt, count in counts.items() if count > 1]
    yield from (f"  # CHECK, of {counts[doubt]} tasks: {doubt}" for doubt in shared)
    names: set[str] = set()
    for each in found:
        if each.task is None:
            continue
        task, named = dict(each.task), _name_of(each.field, names)
        if named != re.sub(r"[^A-Za-z0-9_-]", "_", each.field.rpartition(".")[2]):  # what it would be left out
            task = {"name": named, **task}
        names.add(named)
        yield from _item(task, each.seen)
        yield from (f"    # CHECK: {doubt}" for doubt in each.doubts if doubt not in shared)
    if seen.passed_by:
        first = _one_line(next(iter(seen.passed_by)))
        yield f"  # CHECK: {len(seen.passed_by)} more keys were not looked at, {first} the first: are they data?"
    others = [each for each in found if each.task is None]
    if others:
        yield "  # No tasks, and published as they are (`drop` them under dataset.members, or make them tasks):"
        for each in others:
            yield f"  # - {_one_line(each.field)}: {_one_line('; '.join([each.seen, *each.doubts]))}"


def _name_of(field: str, taken: set[str]) -> str:
    """A name for a task: `mask` for `mask.png`, `label` for `json.label`; the whole field where that is taken."""
    *before, last = field.split(".")
    short = before[-1] if before and last in MEMBER_ENDINGS else last
    short, whole = (re.sub(r"[^A-Za-z0-9_-]", "_", text) for text in (short, field))
    names = (short, whole, *(f"{whole}_{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken and re.search(r"[A-Za-z0-9]", name))


def _item(task: dict[str, Any], seen: str) -> Iterator[str]:
    """A task in one line where it fits, else in several."""
    short = ", ".join(f"{key}: {scalar(value)}" for key, value in task.items())
    line = f"  - {{{short}}}"
    if len(line) <= WIDE and "\n" not in short:
        yield f"{line}  # {_one_line(seen)}" if len(line) + len(seen) < WIDE else line
        return
    for place, (key, value) in enumerate(task.items()):
        text = scalar(value, indent=6)
        yield f"  {'-' if place == 0 else ' '} {key}: {text}"


def _train_lines(seen: Survey, found: Sequence[Suggestion]) -> Iterator[str]:
    side = min(LARGEST, max(SMALLEST, seen.side // 4 * 4))
    sided = any(SIDES & set(re.findall(r"[a-z]+", json.dumps([each.field, each.task]).lower())) for each in found)
    yield "train:"
    yield "  # perturber: left out, so it follows from the tasks; `mtlue plan` says which one it is"
    note = f"; the pictures have about {seen.side}" if seen.side != side else ""
    yield f"  resolution: {side}  # side in pixels at which the perturber works{note}"
    yield f"  batch_size: {_batch(seen, found)}"
    if sided:
        yield "  augment: [crop]  # no flip: a label speaks of left or right"
    else:
        yield "  augment: [crop, flip]  # CHECK: no `flip` where a mirrored picture has another label (text)"
    yield f"  max_samples: {MOST_SAMPLES}  # images that training sees at most"
    yield "  seed: 0"


def _audit_lines(seen: Survey, placed: Placed, found: Sequence[Suggestion]) -> Iterator[str]:
    if seen.samples < FEWEST_TO_SPLIT and not placed.test_shards:
        yield f"# No audit: it needs {FEWEST_TO_SPLIT} samples, or held-out ones in dataset.test_shards."
        return
    dense = _is_dense(found)
    yield "audit:  # trains victims on clean and on protected images; without it a run is quicker and measures nothing"
    yield f"  victims: {'[unet, stride5]' if dense else '[stride5, plain, vgg16]'}"
    yield f"  learning_rates: {'[3.0e-3]' if dense else '[1.0e-3, 3.0e-3]'}"
    yield f"  width: {8 if dense else 12}  # channels of a victim's first stage; 64 where there is a GPU"
    yield "  epochs: 10"
    yield f"  batch_size: {_batch(seen, found)}"
    yield f"  max_samples: {MOST_SAMPLES}"
    if not placed.test_shards:
        yield "  # There is no test_shards: a fifth of the samples is held out from the victims."
    yield "  # require: {}  # publish only when no victim learns more than 15 points above chance"


def _batch(seen: Survey, found: Sequence[Suggestion]) -> int:
    """Images in a batch: no more than the rarest class has, where all labels are known."""
    if _is_dense(found):
        return 16
    known = seen.whole or seen.complete
    fields = [each.field for each in found if each.task and each.task["kind"] in {"classification", "binary"}]
    counts = [min(seen.fields[name].distinct.values()) for name in fields if name in seen.fields] if known else []
    return next((size for size in (128, 64, 32) if min(counts, default=128) >= size), 16)


def _is_dense(found: Sequence[Suggestion]) -> bool:
    return any(each.task and each.task["kind"] in {"segmentation", "depth", "normals"} for each in found)


def _patterns(patterns: Sequence[str]) -> str:
    literal = [_literal(pattern) for pattern in patterns]
    return scalar(literal[0] if len(literal) == 1 else literal)


def _literal(text: str) -> str:
    """An address in which a dollar sign begins no variable."""
    return text.replace("$", "$$")


def _one_line(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


def scalar(value: Any, indent: int = 0) -> str:
    """A value as YAML, in flow style; a long list is broken into lines.

    >>> scalar("no"), scalar(["a", "b: c"]), scalar(3)
    ("'no'", "[a, 'b: c']", '3')
    """
    width = 10**9 if not isinstance(value, list) or not indent else WIDE - indent
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=width, sort_keys=False)
    lines = text.removesuffix("\n...\n").strip().splitlines()
    return ("\n" + " " * indent).join(line.strip() for line in lines)
