"""Imports flow one way: schemas ← stages ← pipeline ← mtlue. Ray belongs to the pipeline alone."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWN = {"schemas", "stages", "pipeline", "mtlue"}
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


def imports_of_files(source: str) -> set[str]:
    """Full names of the project's own modules that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name and name.partition(".")[0] in OWN}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def circle_in(arrows: dict[str, set[str]]) -> list[str]:
    """One circle of imports, from a module back to itself; empty when there is none."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(arrows.get(name, ())):
            if found := walk(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(arrows) if (found := walk(name, []))), [])


def test_reader_of_circles_sees_one():
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_files_import_each_other_in_a_circle():
    files = {module_name(path): path for package in OWN for path in modules(package)}
    arrows = {name: imports_of_files(path.read_text()) & files.keys() - {name} for name, path in files.items()}
    assert not circle_in(arrows), " → ".join(circle_in(arrows))


def test_no_rooms_of_stages_import_each_other_in_a_circle():
    """A room is a file or folder right below `stages/`; its own sub-folders count as the room."""
    names = {module_name(path): path for path in modules("stages")}
    room = {name: ".".join(name.split(".")[:2]) for name in names}
    arrows: dict[str, set[str]] = {name: set() for name in room.values()}
    for name, path in names.items():
        inside = {room[other] for other in imports_of_files(path.read_text()) & names.keys()}
        arrows[room[name]] |= inside - {room[name], "stages"}
    assert "stages.perturbers" in arrows["stages.protect"], "no arrows are seen"
    assert not circle_in(arrows), " → ".join(circle_in(arrows))


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
def test_pipeline_imports_neither_the_public_package_nor_tests_nor_benchmarks(path):
    foreign = imported_names(path.read_text()) & {"mtlue", "tests", "benchmarks"}
    assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"
