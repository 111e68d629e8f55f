"""Signatures of the certificate: made and checked by OpenSSH's `ssh-keygen -Y`, so anybody can check one without mtlue.

The key may be a file without a passphrase, or the public half of one that an agent or a security key holds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.errors import ConfigError, InputError

NAMESPACE = "mtlue"
"""A signature for another purpose is none for this one (PROTOCOL.sshsig of OpenSSH)."""

OWNER = "owner"
SECONDS = 60
"""For a key on a device that waits for a touch."""


def check_key(key: str) -> None:
    """Sign nothing at all, so that a key that cannot be used ends a run at its start.

    Raises:
        ConfigError: OpenSSH or the key is missing, or the key needs a passphrase.
    """
    sign(b"", key)


def sign(data: bytes, key: str) -> bytes:
    """The armoured signature of some bytes.

    Raises:
        ConfigError: see `check_key`.
    """
    if not Path(key).is_file():
        raise ConfigError(f"sign_with: {key} is no file; name a private key of OpenSSH (ssh-keygen -t ed25519)")
    with TemporaryDirectory(prefix="mtlue-sign-") as directory:
        path = Path(directory, "data")
        path.write_bytes(data)
        done = _openssh(["sign", "-f", key, "-n", NAMESPACE, str(path)])
        if done.returncode:
            raise ConfigError(
                f"sign_with: {key} cannot sign ({_last_line(done)}); a key with a passphrase has to be in ssh-agent: "
                "name its public half then"
            )
        return Path(f"{path}.sig").read_bytes()


def signature_problem(data: bytes, signature: bytes, key: Path) -> str | None:
    """Why a signature is not one of these bytes by this public key; None when it is.

    Raises:
        InputError: the key cannot be read, or is a private one.
    """
    public = _public_key(key)
    with TemporaryDirectory(prefix="mtlue-sign-") as directory:
        signers, file = Path(directory, "signers"), Path(directory, "signature")
        signers.write_text(f'{OWNER} namespaces="{NAMESPACE}" {public}\n')
        file.write_bytes(signature)
        done = _openssh(["verify", "-f", str(signers), "-I", OWNER, "-n", NAMESPACE, "-s", str(file)], data)
    return None if done.returncode == 0 else _last_line(done)


def _public_key(key: Path) -> str:
    try:
        text = key.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--signer {key}: cannot be read ({error})") from None
    if "PRIVATE KEY" in text or len(text.splitlines()) != 1 or len(text.split()) < 2:
        raise InputError(f"--signer {key}: not a public key of OpenSSH; give the .pub file of the owner")
    return text


def _openssh(arguments: list[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `ssh-keygen -Y …`; it can ask nobody for anything."""
    program = shutil.which("ssh-keygen")
    if program is None:
        raise ConfigError(
            "ssh-keygen was not found; install OpenSSH's client to sign certificates and check signatures"
        )
    environment = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "SSH_ASKPASS"}}
    command = [program, "-Y", *arguments]
    return subprocess.run(  # noqa: S603 - the program of the path, with arguments of ours
        command, input=data, env=environment, capture_output=True, timeout=SECONDS, start_new_session=True, check=False
    )


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
