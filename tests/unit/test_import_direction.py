"""Imports flow one way: schemas ← stages ← pipeline. Ray belongs to the pipeline alone."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWN = {"schemas", "stages", "pipeline"}
STANDARD = set(sys.stdlib_module_names)


def imported_names(source: str) -> set[str]:
    """Top-level packages that a module imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import; write the full name"
            names.add((node.module or "").partition(".")[0])
    return names


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def each_module(package: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", modules(package), ids=lambda path: str(path.relative_to(ROOT)))


def test_reader_of_imports_sees_them_wherever_they_stand():
    source = "import os.path as p, ray\nfrom stages.io import tar\ndef f():\n    from pipeline.cli import main\n"
    assert imported_names(source) == {"os", "ray", "stages", "pipeline"}


@pytest.mark.parametrize("package", sorted(OWN))
def test_there_are_modules_to_look_at(package):
    assert modules(package)


@each_module("schemas")
def test_schemas_import_only_pydantic_the_standard_library_and_themselves(path):
    foreign = imported_names(path.read_text()) - STANDARD - {"schemas", "pydantic"}
    assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


@each_module("stages")
def test_stages_import_neither_the_pipeline_nor_ray(path):
    forbidden = imported_names(path.read_text()) & {"pipeline", "ray", "tests", "benchmarks"}
    assert not forbidden, f"{path.relative_to(ROOT)} imports {sorted(forbidden)}"


@each_module("stages")
def test_stages_import_no_top_level_package_of_the_project_but_schemas_and_stages(path):
    siblings = {entry.name for entry in ROOT.iterdir() if entry.is_dir() and entry.name.isidentifier()}
    foreign = imported_names(path.read_text()) & siblings - {"schemas", "stages"}
    assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


@each_module("pipeline")
def test_pipeline_imports_nothing_from_tests_or_benchmarks(path):
    foreign = imported_names(path.read_text()) & {"tests", "benchmarks"}
    assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"
