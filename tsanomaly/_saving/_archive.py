# SPDX-License-Identifier: MIT
"""Archive format of model files, with a manifest of its contents."""

import io
import json
import re
from collections import namedtuple
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from textwrap import shorten
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from tsanomaly._saving._json import read_json
from tsanomaly._version import __version__

__all__ = [
    "ModelFileError",
    "damage",
    "pack_members",
    "read_members",
    "read_part",
    "reason_of",
]

# Member with the metadata of the file.
_MANIFEST = "tsanomaly.json"

# Increase it when older versions of the library would misread a file, or when classes
# in files change. Formats 1 and 2 were written by skops.
_FORMAT = 6

# Number of bytes to unpack at a time.
_BLOCK = 2**20

# Maximum number of members, which depends on the file size: an array takes at least 150
# bytes with the headers of NumPy and the archive.
_MOST_MEMBERS, _BYTES_OF_A_MEMBER = 100, 150

# Maximum number of packages with versions in a file.
_MOST_PACKAGES = 10

# Options by which the commands prepared the readings of training, and their values.
_PREPARATION = {
    "resample": lambda value: isinstance(value, str),
    "max_gap": lambda value: isinstance(value, str | None),
    "fill": lambda value: value in ("previous", "interpolate"),
    "fill_limit": lambda value: type(value) is int and value > 0,
    "na_values": lambda value: (
        isinstance(value, list) and all(isinstance(cell, str) for cell in value)
    ),
}

# Maximum number of characters of a reason in a message.
_LONGEST_REASON = 300

# Maximum ratio of unpacked to packed size. `save` does not compress files that would
# exceed it.
_MOST_UNPACKED = 20


# Suffix of members that are model files themselves, and are not compressed again.
_OF_PARTS = ".skops"

# Position of such a member in the file, and its SHA-256 in the manifest.
_Part = namedtuple("_Part", "name offset size digest")

# Start of a member in an archive: two lengths are at the end.
_HEADER, _HEADER_SIZE = b"PK\x03\x04", 30


