"""Objects in a dataset repository of the Hugging Face Hub: each write is a commit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from schemas.dataset import Storage
from schemas.errors import TransientError
from stages.io.store.failures import is_conflict, library_errors
from stages.io.store.objects import Entries, Entry
from stages.io.store.remote import Remote


class Hub(Remote):
    """`hf://datasets/<owner>/<name>`, with the token of the environment (HF_TOKEN) or of `hf auth login`.

    Conditions are on the commit that a write follows (`parent_commit`): it is refused when any other came in between.
    """

    def _options(self, storage: Storage, *, anon: bool, timeout: float) -> dict[str, Any]:
        return {"token": False} if anon else {}

    def list(self, prefix: str) -> Entries:
        """Every object whose name starts with `prefix`, as the last commit has them."""
        self._files.invalidate_cache()
        return super().list(prefix)

    def stat(self, name: str) -> Entry | None:
        """The object as the last commit has it."""
        self._files.invalidate_cache()
        return super().stat(name)

    def upload(self, path: Path, name: str) -> None:
        """Commit a local file."""
        self._commit(name, str(path))

    def write(self, name: str, data: bytes) -> None:
        """Commit bytes."""
        self._commit(name, data)

    def create(self, name: str, data: bytes, token: str) -> bool:
        """Commit bytes on top of a commit that lacks the object."""
        head = self._head()
        return self.stat(name) is None and self._follows(head, name, data)

    def replace(self, name: str, data: bytes, etag: str) -> str | None:
        """Commit bytes on top of a commit in which the object has this etag."""
        head = self._head()
        there = self.stat(name)
        if there is None or there.etag != etag:
            return None
        self._follows(head, name, data)
        new = self.stat(name)
        return None if new is None else new.etag

    def expected_etag(self, path: Path) -> str:
        """SHA-256 of the file: what the Hub shows of a large one. A small one is read back."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _etag(self, info: dict[str, Any]) -> str:
        return str((info.get("lfs") or {}).get("sha256") or info.get("blob_id") or "")

    def _head(self) -> str:
        """The last commit."""
        place = self._files.resolve_path(self.root)
        about = self._files._api.repo_info(place.repo_id, repo_type=place.repo_type, revision=place.revision)
        return str(about.sha)

    def _follows(self, head: str, name: str, data: bytes) -> bool:
        """Commit on top of `head`.

        Raises:
            TransientError: somebody has committed meanwhile, perhaps another object: look again.
        """
        try:
            self._commit(name, data, head)
        except library_errors() as error:
            if is_conflict(error):
                raise TransientError(f"{self.root}/{name}: another commit came first; look again") from error
            raise
        return True

    def _commit(self, name: str, content: str | bytes, parent: str | None = None) -> None:
        from huggingface_hub import CommitOperationAdd

        place = self._files.resolve_path(f"{self.root}/{name}")
        self._files._api.create_commit(
            place.repo_id,
            [CommitOperationAdd(place.path_in_repo, content)],
            commit_message=f"mtlue: {name}",
            repo_type=place.repo_type,
            revision=place.revision,
            parent_commit=parent,
        )
