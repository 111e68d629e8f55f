"""Verify: one published shard from its bytes, alone and beside its input."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from pipeline.cluster.progress import Reporter
from pipeline.configuration.plans import protect_plan
from pipeline.run.verify import Verified, verify_prefix
from schemas.config import Compute, Config
from schemas.dataset import Layout
from schemas.errors import InputError, MtlueError, ValidationError
from schemas.records import Manifest, ManifestShard, ShardRef
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Sample
from stages.io.store.store import Store
from stages.protect.protect import protect_shard
from stages.publish.manifest import read_manifest
from stages.verify import verify_shard
from tests.builders import BuiltSample, config, jpeg, labelled_samples, perturber, picture, png, shard_ref, write_shard

COUNT = 6
KEPT = ("json.imageData", "json.url", "json.pixels")


class Place:
    """A shard that was protected, and a manifest that lists what lies in the public place."""

    def __init__(self, root: Path) -> None:
        self.config: Config = config(root)
        self.samples = labelled_samples(COUNT, size=20)
        self.source, self.ref = shard_ref(write_shard(root / "raw/train-0.tar", self.samples))
        self.output = Store(self.config.output)
        self.path = Path(self.config.output, "train-0.tar")
        self.plan = protect_plan(self.config)
        protect_shard(self.source, self.ref, self.output, self.plan, perturber(), "identity")

    def listed(self, *, samples: int = COUNT) -> ManifestShard:
        """The manifest's entry for the bytes that are there now."""
        data = self.path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        return ManifestShard(name="train-0.tar", bytes=len(data), sha256=digest, samples=samples)

    def alone(self, *, samples: int = COUNT) -> None:
        verify_shard(self.output, self.listed(samples=samples), None, None, None)

    def as_planned(self) -> None:
        verify_shard(self.output, self.listed(), None, None, self.plan)

    def beside_input(self, *, samples: int = COUNT) -> None:
        verify_shard(self.output, self.listed(samples=samples), self.source, self.ref, self.plan)

    def published(self) -> list[BuiltSample]:
        """What is published, to be written again with a change."""
        found = [
            each for each in read_samples(self.path, "train-0.tar", self.config.dataset) if isinstance(each, Sample)
        ]
        return [(each.key, [(member.field, member.data) for member in each.members]) for each in found]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_shard_as_it_was_published_passes(place: Place) -> None:
    assert verify_shard(place.output, place.listed(), None, None, None) == (COUNT, None)
    samples, measured = verify_shard(place.output, place.listed(), place.source, place.ref, place.plan)
    assert samples == COUNT
    assert measured is not None
    assert 1 <= measured.max_delta <= 8


def test_other_bytes_than_the_manifest_lists_are_found_before_they_are_read(place: Place) -> None:
    listed = place.listed()
    place.path.write_bytes(place.path.read_bytes() + b"\0")
    with pytest.raises(ValidationError, match=rf"shard train-0.tar: {listed.bytes + 1} bytes .* says {listed.bytes}"):
        verify_shard(place.output, listed, None, None, None)


def test_a_count_that_is_not_the_manifests_is_found(place: Place) -> None:
    for check in (place.alone, place.beside_input):
        with pytest.raises(ValidationError, match=rf"train-0.tar: {COUNT} samples, the manifest says 7"):
            check(samples=7)


def test_a_damaged_tar_is_found_even_when_the_manifest_was_made_from_it(place: Place) -> None:
    place.path.write_bytes(place.path.read_bytes()[:-3000])
    for check in (place.alone, place.beside_input):
        with pytest.raises(MtlueError, match=r"train-0.tar.*damaged at byte"):
            check()


def test_a_sample_without_an_image_or_with_a_broken_one_is_found(place: Place) -> None:
    samples = place.published()
    write_shard(place.path, [(samples[0][0], samples[0][1][1:]), *samples[1:]])
    with pytest.raises(ValidationError, match=r"train-0.tar: sample 's00000' has no image"):
        place.alone()
    image = samples[0][1][0][1]
    write_shard(place.path, [(samples[0][0], [("png", image[:100]), samples[0][1][1]]), *samples[1:]])
    with pytest.raises(ValidationError, match=r"shard train-0.tar: sample 's00000': member 'png': .* ends early"):
        place.alone()


