"""Certificate: it binds evidence to a manifest, is signed where that is asked for, and nothing that differs passes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.cluster.progress import Reporter
from pipeline.configuration.plans import Plans
from pipeline.run.certify import certificate_problems, certify
from pipeline.run.verify import verify_url
from pipeline.state.places import Places
from schemas.errors import ConfigError, InputError
from schemas.records import Manifest, ManifestShard
from stages.audit.verdict import reach_verdict
from stages.publish.certificate import CERTIFICATE, EVIDENCE, SIGNATURE
from tests.builders import config, labelled_samples, write_shard
from tests.evidence import TASKS, victims

EVIDENCE_OF_TEST = reach_verdict(TASKS, (True, True), victims(([0.55, 0.52], [0.12, 0.11])), fingerprint="f")


class Published:
    """A public place with a manifest, and its certificate."""

    def __init__(self, root: Path, sign_with: str = "") -> None:
        write_shard(root / "raw/train-0.tar", labelled_samples(2))
        self.config = config(root)
        self.places, self.plan, self.sign_with = Places(self.config), Plans(self.config).publish, sign_with
        self.publish("a")

    def publish(self, digest: str) -> None:
        shard = ManifestShard(name="train-0.tar", bytes=9, sha256=digest * 64, samples=7)
        manifest = Manifest(name="x", samples=7, bytes=9, shards=[shard])
        self.places.output.write("manifest.json", manifest.model_dump_json().encode())

    def certify(self) -> dict[str, object]:
        certify(self.places, self.plan, EVIDENCE_OF_TEST, self.sign_with)
        return self.certificate()

    def certificate(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.places.work.read(CERTIFICATE))
        return found

    def change(self, name: str, **values: object) -> None:
        """By hand."""
        changed = json.loads(self.places.work.read(name)) | values
        self.places.work.write(name, json.dumps(changed).encode())

    def problems(self, signer: Path | None = None) -> list[str]:
        return certificate_problems(self.places.output, self.places.work, CERTIFICATE, signer)


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


def test_a_certificate_says_what_was_done_and_belongs_to_what_is_published(published: Published) -> None:
    found = published.certify()
    assert (found["samples"], found["shards"], found["bound"], found["verdict"]) == (7, 1, 8, "protected")
    assert str(found["statement"]).startswith("7 images of the dataset “")
    assert published.problems() == []


def test_it_is_written_again_only_when_something_changed(published: Published) -> None:
    published.certify()
    published.change(CERTIFICATE, issued="2001-01-01T00:00:00+00:00")
    assert published.certify()["issued"] == "2001-01-01T00:00:00+00:00"
    published.publish("b")
    assert published.certify()["issued"] != "2001-01-01T00:00:00+00:00"
    assert published.problems() == []


def test_another_state_of_the_dataset_is_not_certified(published: Published) -> None:
    first = str(published.certify()["manifest_sha256"])
    published.publish("b")
    (problem,) = published.problems()
    assert problem.startswith(f"certificate.json: it certifies the manifest {first[:16]}…, and the published one is ")


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        (CERTIFICATE, {"verdict": "weakened"}, "it says 'weakened', the evidence 'protected': it was changed by hand"),
        (CERTIFICATE, {"samples": 700}, "it says 700 samples in 1 shards, the manifest 7 in 1: it was changed by hand"),
        (EVIDENCE, {"word": "weakened"}, "evidence.json: its SHA-256 is "),
    ],
)
def test_what_was_changed_by_hand_is_found(
    name: str, values: dict[str, object], problem: str, published: Published
) -> None:
    published.certify()
    published.change(name, **values)
    (found,) = published.problems()
    assert problem in found


def test_what_is_missing_is_no_pass(published: Published) -> None:
    with pytest.raises(InputError, match="certificate.json: there is no certificate"):
        published.problems()
    published.certify()
    published.places.work.delete(EVIDENCE)
    assert published.problems() == [
        "evidence.json: it does not lie beside certificate.json, so the test cannot be checked; put it there"
    ]
    published.places.work.write(CERTIFICATE, b'{"format": "mtlue-certificate-9"}')
    with pytest.raises(InputError, match="not a certificate of mtlue"):
        published.problems()
    published.certify()
    published.change(CERTIFICATE, format="mtlue-certificate-9")
    with pytest.raises(InputError, match="format 'mtlue-certificate-9' is not known"):
        published.problems()


def make_key(path: Path, passphrase: str = "") -> str:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("OpenSSH is not installed")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", path], check=True)
    return str(path)


def test_a_signature_holds_for_these_bytes_and_this_key_alone(tmp_path: Path) -> None:
    key, other = make_key(tmp_path / "key"), make_key(tmp_path / "other")
    published = Published(tmp_path, sign_with=key)
    published.certify()
    assert published.problems(Path(f"{key}.pub")) == []
    (wrong,) = published.problems(Path(f"{other}.pub"))
    assert wrong.startswith(f"certificate.json.sig: not a signature of certificate.json by {other}.pub (")
    published.change(CERTIFICATE, dataset="another")
    (changed,) = published.problems(Path(f"{key}.pub"))
    assert "not a signature of certificate.json" in changed
    published.places.work.delete(SIGNATURE)
    (unsigned,) = published.problems(Path(f"{key}.pub"))
    assert unsigned.startswith("certificate.json.sig: it does not lie beside certificate.json")
    with pytest.raises(InputError, match="not a public key of OpenSSH"):
        published.certify() and published.problems(Path(key))


def test_a_certificate_is_signed_again_when_the_key_comes_and_loses_its_signature_when_it_goes(tmp_path: Path) -> None:
    published = Published(tmp_path)
    published.certify()
    published.sign_with = make_key(tmp_path / "key")
    published.certify()
    assert published.problems(tmp_path / "key.pub") == []
    published.sign_with = ""
    published.certify()
    assert published.places.work.stat(SIGNATURE) is None


def test_a_key_that_cannot_be_used_without_a_person_is_named(tmp_path: Path) -> None:
    published = Published(tmp_path, sign_with=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"sign_with: .*none is no file"):
        published.certify()
    published.sign_with = make_key(tmp_path / "key", passphrase="secret words")
    with pytest.raises(ConfigError, match="cannot sign .* in ssh-agent"):
        published.certify()


def test_verify_without_a_certificate_to_check_against_a_key_is_refused(published: Published, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--signer: which certificate"):
        verify_url(published.places.output.url, Reporter("plain"), signer=tmp_path / "key.pub")
    with pytest.raises(InputError, match="no certificate"):
        verify_url(published.places.output.url, Reporter("plain"), certificate=tmp_path / CERTIFICATE)
