from stages.formatting import duration, number
from stages.publish.card import markdown_text


def test_durations_read_as_people_say_them():
    spoken = [duration(value).replace("\u00a0", " ") for value in (4.21, 59.4, 60, 200, 7500)]
    assert spoken == ["4.2 s", "59 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]


def test_numbers_are_grouped_and_odd_ones_shown_as_signs():
    assert [number(12345.678), number(float("inf")), number(float("nan"))] == ["12,345.7", "∞", "–"]


def test_markdown_text_cannot_break_out_of_a_table_cell():
    assert markdown_text("a|b\n<i>*c*") == r"a\|b &lt;i&gt;\*c\*"