class ModelFileError(ValueError):
    """Error for files that were not written by :func:`save` or are damaged.

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


def pack_members(members, description, parts=()):
    """Pack the members of a file.

    Parameters
    ----------
    members : dict of str to bytes
        Contents of the members by name.
    parts : sequence of bytes, default=()
        Model files to put into the file.
    description : dict
        JSON-serialisable metadata of the model for the manifest.

    Returns
    -------
    data : bytes
        Archive of the members and a manifest with the size and SHA-256 of each.
    """
    parts = {f"{number}{_OF_PARTS}": data for number, data in enumerate(parts)}
    members = {**members, **parts}
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
                # ZipInfo, which omits the time. It is in the manifest.
                method = ZIP_STORED if name in parts else compression
                archive.writestr(ZipInfo(name), content, method)
        data = packed.getvalue()
        if unpacked <= _MOST_UNPACKED * len(data):
            break
    return data


def read_members(file, source):
    """Read a file, except for the model files in it.

    Parameters
    ----------
    file : file object
        The file, opened for reading bytes.
    source : str
        Name of the file in messages.

    Returns
    -------
    manifest : dict
    members : dict of str to bytearray
        Validated contents of the other members by name.
    parts : list
        Model files within the file, for `read_part`.
    size : int
        Size of the file in bytes.
    """
    with damage(source, "it is not a complete ZIP archive"):
        size = file.seek(0, io.SEEK_END)
        archive = ZipFile(file)
    with archive:
        _check_directory(archive.infolist(), size, source)
        if _MANIFEST not in archive.namelist():
            raise ModelFileError(
                f"{source} is not a model saved with tsanomaly.save: it is a ZIP "
                f"archive without {_MANIFEST}. Save the model with tsanomaly.save."
            )
        with damage(source, f"{_MANIFEST} cannot be read"):
            manifest = read_json(_read(archive, _MANIFEST), size)
            _check_manifest(manifest)
        if manifest["format"] > _FORMAT:
            raise ModelFileError(
                f"{source} has format {manifest['format']}, but this version of "
                f"tsanomaly, {__version__}, reads format {_FORMAT}. Install a newer "
                "version."
            )
        if manifest["format"] < _FORMAT:
            raise ModelFileError(
                f"{source} has format {manifest['format']}, but this version of "
                f"tsanomaly, {__version__}, reads format {_FORMAT}. Refit the model "
                "and save it with this version."
            )
        with damage(source, "it does not contain what was saved"):
            names = set(archive.namelist()) - {_MANIFEST}
            if names != set(manifest["members"]):
                name = min(names ^ set(manifest["members"]))
                raise ValueError(f"{name} is missing, or not listed")
            members, found = {}, {}
            for name in names:
                digest = manifest["members"][name]
                if name.endswith(_OF_PARTS):
                    found[name] = _find_part(archive.getinfo(name), digest)
                    continue
                content = members[name] = _read(archive, name)
                if digest != _digest(content):
                    raise ValueError(f"{name} has another size or SHA-256")
            parts = [
                found.pop(f"{number}{_OF_PARTS}", None) for number in range(len(found))
            ]
            if None in parts:
                raise ValueError(f"{parts.index(None)}{_OF_PARTS} is missing")
    return manifest, members, parts, size


def _find_part(entry, digest):
    """Return the position of a model file that an archive contains uncompressed."""
    if entry.compress_type != ZIP_STORED or entry.compress_size != entry.file_size:
        raise ValueError(f"{entry.filename} is compressed")
    return _Part(entry.filename, entry.header_offset, entry.file_size, digest)


def read_part(file, part):
    """Return the contents of a model file within a file.

    Parameters
    ----------
    file : file object
        The file, opened for reading bytes.
    part : _Part
        As from `read_members`.

    Returns
    -------
    content : bytes

    Raises
    ------
    ValueError
        If the contents do not match the manifest.
    """
    file.seek(part.offset)
    header = file.read(_HEADER_SIZE)
    n_name, n_extra = (
        int.from_bytes(header[start : start + 2], "little") for start in (26, 28)
    )
    file.seek(part.offset + _HEADER_SIZE + n_name + n_extra)
    content = file.read(part.size)
    if not header.startswith(_HEADER) or part.digest != _digest(content):
        raise ValueError(f"{part.name} has another size or SHA-256")
    return content


def _read(archive, name):
    """Unpack a member up to the size stated in the directory."""
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
    """Turn any error into one about a damaged file."""
    try:
        yield
    except (MemoryError, RecursionError):  # caused by the caller
        raise
    # Damaged files cause many different errors, including those raised on purpose.
    except Exception as error:
        raise ModelFileError(
            f"{source} is damaged or was altered: {what} ({reason_of(error)}). Use "
            "another copy, or save the model again."
        ) from error


def reason_of(error):
    """Return the message of an error, shortened because it may quote the file."""
    return shorten(str(error) or repr(error), _LONGEST_REASON)


def _digest(content):
    return {"size": len(content), "sha256": sha256(content).hexdigest()}


def _check_directory(entries, size, source):
    """Raise unless an archive can be unpacked safely.

    Parameters
    ----------
    entries : list of ZipInfo
        Directory of the archive.
    size : int
        Size of the archive in bytes.
    source : str
        Name of the archive in messages.
    """
    # Members are never unpacked beyond the size stated in the directory.
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > _MOST_MEMBERS + size // _BYTES_OF_A_MEMBER:
        raise ModelFileError(
            f"{source} has {len(entries):,} members, more than tsanomaly.save writes "
            f"to a file of {size:,} bytes. Use another copy, or save the model again."
        )
    if unpacked > _MOST_UNPACKED * size:
        raise ModelFileError(
            f"{source} would unpack to {unpacked:,} bytes, more than {_MOST_UNPACKED} "
            f"times its size of {size:,}: it is damaged or made to exhaust memory. "
            "Use another copy, or save the model again."
        )
    with damage(source, "its directory was not written by tsanomaly.save"):
        seen = set()
        for entry in entries:
            name = entry.orig_filename
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
                raise ValueError(f"{name!r} is not a valid name of a member")
            if name in seen:
                raise ValueError(f"{name} occurs twice")
            seen.add(name)
            # Other compression methods can unpack more than the directory states.
            if entry.compress_type not in (ZIP_DEFLATED, ZIP_STORED):
                raise ValueError(f"{name} is compressed with another method")


def _check_manifest(manifest):
    number = manifest["format"]
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"format {number!r}")
    if number != _FORMAT:
        return  # the contents of other formats are unknown
    versions, names = manifest["versions"], manifest["feature_names"]
    preparation, row_step = manifest.get("preparation"), manifest.get("row_step")
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
        and (row_step is None or (type(row_step) is float and 1e-9 <= row_step < 9e9))
    ):
        raise ValueError("members, versions, names or training are invalid")
    datetime.fromisoformat(manifest["created"])
