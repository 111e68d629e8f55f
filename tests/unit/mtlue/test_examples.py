"""The examples run as they stand."""

import runpy

import pytest

from tests.running import ROOT


def test_the_example_on_arrays_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples/arrays.py"), run_name="__main__")
    assert "64 images, largest change 8 of 255" in capsys.readouterr().out
    assert (tmp_path / "perturber.safetensors").exists()


@pytest.mark.usefixtures("here")
def test_the_example_on_a_folder_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    runpy.run_path(str(ROOT / "examples/folder.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert "256 samples in 1 shards" in out
    assert "problems: []" in out
    assert (tmp_path / "protected/manifest.json").exists()
