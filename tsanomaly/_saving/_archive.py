# SPDX-License-Identifier: MIT
"""The file of a model: an archive that says what is in it."""

import io
import json
import re
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from textwrap import shorten
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from tsanomaly._saving._json import read_json
from tsanomaly._version import __version__

__all__ = ["ModelFileError", "damage", "pack_members", "read_members", "reason_of"]

# What a file says of itself, beside the model.
_MANIFEST = "tsanomaly.json"

# To be raised when older versions of the library would misread a file, or classes that
# files hold have changed. Formats 1 and 2 were written by skops.
_FORMAT = 3

# Bytes that are unpacked at a time.
_BLOCK = 2**20

# Members of a file, at most: an array with the header of numpy and those of the archive
# takes 150 bytes.
_MOST_MEMBERS, _BYTES_OF_A_MEMBER = 100, 150

# Packages whose versions a file gives, at most.
_MOST_PACKAGES = 10

# What the commands can have done to the readings of training, by their options.
_PREPARATION = {
    "resample": lambda value: isinstance(value, str),
    "max_gap": lambda value: isinstance(value, str | None),
    "fill": lambda value: value in ("previous", "interpolate"),
    "fill_limit": lambda value: type(value) is int and value > 0,
    "na_values": lambda value: (
        isinstance(value, list) and all(isinstance(cell, str) for cell in value)
    ),
}

# Characters of a reason that a message gives, at most.
_LONGEST_REASON = 300

# How many times its size a file may unpack to; `save` does not pack what would unpack
# to more than this.
_MOST_UNPACKED = 20


class ModelFileError(ValueError):
    """A file is no model that :func:`save` wrote, or is damaged.

    Examples
    --------
    >>> import tempfile
    >>> import tsanomaly
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     try:
    ...         tsanomaly.load(file.name)
    ...     except tsanomaly.ModelFileError:
    ...         print("Copy it again, or save the model again.")
    Copy it again, or save the model again.
    """


def pack_members(members, description):
    """The bytes of a file.

    Parameters
    ----------
    members : dict of str to bytes
        What it holds, by name.
    description : dict
        What the manifest says of the model, as JSON can hold it.

    Returns
    -------
    data : bytes
        The archive: the members, and a manifest with the size and SHA-256 of each.
    """
    manifest = {
        "format": _FORMAT,
        **description,
        "members": {name: _digest(content) for name, content in members.items()},
    }
    members = {**members, _MANIFEST: json.dumps(manifest, indent=2).encode()}
    unpacked = sum(map(len, members.values()))
    for compression in (ZIP_DEFLATED, ZIP_STORED):
        packed = io.BytesIO()
        with ZipFile(packed, "w", compression) as archive:
            for name, content in members.items():
                # ZipInfo: without the time, which is in the manifest
                archive.writestr(ZipInfo(name), content, compression)
        data = packed.getvalue()
        if unpacked <= _MOST_UNPACKED * len(data):
            break
    return data


def read_members(data, source):
    """The manifest, and the content of the other members by name, all of it checked."""
    with damage(source, "it is not a whole ZIP archive"):
        archive = ZipFile(io.BytesIO(data))
    with archive:
        _check_directory(archive.infolist(), len(data), source)
        if _MANIFEST not in archive.namelist():
            raise ModelFileError(
                f"{source} is not a model that tsanomaly.save wrote: it is a ZIP "
                f"archive without {_MANIFEST}. Save the model with tsanomaly.save."
            )
        with damage(source, f"{_MANIFEST} cannot be read"):
            manifest = read_json(_read(archive, _MANIFEST), len(data))
            _check_manifest(manifest)
        if manifest["format"] > _FORMAT:
            raise ModelFileError(
                f"{source} has format {manifest['format']}, and this version of "
                f"tsanomaly, {__version__}, reads format {_FORMAT}. Upgrade: "
                "pip install --upgrade tsanomaly."
            )
        if manifest["format"] < _FORMAT:
            raise ModelFileError(
                f"{source} has format {manifest['format']}, and this version of "
                f"tsanomaly, {__version__}, reads format {_FORMAT}. Fit the model "
                "again, and save it with this version."
            )
        with damage(source, "it does not hold what was saved"):
            names = set(archive.namelist()) - {_MANIFEST}
            if names != set(manifest["members"]):
                name = min(names ^ set(manifest["members"]))
                raise ValueError(f"{name} is missing, or not listed")
            members = {}
            for name in names:
                content = members[name] = _read(archive, name)
                if manifest["members"][name] != _digest(content):
                    raise ValueError(f"{name} has another size or SHA-256")
    return manifest, members


