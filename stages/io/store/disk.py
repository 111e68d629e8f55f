"""Objects on a local disk: published by rename, flushed to the disk before they are visible."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from stages.io.store.failpoints import reached
from stages.io.store.objects import DANGLING, Entries, Entry

TEMPORARY = ".mtlue-part-"
"""Start of the name of a file that is still being written; never listed."""

STALE_SECONDS = 3600.0
"""A file of that name to which nobody has written for so long is that of a writer who died."""


NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
"""What file systems without hard links answer to one."""


class Disk:
    """Objects below a local directory; see `Objects` for the verbs. Errors are the system's own OSError."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def list(self, prefix: str) -> Entries:
        """Every file whose name starts with `prefix`; linked directories are followed, but never into themselves."""
        if not self.root.is_dir():
            return []
        entries: list[Entry] = []
        pending: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", ())]
        while pending:
            directory, ancestors = pending.pop()
            for item in self._scan(directory):
                name = f"{directory}{item.name}"
                if _is_directory(item):
                    found = item.stat()
                    identity = (found.st_dev, found.st_ino)
                    below = f"{name}/"
                    if identity not in ancestors and (below.startswith(prefix) or prefix.startswith(below)):
                        pending.append((below, (*ancestors, identity)))
                elif name.startswith(prefix) and not item.name.startswith(TEMPORARY):
                    if item.is_symlink() and not os.path.exists(item.path):
                        entries.append(Entry(name, 0, DANGLING))
                    elif item.is_file() and (entry := self.stat(name)):
                        entries.append(entry)
        return entries

    def stat(self, name: str) -> Entry | None:
        """The file as it is now; None when it does not exist or is a directory."""
        found = _stat(self.root / name)
        return None if found is None or stat.S_ISDIR(found.st_mode) else Entry(name, found.st_size, _etag(found))

    def read(self, name: str) -> bytes:
        """The file's bytes."""
        return (self.root / name).read_bytes()

    def download(self, name: str, path: Path) -> None:
        """Copy the file to `path`."""
        shutil.copyfile(self.root / name, path)

    def upload(self, path: Path, name: str) -> None:
        """Copy `path` into the target's directory, flush it, rename it to its name."""
        with path.open("rb") as source:
            self._publish(name, lambda part: shutil.copyfileobj(source, part, 1 << 20))

    def write(self, name: str, data: bytes) -> None:
        """Write and flush a temporary file, rename it to its name."""
        self._publish(name, lambda part: part.write(data))

    def create(self, name: str, data: bytes, token: str) -> bool:
        """Write and flush a temporary file, then link it: a link fails when the name exists."""
        target = self.root / name
        with self._part(target, lambda part: part.write(data)) as part:
            try:
                _appear(part, target)
            except FileExistsError:
                return False
            _flush_directory(target.parent)
            return True

    def replace(self, name: str, data: bytes, etag: str) -> str | None:
        """Lock the file, compare its time, rename a flushed temporary file over it.

        The lock (flock, also over NFS 4) is on the file itself. Who waited for one that was renamed away meanwhile
        finds another file under the name, and is refused. The kernel frees the lock of a process that dies.
        """
        target = self.root / name
        try:
            held = target.open("r+b")
        except FileNotFoundError:
            return None
        with held, self._part(target, lambda part: part.write(data)) as part:
            _lock(held)
            there = _stat(target)
            if there is None or not os.path.samestat(os.fstat(held.fileno()), there) or _etag(there) != etag:
                return None
            new = _etag(os.stat(part))
            os.replace(part, target)
            _flush_directory(target.parent)
            return new

    def delete(self, name: str) -> None:
        """Remove the file; its directory stays."""
        (self.root / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove the temporary files of writers who died."""
        for directory, _, names in os.walk(self.root):
            for name in names:
                if name.startswith(TEMPORARY):
                    path = Path(directory, name)
                    found = _stat(path)
                    if found is not None and time.time() - found.st_mtime > STALE_SECONDS:
                        path.unlink(missing_ok=True)

    def expected_etag(self, path: Path) -> str:
        """Empty: etags of a disk are times."""
        return ""

    def public(self) -> str:
        """The mode that lets others in. A run sets 0700 first; FAT and some network shares keep their own."""
        with suppress(FileNotFoundError):
            if (mode := stat.S_IMODE(self.root.stat().st_mode)) & 0o077:
                return f"its mode is {mode:04o}, and its file system keeps no other"
        return ""

    def _scan(self, directory: str) -> Sequence[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / directory) as items:
                return list(items)
        except FileNotFoundError:  # removed since its parent was read
            return []

    def _publish(self, name: str, fill: Callable[[BinaryIO], object]) -> None:
        target = self.root / name
        with self._part(target, fill) as part:
            os.replace(part, target)
            _flush_directory(target.parent)

    @contextmanager
    def _part(self, target: Path, fill: Callable[[BinaryIO], object]) -> Iterator[Path]:
        """Yield a complete, flushed temporary file beside `target`; what is left of it is removed afterwards."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            with part.open("xb") as file:  # unlike a tempfile's, its mode follows the umask
                fill(file)
                file.flush()
                # The kernel stamps in steps of some ms: two writes within one would have the same etag.
                now = time.time_ns()
                os.utime(file.fileno(), ns=(now, now))
                os.fsync(file.fileno())
            reached(f"flushed {target}")
            yield part
        finally:
            with suppress(FileNotFoundError):
                part.unlink()


def _appear(part: Path, target: Path) -> None:
    """Give a complete file the name `target`, which must be free.

    Without hard links (exFAT, many FUSE and SMB mounts) the name is taken by an exclusive open, and the file is renamed
    over it. That open is the other step that every file system decides for one of several writers. In between a reader
    finds an empty file. So it does when the machine dies in between; whoever reads it asks for its removal.
    """
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        os.replace(part, target)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _etag(found: os.stat_result) -> str:
    return str(found.st_mtime_ns)


def _lock(file: BinaryIO) -> None:
    """Wait a while for the file's lock: nobody holds it for longer than a rename takes, unless it was stopped there.

    Raises:
        TimeoutError: another process holds it.
        NotImplementedError: the file system has no locks.
    """
    for pause in (0.01, 0.1, 0.5, 1.0):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise NotImplementedError from error
        else:
            return
        time.sleep(pause)
    raise TimeoutError(errno.ETIMEDOUT, "another process holds its lock", file.name)


def _is_directory(item: os.DirEntry[str]) -> bool:
    """Whether it is a directory or leads to one; a link that leads to itself does not."""
    try:
        return item.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


def _flush_directory(directory: Path) -> None:
    """Make a rename in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
