import pytest

from schemas.secrets import scrub
from stages.publish.card import markdown_text
from stages.report.wording import duration, number


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("s3://user:pa@ss@bucket/key", "s3://bucket/key"),
        ("https://a.b/c?sig=1#x and more", "https://a.b/c and more"),
        ("/data/a?.tar, me@here.org", "/data/a?.tar, me@here.org"),
    ],
)
def test_scrub_takes_out_credentials_and_nothing_else(given, shown):
    assert scrub(given) == shown


def test_durations_read_as_people_say_them():
    spoken = [duration(value).replace("\u00a0", " ") for value in (4.21, 59.4, 60, 200, 7500)]
    assert spoken == ["4.2 s", "59 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]


def test_numbers_are_grouped_and_odd_ones_shown_as_signs():
    assert [number(12345.678), number(float("inf")), number(float("nan"))] == ["12,345.7", "∞", "–"]


def test_markdown_text_cannot_break_out_of_a_table_cell():
    assert markdown_text("a|b\n<i>*c*") == r"a\|b &lt;i&gt;\*c\*"
