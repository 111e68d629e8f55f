"""The owner of an `output`: the one `work` that publishes there, named by a mark in the public place.

The lease keeps two runs off one `work`; two places of work that publish into one `output` would overwrite each other's
shards all the same. So every private place has a random name, which tells nothing of where it lies, and the first to
publish somewhere leaves it there. Another is refused until somebody says that it takes the place over; from then on the
earlier one is refused.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from pydantic import ValidationError as PydanticError

from pipeline.state.lease import Token
from pipeline.state.places import Places
from schemas.errors import ConfigError, InputError, LeaseError
from schemas.records import Record
from stages.io.store.store import Store

OWNER = ".mtlue-owner.json"
"""The mark in a public place; no shard, so neither the manifest nor `verify` counts it."""

IDENTITY = "identity.json"
"""The name of a private place, in itself."""


class Owner(Record):
    """Which private place an object speaks of."""

    format: str = "mtlue-owner-1"
    work: str
    """Random."""


@dataclass(frozen=True)
class OwnerToken:
    """A run's right to write into `output`: its lease, and that the place is still its own. Picklable."""

    lease: Token
    output: Store
    work: str

    def check(self) -> None:
        """Raise LeaseError when another run or another `work` has taken over."""
        self.lease.check()
        if _read(self.output, OWNER) != self.work:
            raise LeaseError(f"{self.output.join(OWNER)}: another `work` took this output over; this run stops")


def refuse_foreign(places: Places) -> None:
    """Raise ConfigError when another `work` publishes into this `output`; changes nothing."""
    owner = _read(places.output, OWNER)
    if owner and owner != _read(places.work, IDENTITY):
        raise ConfigError(
            f"output ({places.output.url}) belongs to another `work` ({owner[:8]}), not to {places.work.url}; give "
            "this run that `work`, or another `output`. If the other never runs again: --take-over (with --retrain "
            "where its generator is lost)"
        )


def is_mine(places: Places) -> bool:
    """Whether this `work` is the one that publishes into this `output`."""
    owner = _read(places.output, OWNER)
    return bool(owner) and owner == _read(places.work, IDENTITY)


def claim(places: Places, token: Token, *, take_over: bool) -> Places:
    """Make `output` this work's own before the first write into it; gives the places with an `output` that checks it.

    Raises:
        ConfigError: another `work` was faster.
    """
    places.work.create(IDENTITY, Owner(work=uuid.uuid4().hex).model_dump_json().encode())
    mine = _read(places.work, IDENTITY)
    mark = Owner(work=mine).model_dump_json().encode()
    if not places.output.create(OWNER, mark):
        if not take_over:
            refuse_foreign(places)
        elif _read(places.output, OWNER) != mine:
            places.output.write(OWNER, mark)
    return places.with_output(places.output.guarded(OwnerToken(token, places.output.guarded(token), mine)))


def _read(store: Store, name: str) -> str:
    """The random name that an object holds; empty when there is none."""
    if store.stat(name) is None:
        return ""
    try:
        return Owner.model_validate_json(store.read(name)).work
    except PydanticError as error:
        raise InputError(
            f"{store.join(name)}: names no `work` ({error.error_count()} problems); remove it if nothing publishes here"
        ) from None
