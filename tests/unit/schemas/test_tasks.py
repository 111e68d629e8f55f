"""What a task is, and how a raw field becomes a label: a wrong label protects an image for the wrong class."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.errors import SampleError
from schemas.tasks import MISSING, AnyTask, Task

NUMBERED = Task(field="json.shape", classes=3)
NAMED = Task(field="cls", classes=["cat", "dog", "none"])


def test_name_is_the_last_part_of_the_field_unless_given():
    assert Task(field="json.labels.shape", classes=2).name == "shape"
    assert Task(field="cls", classes=2).name == "cls"
    assert Task(field="json.shape", name="form", classes=2).name == "form"


def test_field_splits_into_member_and_path_below_it():
    nested = Task(field="json.labels.shape", classes=2)
    assert (nested.member, nested.path) == ("json", ("labels", "shape"))
    plain = Task(field="cls", classes=2)
    assert (plain.member, plain.path) == ("cls", ())


def test_classes_are_counted_and_named():
    assert (NUMBERED.class_count, NUMBERED.class_names) == (3, ["0", "1", "2"])
    assert (NAMED.class_count, NAMED.class_names) == (3, ["cat", "dog", "none"])


@pytest.mark.parametrize("raw", [2, 2.0, "2", " 2\n"])
def test_index_is_read_from_json_parquet_and_text(raw):
    assert NUMBERED.label(raw) == 2


def test_boolean_is_the_index_0_or_1():
    label = NUMBERED.label(True)
    assert (label, type(label)) == (1, int)
    assert NUMBERED.label(False) == 0


@pytest.mark.parametrize(("raw", "index"), [("cat", 0), ("dog\n", 1), (1, 1), ("1", 1)])
def test_class_name_or_index_names_a_class(raw, index):
    assert NAMED.label(raw) == index


@pytest.mark.parametrize("raw", [None, math.nan, "", "  ", "NaN", "n/a", "NULL", "None", "na"])
def test_missing_label_in_every_spelling(raw):
    assert NUMBERED.label(raw) == MISSING


def test_class_that_is_named_like_a_missing_value_wins():
    assert NAMED.label("none") == 2
    assert NAMED.label("null") == MISSING


@pytest.mark.parametrize("raw", [3, -1, 3.0, "3", 10**30])
def test_label_out_of_range_names_task_field_value_and_range(raw):
    with pytest.raises(SampleError) as caught:
        NUMBERED.label(raw)
    assert caught.value.reason == "label-out-of-range"
    for part in ("'shape'", "'json.shape'", str(int(raw)), "0..2"):
        assert part in caught.value.message


@pytest.mark.parametrize("raw", ["circle", 1.5, math.inf, [1], {"index": 1}, "1.5"])
def test_unreadable_label_names_task_field_and_value(raw):
    with pytest.raises(SampleError) as caught:
        NUMBERED.label(raw)
    assert caught.value.reason == "label-unreadable"
    for part in ("'shape'", "'json.shape'", repr(raw)):
        assert part in caught.value.message


def test_unknown_class_name_is_told_the_known_ones():
    with pytest.raises(SampleError, match=r"'bird'.*'cat', 'dog'"):
        NAMED.label("bird")


@settings(deadline=None)
@given(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
    st.integers(2, 50),
)
def test_a_label_is_in_range_missing_or_an_error_of_the_sample(raw, classes):
    try:
        label = Task(field="json.x", classes=classes).label(raw)
    except SampleError:
        return
    assert label == MISSING or 0 <= label < classes


@pytest.mark.parametrize(
    ("classes", "message"),
    [(1, "greater than or equal to 2"), (["cat"], "at least 2 classes"), (["cat", "cat"], "must differ")],
)
def test_too_few_or_repeated_classes_are_refused(classes, message):
    with pytest.raises(ValidationError, match=message):
        Task(field="cls", classes=classes)


def test_unknown_kind_and_unknown_key_are_refused():
    with pytest.raises(ValidationError, match="kind"):
        TypeAdapter(AnyTask).validate_python({"field": "cls", "classes": 2, "kind": "guess"})
    with pytest.raises(ValidationError, match="weight"):
        TypeAdapter(AnyTask).validate_python({"field": "cls", "classes": 2, "weight": 2})


@pytest.mark.parametrize("names", [["1", "2"], ["a ", "b"], ["", "b"]])
def test_class_names_that_could_be_mistaken_are_refused(names):
    with pytest.raises(ValidationError, match="class names must be words"):
        Task(field="json.shape", classes=names)


@pytest.mark.parametrize("field", ["json.", ".shape", "json..shape"])
def test_a_field_with_an_empty_part_is_refused(field):
    with pytest.raises(ValidationError):
        Task(field=field, classes=2)


@pytest.mark.parametrize(("text", "label"), [("3", 3), ("3.0", 3), (" 3 ", 3)])
def test_numbers_in_text_are_labels(text, label):
    assert Task(field="cls", classes=5).label(text) == label


@pytest.mark.parametrize("text", ["1_0", "3.5", "three", "0x1"])
def test_text_that_is_no_plain_number_is_unreadable(text):
    with pytest.raises(SampleError, match="label|holds"):
        Task(field="cls", classes=50).label(text)


@pytest.mark.parametrize(
    ("field", "name", "member", "path"),
    [
        ("Finding Labels", "Finding_Labels", "Finding Labels", ()),
        ("json.Finding Labels", "Finding_Labels", "json", ("Finding Labels",)),
        ("json.Patient Data.Age (years)", "Age__years_", "json", ("Patient Data", "Age (years)")),
    ],
)
def test_a_field_may_have_spaces_inside(field, name, member, path):
    task = Task(field=field, classes=2)
    assert (task.name, task.member, task.path) == (name, member, path)


@pytest.mark.parametrize("field", ["json. label", "label ", " label", "a .b", "a\tb", "a\nb", "", "a..b"])
def test_a_field_has_no_spaces_at_its_ends_and_no_other_white_space(field):
    with pytest.raises(ValidationError):
        Task(field=field, classes=2, name="x")


@pytest.mark.parametrize(("missing", "raw"), [(-1, -1), (-1, "-1"), (-1, -1.0), (9, "9.0"), ("unknown", " unknown\n")])
def test_a_value_of_the_data_may_stand_for_no_label(missing, raw):
    for task in (
        Task(field="json.a", classes=3, missing=missing),
        Task(field="json.a", kind="regression", low=0.0, high=5.0, missing=missing),
    ):
        label = task.label(raw)
        assert label == MISSING or math.isnan(label)
        assert task.label(2) == 2


def test_a_value_that_names_a_class_cannot_stand_for_no_label():
    for missing, classes in ((1, 3), (0, ["a", "b"]), ("b", ["a", "b"]), ("1.0", 3)):
        with pytest.raises(ValidationError, match="it must stand for no class"):
            Task(field="json.a", classes=classes, missing=missing)


@pytest.mark.parametrize(
    "task", [Task(field="json.a", classes=3), Task(field="json.a", kind="regression", low=0.0, high=5.0)]
)
def test_a_label_out_of_range_offers_what_stands_for_no_label(task):
    with pytest.raises(SampleError, match="if it stands for no label, set `missing: -1`"):
        task.label(-1)


def test_a_list_of_one_name_is_that_name_and_one_of_several_is_told_of_multilabel():
    assert NAMED.label(["dog"]) == 1
    assert Task(field="json.a", kind="binary", classes=["female", "male"]).label(["male"]) == 1
    with pytest.raises(SampleError, match="use `kind: multilabel`"):
        NAMED.label(["dog", "cat"])
    with pytest.raises(SampleError, match="label-unreadable|expected"):
        NAMED.label([])
