"""The datasets that `mtlue import` knows."""

from __future__ import annotations

import typer

from pipeline.commands.imports.celeba import celeba
from pipeline.commands.imports.chestxray14 import chestxray14
from pipeline.commands.imports.multifashion import multifashion
from pipeline.commands.imports.nyuv2 import nyuv2
from pipeline.commands.imports.outlines import outlines
from pipeline.commands.imports.rooms import rooms
from pipeline.commands.imports.scenes import scenes
from pipeline.commands.imports.utkface import utkface

importer = typer.Typer(help="Turn a dataset into shards: one command per dataset.", no_args_is_help=True)

for command in (outlines, scenes, rooms, multifashion, celeba, utkface, chestxray14, nyuv2):
    importer.command()(command)
