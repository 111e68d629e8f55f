"""The certificate of a published dataset: what it says, and whether it belongs to a manifest and to evidence."""

from __future__ import annotations

import hashlib
import json

from pydantic import ValidationError as PydanticError

from schemas.errors import InputError
from schemas.evidence import Evidence, Word
from schemas.records import Manifest, Record
from stages.formatting import figure, names

CERTIFICATE, EVIDENCE, SIGNATURE = "certificate.json", "evidence.json", "certificate.json.sig"
"""Names in the private place; they lie beside each other wherever they are handed to."""

LIMIT = (
    "This is a measurement with the models and methods that the report names. It is no guarantee against others, and "
    "it is no anonymisation: people still see the images."
)


def statement(name: str, samples: int, bound: int, evidence: Evidence) -> str:
    """What was done with a dataset and what the test showed, for a reader who is no engineer."""
    tasks = names([task.name for task in evidence.tasks if task.wanted]) or "their labels"
    done = (
        f"{samples:,} images of the dataset “{name}” were changed before publication, every colour value by at most "
        f"{bound} of 255 steps. A model trained on them without permission is meant to learn little of: {tasks}."
    )
    return f"{done} {_test(evidence)}"


def _test(evidence: Evidence) -> str:
    """The result of the test, and how far it carries."""
    if "protected" not in evidence.means or "clean" not in evidence.means:
        return "No test was made, so it is not known how little such a model learns."
    metric, means = evidence.metric, evidence.means
    reached, clean = figure(metric, means["protected"].best, 1), figure(metric, means["clean"].best, 1)
    return (
        f"Test: on original images that it has never seen, the strongest model trained on protected images reached "
        f"{reached} ({metric.words}). One trained on the originals reached {clean}, and guessing reaches "
        f"{figure(metric, evidence.chance, 1)}. Result: {evidence.word}. {LIMIT}"
    )


def digest_of(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_certificate(data: bytes, place: str) -> Certificate:
    """A stored certificate.

    Raises:
        InputError: it is not a certificate of mtlue, or has a format that this version does not know.
    """
    try:
        found = Certificate.model_validate_json(data, extra="ignore")  # a later version may tell more
    except PydanticError as error:
        raise InputError(f"{place}: not a certificate of mtlue ({error.error_count()} problems)") from None
    if found.format != Certificate.model_fields["format"].default:
        raise InputError(f"{place}: format {found.format!r} is not known to this version of mtlue; use a newer one")
    return found


def mismatches(certificate: Certificate, manifest_data: bytes, evidence_data: bytes | None) -> list[str]:
    """Why a certificate does not belong to a published manifest and to the evidence beside it; empty when it does."""
    problems = []
    found = digest_of(manifest_data)
    if found != certificate.manifest_sha256:
        problems.append(
            f"{CERTIFICATE}: it certifies the manifest {certificate.manifest_sha256[:16]}…, and the published one is "
            f"{found[:16]}…: another state of the dataset; take the certificate of this one, or run `mtlue run` again"
        )
    else:
        manifest = Manifest.model_validate_json(manifest_data, extra="ignore")
        said, there = (certificate.samples, certificate.shards), (manifest.samples, len(manifest.shards))
        if said != there:
            problems.append(
                f"{CERTIFICATE}: it says {said[0]} samples in {said[1]} shards, the manifest {there[0]} in {there[1]}: "
                "it was changed by hand"
            )
    return [*problems, *_evidence_mismatches(certificate, evidence_data)]


def _evidence_mismatches(certificate: Certificate, data: bytes | None) -> list[str]:
    if data is None:
        return [f"{EVIDENCE}: it does not lie beside {CERTIFICATE}, so the test cannot be checked; put it there"]
    found = digest_of(data)
    if found != certificate.evidence_sha256:
        return [
            f"{EVIDENCE}: its SHA-256 is {found[:16]}…, the certificate says {certificate.evidence_sha256[:16]}…: "
            "it is not the evidence that was certified"
        ]
    word = json.loads(data).get("word")
    if word != certificate.verdict:
        return [f"{CERTIFICATE}: it says {certificate.verdict!r}, the evidence {word!r}: it was changed by hand"]
    return []


class Certificate(Record):
    """`certificate.json` of the private place; for whoever must show what was published, and how it was tested."""

    format: str = "mtlue-certificate-1"
    dataset: str
    issued: str
    """When it was written: UTC, ISO 8601."""
    mtlue: str
    """Version that wrote it."""
    statement: str
    """What was done and what the test showed, in sentences for people who know no statistics."""
    verdict: Word
    samples: int
    shards: int
    bound: int
    """Largest change of a colour value, in levels of 255."""
    manifest_sha256: str
    """Of the bytes of `manifest.json` in the public place, which lists the checksum of every shard."""
    evidence_sha256: str
    """Of the bytes of `evidence.json` beside the certificate."""
