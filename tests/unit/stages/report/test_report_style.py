import re
from importlib import resources

import pytest


@pytest.mark.parametrize("theme", range(3))
def test_text_contrast_meets_wcag_aa_in_light_dark_and_print(theme):
    style = resources.files("stages.report").joinpath("templates/report.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)[theme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    pairs = [(text, back) for text in ("ink", "muted", "accent", "bad") for back in ("page", "surface")]
    pairs += [(state, f"{state}-back") for state in ("good", "warn", "bad", "none")]
    pairs += [("ink", f"{state}-back") for state in ("good", "warn", "bad", "none")]
    for text, back in pairs:
        assert contrast(colours[text], colours[back]) >= 4.5, (text, back)
    for mark in ("clean", "noise", "protected"):
        assert contrast(colours[mark], colours["surface"]) >= 3, mark


def contrast(first: str, second: str) -> float:
    """WCAG 2.2 contrast ratio of two colours."""
    lights = sorted(
        sum(
            weight * (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
            for weight, value in zip(
                (0.2126, 0.7152, 0.0722), (byte / 255 for byte in bytes.fromhex(colour[1:])), strict=True
            )
        )
        for colour in (first, second)
    )
    return (lights[1] + 0.05) / (lights[0] + 0.05)