def test_the_input_shows_what_the_bytes_alone_do_not(place: Place) -> None:
    samples = place.published()
    (key, members), others = samples[0], samples[1:]
    raw = dict(place.samples[0][1])["jpg"]
    changes: dict[str, list[BuiltSample]] = {
        "s00000.*named 'jpg'": [(key, [("jpg", raw), members[1]]), *others],
        "s00000.*is the input": [(key, [("png", raw), members[1]]), *others],
        "s00000.*moved by": [(key, [("png", png(picture(5, 20, 20))), members[1]]), *others],
        "s00000.*'json'": [(key, [members[0], ("json", json.dumps({"a": 0}).encode())]), *others],
        "s00000.*members": [(key, [*members, ("txt", b"more")]), *others],
        "s00000.*out of order": [others[0], samples[0], *others[1:]],
        "'new'.*not in the input": [("new", members), *others],
    }
    for problem, changed in changes.items():
        write_shard(place.path, changed)
        place.alone()
        with pytest.raises(ValidationError, match=f"train-0.tar.*{problem}"):
            place.beside_input()


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"a": 1, "imageData": base64.b64encode(jpeg(picture(0, 20, 20))).decode()}),
        json.dumps({"a": 1, "url": "https://example.org/17"}),
        json.dumps({"a": 1, "pixels": " ".join(map(str, picture(0, 20, 20).ravel()))}),
    ],
)
def test_what_leads_back_to_the_original_is_never_clean(place: Place, text: str) -> None:
    (key, members), *others = place.published()
    write_shard(place.path, [(key, [members[0], ("json", text.encode())]), *others])
    for check in (place.alone, place.as_planned):
        with pytest.raises(
            ValidationError, match=r"train-0.tar: sample 's00000': member 'json' holds .*`json\..*: drop`"
        ):
            check()
    place.plan = place.plan.model_copy(update={"layout": Layout(members=dict.fromkeys(KEPT, "keep"))})
    place.as_planned()


def test_what_webdataset_passes_by_is_found(place: Place) -> None:
    write_shard(place.path, [(f"__hidden__/{key}", members) for key, members in place.published()])
    for check in (place.alone, place.beside_input):
        with pytest.raises(ValidationError, match=r"train-0.tar: member '__hidden__/s00000.png' belongs to no sample"):
            check()


def verify(place: Place, shards: list[ManifestShard], refs: list[ShardRef], fraction: float = 1.0) -> Verified:
    manifest = Manifest(name="x", samples=0, bytes=0, shards=shards)
    place.output.write("manifest.json", manifest.model_dump_json().encode())
    return verify_prefix(
        place.output,
        Reporter("plain"),
        Compute(cpus=2),
        fraction=fraction,
        config=place.config if refs else None,
        source=place.source if refs else None,
        shards=refs,
    )


def test_every_problem_of_a_prefix_is_listed(place: Place, here: None) -> None:
    listed = place.listed()
    gone = listed.model_copy(update={"name": "train-9.tar"})
    wrong = listed.model_copy(update={"name": "train-1.tar", "sha256": "0" * 64})
    for name in ("train-1.tar", "extra.tar"):
        place.output.put(place.path, name)
    place.output.write("holiday.jpg", jpeg(picture(0, 8, 8)))
    place.output.write("LICENSE", b"All rights reserved.\n")
    found = verify(place, [listed, wrong, gone], [place.ref])
    assert (found.shards, found.samples) == (1, COUNT)
    told = "\n".join(found.problems)
    for problem in (
        "shard train-9.tar: in the manifest, but not there",
        "extra.tar: a shard that the manifest does not list",
        "holiday.jpg: mtlue did not write it, and it may be data that nobody protected",
        "shard train-1.tar: no such input shard",
        "shard train-9.tar: no such input shard",
        "shard train-1.tar: ",
    ):
        assert problem in told
    assert len(found.problems) == 6


def test_a_share_of_the_shards_is_always_the_same_and_never_none(place: Place, here: None) -> None:
    listed = place.listed()
    shards = [listed.model_copy(update={"name": f"train-{number}.tar"}) for number in range(10)]
    for shard in shards:
        place.output.put(place.path, shard.name)
    assert verify(place, shards, [], fraction=0.3).shards == 3
    assert verify(place, shards, [], fraction=0.0).shards == 1
    assert verify(place, shards, []).shards == 10


def test_a_place_without_a_manifest_of_ours_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(InputError, match=r"manifest.json: no manifest; is this the `output` of a finished run"):
        read_manifest(store)
    store.write("manifest.json", b'{"format": "other"}')
    with pytest.raises(InputError, match=r"manifest.json: not a manifest of mtlue"):
        read_manifest(store)
