"""What the dataset card says of a published dataset besides its data: licence, version, citation."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BeforeValidator, Field

from schemas.model import Model

Day = Annotated[str, BeforeValidator(lambda given: str(given) if isinstance(given, date) else given)]
"""A day, which YAML reads as a date where it is not in quotes."""


class Published(Model):
    """`published:` of the configuration; all of it is public, and none of it changes an image."""

    license: str = Field(default="", pattern=r"^[A-Za-z0-9.+-]*$")
    """Licence, by its identifier on the Hugging Face Hub or in SPDX (`cc-by-4.0`); empty: the card names none."""

    version: str = Field(default="", pattern=r"^([0-9]+\.[0-9]+\.[0-9]+)?$")
    """Version of the dataset (`1.0.0`); empty: the card names none."""

    citation: str = ""
    """How to cite the dataset, as BibTeX or text."""

    url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """Home page of the dataset."""

    creator: str = ""
    """Person or organisation that publishes it."""

    date: Day = Field(default="", pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")
    """Day of publication (`2026-11-30`)."""
