"""Binary, multi-label and regression labels: every spelling, missing and wrong ones included."""

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.config import Config
from schemas.errors import SampleError
from schemas.tasks import MISSING, AnyTask, BinaryTask, MultilabelTask, RegressionTask, Task

SMILING = BinaryTask(kind="binary", field="json.smiling")
SEX = BinaryTask(kind="binary", field="json.sex", classes=["female", "male"])
NAMES = ["Mass", "Pleural Thickening", "Hernia"]
FINDINGS = MultilabelTask(kind="multilabel", field="json.findings", findings=NAMES)
AGE = RegressionTask(kind="regression", field="json.age", unit="years", low=0, high=120)


def vector(raw: object, task: MultilabelTask = FINDINGS) -> list[int]:
    return [part.label(raw) for part in task.parts if isinstance(part, BinaryTask)]


def reason(task: BinaryTask | RegressionTask, raw: object) -> tuple[str, str]:
    with pytest.raises(SampleError) as caught:
        task.label(raw)
    return caught.value.reason, caught.value.message


@pytest.mark.parametrize("raw", [1, 1.0, True, "1", " 1\n", "+1", "yes", "Yes", "TRUE", "t", "y", "1.0"])
def test_yes_in_every_spelling(raw: object) -> None:
    assert SMILING.label(raw) == 1


@pytest.mark.parametrize("raw", [0, 0.0, False, "0", "no", "False", "n", -1, "-1", -1.0])
def test_no_in_every_spelling(raw: object) -> None:
    assert SMILING.label(raw) == 0


def test_minus_one_can_mean_that_there_is_no_label() -> None:
    uncertain = SMILING.model_copy(update={"minus_one": "missing"})
    assert [uncertain.label(raw) for raw in (-1, "-1", 0, 1)] == [MISSING, MISSING, 0, 1]


def test_words_of_the_data_name_no_and_yes() -> None:
    assert [SEX.label(raw) for raw in ("female", "male", 0, "1")] == [0, 1, 0, 1]
    assert SEX.class_names == ["female", "male"]


@pytest.mark.parametrize("raw", [None, math.nan, "", "n/a", "NaN"])
def test_a_missing_answer_is_none(raw: object) -> None:
    assert SMILING.label(raw) == MISSING
    assert vector(raw) == [MISSING] * 3
    assert math.isnan(AGE.label(raw))


def test_what_is_neither_yes_nor_no_is_told_with_task_field_and_value() -> None:
    assert reason(SMILING, 2)[0] == "label-out-of-range"
    for raw in ("maybe", [1], {"a": 1}, b"\x89"):
        found, message = reason(SMILING, raw)
        assert found == "label-unreadable"
        assert "'smiling'" in message
        assert "'json.smiling'" in message
        assert "yes or no" in message
    assert "binary data" in reason(SMILING, b"\x89")[1]


def test_a_set_stands_for_one_binary_task_a_finding() -> None:
    assert [part.name for part in FINDINGS.parts] == [
        "findings.Mass",
        "findings.Pleural_Thickening",
        "findings.Hernia",
    ]
    assert {part.group for part in FINDINGS.parts} == {"findings"}
    numbered = MultilabelTask(kind="multilabel", field="marks", findings=2)
    assert [part.name for part in numbered.parts] == ["marks.0", "marks.1"]


def test_a_vector_gives_each_finding_its_entry_and_each_may_be_missing() -> None:
    assert vector([1, 0, 1]) == [1, 0, 1]
    assert vector([1, None, math.nan]) == [1, MISSING, MISSING]
    assert vector([-1, 1, True]) == [0, 1, 1]


def test_an_object_names_the_findings() -> None:
    assert vector({"Mass": 1, "Hernia": "no", "Age": 40}) == [1, MISSING, 0]


def test_a_text_names_those_that_hold() -> None:
    assert vector("Hernia|Mass") == [1, 0, 1]
    assert vector("No Finding") == [0, 0, 0]
    commas = FINDINGS.model_copy(update={"separator": ",", "nothing": "healthy"})
    assert vector("Mass, Pleural Thickening", commas) == [1, 1, 0]
    assert vector("healthy", commas) == [0, 0, 0]


def test_a_list_names_those_that_an_image_has() -> None:
    assert vector(["Hernia", "Mass"]) == [1, 0, 1]
    assert vector(["Pleural Thickening"]) == [0, 1, 0]
    assert vector(["Mass", "Hernia", "Pleural Thickening"]) == [1, 1, 1]
    assert vector(["No Finding"]) == vector([]) == [0, 0, 0]
    assert vector(["1", "0", "yes"]) == [1, 0, 1], "a vector of words"
    part = FINDINGS.parts[0]
    assert isinstance(part, BinaryTask)
    for wrong in (["Mass", "Hernja"], ["mass"], ["Mass", "Hernia", "Hernja"], ["Hernja"]):
        found, message = reason(part, wrong)
        assert (found, "in a list or joined by" in message) == ("label-unreadable", True)
    numbered = MultilabelTask(kind="multilabel", field="json.findings", findings=3).parts[0]
    assert isinstance(numbered, BinaryTask)
    for wrong in ([], ["0", "2"]):
        assert reason(numbered, wrong)[0] == "label-wrong-length"


