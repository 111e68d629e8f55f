import math
import re
from xml.etree import ElementTree

from stages.report.plots import Line, line_plot


def draw(**changes) -> str:
    given = {
        "lines": [Line("clean", [0.1, 0.5, 0.9], "clean"), Line("protected", [0.1, 0.1, 0.2], "protected")],
        "title": "Accuracy",
        "description": "Ends at 90 %",
        "salt": "task",
        "reference": ("chance", 0.1),
        "share": True,
        **changes,
    }
    return line_plot(given.pop("lines"), **given)


def parse(svg: str) -> ElementTree.Element:
    wrapped = f'<div xmlns:xlink="http://www.w3.org/1999/xlink">{svg}</div>'
    drawing = ElementTree.fromstring(wrapped)[0].find("svg")  # noqa: S314 - our own drawing
    assert drawing is not None
    return drawing


def test_a_plots_title_stands_above_it():
    assert '<figure class="drawn"><figcaption>Accuracy of a &lt;task&gt;</figcaption><svg' in draw(
        title="Accuracy of a <task>"
    )


def test_plot_names_itself_for_screen_readers_and_escapes_the_name():
    root = parse(draw(title='a <b> & "c"', description="d's"))
    assert root.get("role") == "img"
    assert root.findtext("title") == 'a <b> & "c"'
    assert root.get("aria-label") == 'a <b> & "c". d\'s'


def test_plot_takes_its_colours_from_the_page_so_that_dark_mode_and_print_work():
    svg = draw()
    assert set(re.findall(r"(?:fill|stroke): (#\w+)", svg)) == set()
    assert {"var(--clean)", "var(--protected)", "var(--ink)"} <= set(re.findall(r"var\(--\w+\)", svg))


def test_lines_are_told_apart_without_colour():
    words = {"".join(text.itertext()) for text in parse(draw()).iter("text")}
    assert {"clean", "protected", "chance", "epoch", "100 %"} <= words


def test_same_data_gives_the_same_bytes_and_ids_of_two_plots_differ():
    assert draw() == draw()
    ids = [set(re.findall(r'id="([^"]+)"', draw(salt=salt))) for salt in ("a", "b")]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_value_that_is_not_finite_leaves_a_gap_and_one_epoch_is_enough():
    assert "nan" not in draw(lines=[Line("loss", [1.0, math.nan, math.inf, 2.0])], share=False, reference=None)
    parse(draw(lines=[Line("loss", [1.0])], share=False, reference=None))