def _read(archive, name):
    """A member, unpacked to the size that the directory says, and no further."""
    content = bytearray(archive.getinfo(name).file_size)
    start = 0
    with archive.open(name) as member:
        while block := member.read(min(_BLOCK, len(content) - start)):
            content[start : start + len(block)] = block
            start += len(block)
    if start < len(content):
        raise ValueError(f"{name} is shorter than it says")
    return content


@contextmanager
def damage(source, what):
    """Report any failure as damage of the file."""
    try:
        yield
    except (MemoryError, RecursionError):  # of whom, or where, it is called from
        raise
    # Damaged files make readers fail in a dozen ways. What is raised on purpose inside
    # is among it.
    except Exception as error:
        raise ModelFileError(
            f"{source} is damaged or was altered: {what} ({reason_of(error)}). Use "
            "another copy, or save the model again."
        ) from error


def reason_of(error):
    """What an error says, cut short: it may repeat a part of the file."""
    return shorten(str(error) or repr(error), _LONGEST_REASON)


def _digest(content):
    return {"size": len(content), "sha256": sha256(content).hexdigest()}


def _check_directory(entries, size, source):
    """Raise unless an archive can be unpacked safely.

    Parameters
    ----------
    entries : list of ZipInfo
        Its directory.
    size : int
        Bytes of the archive.
    source : str
        What it is called in messages.
    """
    # No more is unpacked of a member than the directory says.
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > _MOST_MEMBERS + size // _BYTES_OF_A_MEMBER:
        raise ModelFileError(
            f"{source} has {len(entries):,} members, more than fit into a file of "
            f"{size:,} bytes that tsanomaly.save writes. Use another copy, or save the "
            "model again."
        )
    if unpacked > _MOST_UNPACKED * size:
        raise ModelFileError(
            f"{source} would unpack to {unpacked:,} bytes, more than {_MOST_UNPACKED} "
            f"times its size of {size:,}: it is damaged, or made to fill the memory. "
            "Use another copy, or save the model again."
        )
    with damage(source, "its directory is not one that tsanomaly.save writes"):
        seen = set()
        for entry in entries:
            name = entry.orig_filename
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
                raise ValueError(f"{name!r} is no name of a member")
            if name in seen:
                raise ValueError(f"{name} is there twice")
            seen.add(name)
            # Other methods of compression can unpack more than the directory says.
            if entry.compress_type not in (ZIP_DEFLATED, ZIP_STORED):
                raise ValueError(f"{name} is compressed in another way")


def _check_manifest(manifest):
    number = manifest["format"]
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"format {number!r}")
    if number != _FORMAT:
        return  # what another format holds is not known
    versions, names = manifest["versions"], manifest["feature_names"]
    preparation = manifest.get("preparation")
    if not (
        isinstance(manifest["members"], dict)
        and isinstance(versions, dict)
        and len(versions) <= _MOST_PACKAGES
        and all(isinstance(version, str | None) for version in versions.values())
        and isinstance(names, list | None)
        and all(isinstance(name, str) for name in names or ())
        and isinstance(preparation, dict | None)
        and all(
            _PREPARATION[name](value) for name, value in (preparation or {}).items()
        )
    ):
        raise ValueError(
            "members, versions, names or preparation are not as they should be"
        )
    datetime.fromisoformat(manifest["created"])
