"""Certify: bind the evidence to what was published, in a file beside the report; and check such a file."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.state.places import Places
from schemas.errors import InputError
from schemas.evidence import Evidence
from schemas.plans import PublishPlan
from stages.io.store.store import Store
from stages.publish.certificate import (
    CERTIFICATE,
    EVIDENCE,
    SIGNATURE,
    Certificate,
    digest_of,
    mismatches,
    read_certificate,
    statement,
)
from stages.publish.manifest import MANIFEST, read_manifest
from stages.publish.signature import sign, signature_problem


def certify(places: Places, plan: PublishPlan, evidence: Evidence, sign_with: str) -> None:
    """Write certificate, evidence and signature into the private place, unless they are there and say the same.

    Args:
        places: what is published there, as the manifest lists it, is certified.
        plan: name and bound of the dataset.
        evidence: what an audit showed.
        sign_with: private key of OpenSSH; empty: no signature.

    Raises:
        ConfigError: the key cannot sign.
    """
    manifest, work = read_manifest(places.output), places.work
    shown = evidence.model_dump_json(indent=1).encode()
    made = Certificate(
        dataset=plan.name,
        issued=datetime.now(UTC).isoformat(timespec="seconds"),
        mtlue=_version(),
        statement=statement(plan.name, manifest.samples, plan.bound, evidence),
        verdict=evidence.word,
        samples=manifest.samples,
        shards=len(manifest.shards),
        bound=plan.bound,
        manifest_sha256=digest_of(places.output.read(MANIFEST)),
        evidence_sha256=digest_of(shown),
    )
    signed = work.stat(SIGNATURE) is not None
    if signed == bool(sign_with) and _says(work, made) and _read(work, EVIDENCE) == shown:
        return
    data = made.model_dump_json(indent=1).encode()
    signature = sign(data, sign_with) if sign_with else None
    work.delete(SIGNATURE)
    work.write(EVIDENCE, shown)
    work.write(CERTIFICATE, data)
    if signature is not None:
        work.write(SIGNATURE, signature)


def certificate_problems(output: Store, beside: Store, name: str, signer: Path | None) -> list[str]:
    """Why a certificate does not belong to what is published, or is not signed by a key; empty when all agrees.

    Args:
        output: the public place.
        beside: where certificate, evidence and signature lie.
        name: of the certificate there.
        signer: public key of the owner; None: no signature is asked for.

    Raises:
        InputError: there is no such certificate.
    """
    data = _read(beside, name)
    if data is None:
        raise InputError(f"{beside.join(name)}: there is no certificate; `mtlue run` writes it into `work`")
    certificate = read_certificate(data, beside.join(name))
    read_manifest(output)  # says what is wrong where there is none
    problems = mismatches(certificate, output.read(MANIFEST), _read(beside, EVIDENCE))
    if signer is not None:
        signature = _read(beside, f"{name}.sig")
        if signature is None:
            problems.append(f"{name}.sig: it does not lie beside {name}, so nobody has signed it; set sign_with")
        elif (problem := signature_problem(data, signature, signer)) is not None:
            problems.append(f"{name}.sig: not a signature of {name} by {signer} ({problem})")
    return problems


def _says(work: Store, made: Certificate) -> bool:
    """Whether the stored certificate says the same, whenever it was issued."""
    data = _read(work, CERTIFICATE)
    if data is None:
        return False
    try:
        return read_certificate(data, CERTIFICATE).model_copy(update={"issued": made.issued}) == made
    except InputError:
        return False


def _read(store: Store, name: str) -> bytes | None:
    return store.read(name) if store.stat(name) is not None else None


def _version() -> str:
    try:
        return version("mtlue")
    except PackageNotFoundError:
        return "not installed as a package"
