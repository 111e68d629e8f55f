"""Stored generators: they come back as they were, and weights that are not the record's are refused."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from schemas.errors import StoreError, ValidationError
from schemas.plans import GeneratorSpec
from schemas.records import GeneratorRecord
from stages.io.store.store import Store
from stages.perturbers.checkpoint import cached_perturber, load_generator, serialise, weights_name
from stages.perturbers.generator.network import Generator
from tests import builders

CPU = torch.device("cpu")


def stored(store: Store, data: bytes, fingerprint: str = "f00d", **changes: Any) -> GeneratorRecord:
    digest = hashlib.sha256(data).hexdigest()
    store.write(weights_name(digest), data)
    values: dict[str, Any] = {
        "fingerprint": fingerprint,
        "plan": "p",
        "spec": generator().spec,
        "sha256": digest,
        "samples": 1,
        "steps": 1,
        "seconds": 1.0,
    }
    return GeneratorRecord(**{**values, **changes})


def generator(seed: int = 0) -> Generator:
    return builders.generator(seed=seed, protected=(True, False))


def delta(of: Generator) -> torch.Tensor:
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made: torch.Tensor = of(x, builders.columns([[0, 1], [2, 0]]), torch.tensor([False, True]))
    return made


def test_a_generator_comes_back_with_the_same_delta_frozen_and_in_eval_mode(tmp_path: Path) -> None:
    store, original = Store(str(tmp_path)), generator()
    loaded = load_generator(store, stored(store, serialise(original)), CPU)
    assert not loaded.training
    assert all(not parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.spec == original.spec
    torch.testing.assert_close(delta(loaded), delta(original), rtol=0, atol=1e-6)
    for key, value in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


def test_the_same_weights_give_the_same_bytes_whatever_their_layout_in_memory() -> None:
    one, again = generator(), generator()
    again.to(memory_format=torch.channels_last)
    assert serialise(one) == serialise(again)
    assert serialise(one) != serialise(generator(seed=1))


@pytest.mark.parametrize("position", [0.1, 0.5, 0.999])
def test_one_changed_bit_is_refused(position: float, tmp_path: Path) -> None:
    store, data = Store(str(tmp_path)), serialise(generator())
    record = stored(store, data)
    changed = bytearray(data)
    changed[int(position * len(data))] ^= 1
    store.write(weights_name(record.sha256), bytes(changed))
    with pytest.raises(ValidationError, match=r"\.safetensors.*not those that were trained.*--retrain"):
        load_generator(store, record, CPU)


def test_a_cut_file_and_another_generators_weights_are_refused(tmp_path: Path) -> None:
    store, data = Store(str(tmp_path)), serialise(generator())
    record = stored(store, data)
    for other in (data[:-100], b"", serialise(generator(seed=1))):
        store.write(weights_name(record.sha256), other)
        with pytest.raises(ValidationError, match="not those that were trained"):
            load_generator(store, record, CPU)


def test_a_generator_of_an_earlier_version_is_refused_even_where_its_weights_would_fit(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    older = generator().spec.model_copy(update={"balanced": False})  # their records lack the field
    record = stored(
        store, serialise(generator()), spec=GeneratorSpec.model_validate(older.model_dump(exclude_defaults=True))
    )
    with pytest.raises(ValidationError, match=r"\.safetensors: .*earlier version of mtlue trained it.*--retrain"):
        load_generator(store, record, CPU)


def test_missing_weights_are_a_stores_error(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    record = stored(store, serialise(generator()))
    store.delete(weights_name(record.sha256))
    with pytest.raises(StoreError, match=record.sha256):
        load_generator(store, record, CPU)


def test_weights_that_an_earlier_version_named_by_their_record_are_found(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    record = stored(store, serialise(generator()))
    store.write(weights_name(record.fingerprint), store.read(weights_name(record.sha256)))
    store.delete(weights_name(record.sha256))
    assert isinstance(load_generator(store, record, CPU), Generator)


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": builders.tasks([3, 3])},
        {"tasks": builders.tasks([3]), "protected": [True]},
        {"resolution": 32},
        {"preset": "small"},
    ],
    ids=str,
)
def test_weights_that_do_not_fit_the_record_are_never_loaded_in_part(change: dict[str, Any], tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    record = stored(store, serialise(generator()), spec=generator().spec.model_copy(update=change))
    with pytest.raises(ValidationError, match="state_dict"):
        load_generator(store, record, CPU)


@pytest.mark.parametrize("extra", [True, False])
def test_a_missing_or_additional_weight_is_refused(extra: bool, tmp_path: Path) -> None:
    store, weights = Store(str(tmp_path)), load(serialise(generator()))
    if extra:
        weights["unused.weight"] = torch.zeros(3)
    else:
        del weights["encoder.0.1.running_mean"]
    with pytest.raises(ValidationError, match=r"unused\.weight|running_mean"):
        load_generator(store, stored(store, save(weights)), CPU)


def test_a_worker_reads_a_generator_once_and_never_hands_out_the_one_before(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = stored(store, serialise(generator(seed=1)), "first")
    second = stored(store, serialise(generator(seed=2)), "second")
    one = cached_perturber(store, first, CPU)
    assert one.fingerprint == first.content
    store.delete(weights_name(first.sha256))
    assert cached_perturber(store, first, CPU) is one
    other = cached_perturber(store, second, CPU)
    assert other.fingerprint == second.content != first.content
    torch.testing.assert_close(delta(other.generator), delta(generator(seed=2)), rtol=0, atol=1e-6)
    with pytest.raises(StoreError):
        cached_perturber(store, first, CPU)
