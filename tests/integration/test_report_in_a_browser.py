"""The report in a real browser: it draws, it says nothing on the console, it asks nothing of the network, it prints.

Chromium comes as a Debian package (`apt-get install chromium`). Without it the test is skipped; it fails in CI on a
machine where root could have installed it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from schemas.evidence import Evidence
from stages.audit.verdict import reach_verdict
from tests.evidence import GOOD, TASKS, make_victim
from tests.unit.stages.report.test_report import make_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

ITS_OWN = ("google.com", "googleapis.com", "gvt1.com", "google")
"""Whom the browser asks for itself, about updates, accounts and the time."""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        if os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
            pytest.fail("Chromium is missing: apt-get install chromium")
        pytest.skip("Chromium is missing: apt-get install chromium")
    return found


def evidence() -> Evidence:
    attacks = [
        make_victim(data, [value], [value - 0.1]).model_copy(update={"countermeasure": name})
        for name, data, value in (
            ("gray", "protected", 0.6), ("gray", "clean", 0.85), ("clean_samples", "protected", 0.8),
        )
    ]  # fmt: skip
    return reach_verdict(TASKS, [True, True], [*GOOD, *attacks], fingerprint="f")


def shown(browser: str, directory: Path, text: str, *, width: int) -> tuple[np.ndarray, str, set[str]]:
    """A page at a width in pixels: its picture, what the console said, and the hosts that were asked for."""
    page, picture, log = directory / "report.html", directory / f"{width}.png", directory / "net.json"
    page.write_text(text)
    ended = subprocess.run(
        [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync",
            "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--force-device-scale-factor=1", f"--user-data-dir={directory / 'profile'}",
            f"--log-net-log={log}", f"--window-size={width},1600", f"--screenshot={picture}", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert picture.exists(), ended.stderr
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    console = "\n".join(line for line in ended.stderr.splitlines() if "CONSOLE" in line)
    asked = {urlsplit(event.get("params", {}).get("url", "")) for event in json.loads(log.read_text())["events"]}
    hosts = {url.hostname or "" for url in asked if url.scheme in ("http", "https", "ws", "wss")}
    return pixels, console, {host for host in hosts if not host.endswith(ITS_OWN)}


@pytest.mark.slow
@pytest.mark.parametrize("width", [600, 1200])
def test_a_browser_draws_the_report_without_an_error_and_without_asking_anybody(
    chromium: str, tmp_path: Path, width: int
) -> None:
    pixels, console, asked = shown(chromium, tmp_path, make_report(evidence=evidence()), width=width)
    assert pixels.shape[1] == width
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50  # text, bars, colours: not an empty page
    assert console == ""
    assert asked == set()


@pytest.mark.slow
def test_a_page_that_complains_or_asks_another_host_would_be_noticed(chromium: str, tmp_path: Path) -> None:
    page = '<img src="http://outside.example/a.png"><script>console.error("complaint")</script>'
    _, console, asked = shown(chromium, tmp_path, page, width=600)
    assert asked == {"outside.example"}
    assert "complaint" in console


@pytest.mark.slow
def test_a_browser_prints_the_report_on_pages(chromium: str, tmp_path: Path) -> None:
    page, printed = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(make_report(evidence=evidence()))
    subprocess.run(
        [
            chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={printed}", page.as_uri(),
        ],
        capture_output=True, timeout=600, check=False,
    )  # fmt: skip
    assert printed.read_bytes().startswith(b"%PDF")
    assert printed.stat().st_size > 20_000
