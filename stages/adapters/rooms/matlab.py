"""MATLAB files: version 7.3, which is HDF5 with every array's axes reversed, and the older ones."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError, InputError

HDF5 = b"\x89HDF\r\n\x1a\n"
USER_BLOCK = 512
"""Bytes of MATLAB's own header before HDF5 begins."""


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5, with MATLAB's header before it or without.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(USER_BLOCK + len(HDF5))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the file and its permissions") from None
    return start.startswith(HDF5) or start[USER_BLOCK:] == HDF5


def open_hdf5(path: Path) -> Any:
    """Open an HDF5 file for reading; a process keeps the last one open, for the rows that follow.

    Returns:
        `h5py.File`; arrays have MATLAB's axes in reverse order.

    Raises:
        ConfigError: h5py is not installed.
        InputError: the file is cut off, damaged or something else.
    """
    return _opened(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _opened(path: Path, modified: int) -> Any:
    try:
        import h5py
    except ImportError:
        raise ConfigError(f"reading {path.name} needs h5py; pip install 'mtlue[nyuv2]'") from None
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path} ({path.stat().st_size} bytes) is cut off, damaged, or no MATLAB 7.3 file ({error}); fetch it again"
        ) from None


def small_array(path: Path, name: str) -> Any:
    """A small array of whole numbers from a file of either version, as one flat array.

    Raises:
        ConfigError: the package that reads this version is not installed.
        InputError: the file is damaged, or has no such array.
    """
    if is_hdf5(path):
        file = open_hdf5(path)
        found = {key: file[key][()].reshape(-1) for key in (name,) if key in file}
    else:
        found = _old(path, name)
    if name not in found:
        raise InputError(f"{path} has no array {name!r}; it is another file, or damaged: fetch it again")
    return found[name].astype(int).reshape(-1)


def _old(path: Path, name: str) -> dict[str, Any]:
    try:
        from scipy.io import loadmat
    except ImportError:
        raise ConfigError(f"reading {path.name} needs scipy; pip install 'mtlue[nyuv2]'") from None
    try:
        return dict(loadmat(path, variable_names=[name]))
    except Exception as error:  # it raises whatever it stumbles over
        raise InputError(f"{path} is damaged, or no MATLAB file ({error}); fetch it again") from None