def test_a_vector_of_the_wrong_length_is_an_error_that_tells_both() -> None:
    part = FINDINGS.parts[0]
    assert isinstance(part, BinaryTask)
    found, message = reason(part, [1, 0])
    assert found == "label-wrong-length"
    for told in ("'findings'", "'json.findings'", "2 values", "expected 3"):
        assert told in message


def test_a_finding_that_nobody_declared_is_named() -> None:
    part = FINDINGS.parts[0]
    assert isinstance(part, BinaryTask)
    found, message = reason(part, "Mass|Hernja")
    assert found == "label-unreadable"
    assert "'Hernja'" in message
    assert "'Hernia'" in message
    assert reason(part, 3)[0] == "label-unreadable"


@pytest.mark.parametrize("raw", [41, 41.0, "41", " 41.0\n", "4.1e1"])
def test_a_number_in_every_spelling(raw: object) -> None:
    assert AGE.label(raw) == 41


@pytest.mark.parametrize("raw", ["old", math.inf, "inf", [1], True, {"a": 1}, 10**400])
def test_what_is_no_number_is_unreadable(raw: object) -> None:
    found, message = reason(AGE, raw)
    assert found == "label-unreadable"
    assert "a finite number" in message


def test_a_number_out_of_range_names_value_and_range() -> None:
    found, message = reason(AGE, 130)
    assert found == "label-out-of-range"
    assert "holds 130, outside 0..120" in message
    assert RegressionTask(kind="regression", field="x").label(-1e9) == -1e9


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "regression", "edges": [3, 1]}, "edges must ascend"),
        ({"kind": "regression", "low": 3, "high": 3}, "low must lie below high"),
        ({"kind": "regression", "bins": 1}, "greater than or equal to 2"),
        ({"kind": "regression", "unit": "%"}, "percent"),
        ({"kind": "binary", "classes": ["a"]}, "at least 2"),
        ({"kind": "binary", "classes": ["a", "a"]}, "must differ"),
        ({"kind": "multilabel", "findings": ["a", "a"]}, "must differ"),
        ({"kind": "multilabel", "findings": []}, "findings"),
        ({"kind": "multilabel"}, "findings"),
        ({"kind": "regression", "classes": 2}, "classes"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyTask).validate_python({"field": "json.x", **values})


def test_a_call_makes_the_task_of_its_kind() -> None:
    made: Task = Task(field="json.x", kind="binary")
    assert isinstance(made, BinaryTask)
    with pytest.raises(ValidationError, match="no such kind"):
        Task(field="json.x", kind="guess")


@pytest.mark.parametrize(
    ("field", "member", "path"),
    [
        ("json.a.b", "json", ("a", "b")),
        ("seg.png", "seg.png", ()),
        ("depth.npy", "depth.npy", ()),
        ("meta.json.a", "meta.json", ("a",)),
        ("labels.a", "labels", ("a",)),
        ("cls", "cls", ()),
    ],
)
def test_the_member_of_a_field_ends_where_a_file_would(field: str, member: str, path: tuple[str, ...]) -> None:
    task = Task(field=field, classes=2)
    assert (task.member, task.path) == (member, path)


def settings(**changes: object) -> Config:
    values = {"dataset": {"shards": "raw/*.tar"}, "output": "out", "tasks": [FINDINGS.model_dump(), AGE.model_dump()]}
    return Config.model_validate({**values, **changes})


def test_a_set_becomes_its_findings_when_the_configuration_is_read() -> None:
    config = settings()
    assert [task.name for task in config.tasks][-2:] == ["findings.Hernia", "age"]
    again = Config.model_validate({**config.model_dump(), "train": {}})
    assert again.tasks == config.tasks


def test_a_set_or_one_of_its_findings_can_be_protected() -> None:
    assert settings(protection={"tasks": ["findings"]}).protected_tasks == [True, True, True, False]
    assert settings(protection={"tasks": ["findings.Mass", "age"]}).protected_tasks == [True, False, False, True]
    with pytest.raises(ValidationError, match=r"the tasks are: findings\.Mass, .*, age, findings; or write"):
        settings(protection={"tasks": ["finding"]})


def test_a_requirement_names_a_figure_of_one_of_the_tasks() -> None:
    dataset = {"shards": "raw/*.tar", "test_shards": "test/*.tar"}
    asked = settings(dataset=dataset, audit={"require": {"metric": "mae"}}).audit
    assert asked is not None
    with pytest.raises(
        ValidationError, match=r"'f1'; the figures of these tasks are: auc, balanced_accuracy, accuracy"
    ):
        settings(dataset=dataset, audit={"require": {"metric": "f1"}})


def test_a_set_and_a_task_of_one_name_are_told_apart() -> None:
    clash = RegressionTask(kind="regression", field="json.findings")
    with pytest.raises(ValidationError, match="a multi-label set and a task have the name 'findings'"):
        settings(tasks=[FINDINGS.model_dump(), clash.model_dump()])


def test_auc_decides_yes_and_no_whether_alone_or_in_a_set() -> None:
    assert FINDINGS.parts[0].metrics[0].name == "auc"
    assert SMILING.metrics[0].name == "auc"
