"""Names that other packages add: the example package is installed, found, run, and a part of fingerprints."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

import mtlue
from pipeline.commands.schema import configuration_schema
from pipeline.configuration.loading import check_config
from pipeline.configuration.plans import train_plan, victim_plans
from pipeline.run.victim_plans import expected_plans
from schemas import plugins
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.tasks import ClassificationTask
from stages.adapters.registry import adapter_class, dataset_names
from stages.countermeasures.countermeasure import Data
from stages.countermeasures.registry import COUNTERMEASURES
from stages.learning.table import ImageTable
from stages.learning.weightings import WEIGHTINGS
from stages.perturbers.registry import PERTURBERS
from stages.tasks.kinds import KINDS, kinds_of
from tests.running import ROOT

RAW: dict[str, Any] = {
    "dataset": {"shards": "x.tar"},
    "tasks": [{"field": "json.label", "classes": 3}],
    "output": "out",
    "train": {"resolution": 32, "perturber": "stripes"},
    "audit": {"victims": ["plain"], "countermeasures": ["gray", "invert"]},
}


def forget() -> None:
    plugins.installed.cache_clear()
    importlib.invalidate_caches()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the example package was installed; nothing is fetched."""
    site = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "mtlue_example.py"):
        (copy / name).write_bytes((ROOT / "examples" / "plugin" / name).read_bytes())
    subprocess.run([*install, "--target", str(site), str(copy)], check=True)
    return site


@pytest.fixture
def example(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example package on the path of this process."""
    monkeypatch.syspath_prepend(str(site))
    forget()
    yield site
    forget()
    sys.modules.pop("mtlue_example", None)


def config(**changes: Any) -> Config:
    return check_config({**RAW, **changes}, [], "x.yaml")


def test_a_perturber_of_another_package_protects_images(example: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(20, 230, size=(12, 32, 32, 3), dtype=np.uint8)
    labels = {"label": [number % 3 for number in range(12)]}
    perturber = mtlue.fit(images, labels, train={"perturber": "stripes", "resolution": 32})
    change = perturber.protect(images, labels).astype(int) - images
    assert set(np.unique(np.abs(change))) == {8}
    assert (change == change[:, :, :1]).all(), "stripes"
    assert (change[0] == change[3]).all(), "the same for a class"
    assert PERTURBERS["stripes"].wording(config().train) == "random stripes"


def test_a_countermeasure_of_another_package_is_tried_after_our_own(example: Path) -> None:
    made = config()
    assert made.audit is not None
    tried = [plan.countermeasure for plan in expected_plans(made, made.audit) if plan.data == "protected"]
    assert list(dict.fromkeys(tried)) == ["none", "gray", "invert"]
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    table = ImageTable((pixels,), (np.zeros(1, np.int64),), np.zeros(1, bool))
    changed = COUNTERMEASURES["invert"].changed(Data(table, table, [], seed=0))
    np.testing.assert_array_equal(changed.train.chunks[0], 255 - pixels)
    assert "invert" not in list(COUNTERMEASURES), "`all` means our own: installing a package changes no evidence"


def test_the_version_of_a_package_is_a_part_of_fingerprints(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = config()
    assert made.audit is not None
    victim = victim_plans(made, made.audit, "protected")[0].model_copy(update={"countermeasure": "invert"})
    before = train_plan(made).fingerprint, victim.fingerprint
    (metadata,) = example.glob("mtlue_example-*.dist-info/METADATA")
    text = metadata.read_text()
    try:
        metadata.write_text(text.replace("Version: 0.1.0", "Version: 0.2.0"))
        forget()
        after = train_plan(made).fingerprint, victim.fingerprint
    finally:
        metadata.write_text(text)
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_the_schema_of_editors_knows_what_is_installed(example: Path) -> None:
    names = configuration_schema()["$defs"]["Train"]["properties"]["perturber"]["enum"]
    assert (names[0], names[-1]) == ("codes", "stripes")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"train": {"perturber": "stripes"}, "audit": None}, "stripes"),
        ({"train": {}, "audit": {"countermeasures": ["invert"]}}, "invert"),
        ({"train": {}, "audit": {"weighting": "mine"}}, "mine"),
    ],
)
def test_a_name_that_nobody_offers_is_refused(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigError, match=rf"should be '.*' or '.*'; found '{found}'$"):
        config(**changes)


class Point:
    """An entry point of a package that is not there."""

    dist = None

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value, self.found = name, "somewhere:thing", value

    def load(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    ("registry", "group"),
    [
        (COUNTERMEASURES, "mtlue.countermeasures"),
        (WEIGHTINGS, "mtlue.weightings"),
        (PERTURBERS, "mtlue.perturbers"),
        (KINDS, "mtlue.tasks"),
    ],
)
@pytest.mark.parametrize(
    ("found", "message"),
    [
        (int, "must"),
        (ImportError("no module named x"), r"cannot be loaded \(ImportError: no module named x"),
    ],
)
def test_what_a_package_offers_is_checked_and_named(
    registry: Any, group: str, found: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "installed", lambda asked: {"other": Point("other", found)} if asked == group else {})
    monkeypatch.setattr("schemas.plugins.installed", plugins.installed)
    with pytest.raises(ConfigError, match=message) as caught:
        registry["other"]
    assert group in caught.value.message


def test_a_name_of_no_registry_stays_a_key_error() -> None:
    with pytest.raises(KeyError):
        COUNTERMEASURES["nobody"]


class Stars(ClassificationTask):
    """One to five stars."""

    implementation: ClassVar[str] = "stages.tasks.classification:Classification"

    kind: Literal["stars"]  # type: ignore[assignment]
    classes: int = 5

    def label(self, raw: Any) -> int:
        """`***` is class 2."""
        return len(raw) - 1


def test_a_kind_of_task_of_another_package_is_read_trained_and_fingerprinted(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("schemas.plugins.installed", "schemas.tasks.installed"):
        monkeypatch.setattr(place, lambda group: {"stars": Point("stars", Stars)} if group == "mtlue.tasks" else {})
    made = config(
        tasks=[{"kind": "stars", "field": "json.stars"}, {"field": "json.label", "classes": 3}], train={}, audit=None
    )
    assert [type(task).__name__ for task in made.tasks] == ["Stars", "ClassificationTask"]
    again = Config.model_validate(made.model_dump(mode="json", exclude_defaults=True))
    assert again.tasks == made.tasks
    plan = train_plan(made)
    assert plan.model_dump(mode="json")["tasks"][0]["classes"] == 5
    assert plan._parts[-1] == "a package", "its version is a part"
    (kind, _) = kinds_of(made.tasks)
    assert kind.label("***") == 2
    schema = configuration_schema()
    assert {"$ref": "#/$defs/Stars"} in schema["properties"]["tasks"]["items"]["oneOf"], "editors know it as well"
    assert all(found["description"] for found in schema["$defs"]["Stars"]["properties"].values())
    with pytest.raises(ConfigError, match="starss"):
        config(tasks=[{"kind": "starss", "field": "json.stars"}], train={}, audit=None)


def test_a_dataset_of_another_package_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.adapters.drawn.drawn import Outlines

    points = {"bodies": Point("bodies", Outlines), "broken": Point("broken", 3)}
    for place in ("schemas.plugins.installed", "stages.adapters.registry.installed"):
        monkeypatch.setattr(place, lambda group: points)
    assert dataset_names()[-2:] == ["bodies", "broken"]
    assert adapter_class("bodies") is Outlines
    with pytest.raises(ConfigError, match="must be a class that derives from Adapter"):
        adapter_class("broken")
