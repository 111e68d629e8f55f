"""What `dataset.members` names and no sample has is never passed by in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.run.ingest import refuse_mistyped_members
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.plans import IngestPlan
from schemas.records import ShardProfile
from stages.formatting import unused_members_text
from stages.ingest.ingest import profile_shard
from tests.builders import config, jpeg, picture, write_shard

SHARD = [("s1", [("jpg", jpeg(picture(0, 8, 8))), ("txt", b"a cat"), ("json", b'{"a": 1, "b": 0}')])]


def profile(root: Path, made: Config) -> ShardProfile:
    write_shard(root / "a.tar", SHARD)
    plan = IngestPlan(layout=made.dataset.layout, tasks=made.tasks, resolution=16)
    return profile_shard(root / "a.tar", "a.tar", root / "table", plan, 9)


def test_a_profile_has_the_names_of_all_members(tmp_path: Path) -> None:
    made = config(tmp_path)
    assert profile(tmp_path, made).members == ["jpg", "txt", "json"]


@pytest.mark.parametrize("name", ["TXT", "text", "txtt"])
def test_a_member_that_is_dropped_under_nearly_its_name_is_refused(tmp_path: Path, name: str) -> None:
    made = config(tmp_path, dataset={"members": {name: "drop"}})
    with pytest.raises(
        ConfigError, match=f"drops '{name}', which no sample has, and 'txt' would be published"
    ) as error:
        refuse_mistyped_members(made, [profile(tmp_path, made)])
    assert error.value.exit_code == 2


def test_what_else_no_sample_has_is_said(tmp_path: Path) -> None:
    members = {"txt": "drop", "json.url": "drop", "json.*": "keep", "depth.npy": "keep", "cls": "drop"}
    made = config(tmp_path, dataset={"members": members})
    found = profile(tmp_path, made)
    refuse_mistyped_members(made, [found])
    (sentence,) = unused_members_text(made.dataset.layout, [found])
    assert sentence == "dataset.members names what no sample has: depth.npy, cls; check the spelling"
    assert not unused_members_text(made.dataset.layout, [found.model_copy(update={"members": []})])
