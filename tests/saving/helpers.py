# SPDX-License-Identifier: MIT
"""Read and alter model files."""

import io
import json
import re
import warnings
from hashlib import sha256
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np


def outputs(model, X):
    """Return all outputs of a model for rows."""
    methods = ["score_samples", "decision_function", "predict", "transform"]
    return {
        method: np.asarray(getattr(model, method)(X))
        for method in methods
        if hasattr(model, method)
    }


def without_address(model):
    """Return the representation of a model without addresses of random states."""
    return re.sub("0x[0-9A-F]+", "", repr(model))


def assert_same(model, loaded, frame):
    """Raise unless the outputs of two models are equal bit for bit."""
    for rows in (frame, frame[:1], frame[::-1][:7]):
        expected, found = outputs(model, rows), outputs(loaded, rows)
        assert expected
        assert expected.keys() == found.keys()
        for method, values in expected.items():
            np.testing.assert_array_equal(found[method], values, strict=True)


def content_of(path):
    """Return the members of a file by name."""
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, compression=ZIP_DEFLATED):
    """Write an archive of members: a dict, or pairs."""
    with warnings.catch_warnings(), ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # about two members with the same name
        for name, content in getattr(members, "items", lambda: members)():
            archive.writestr(ZipInfo(name), content, compression)


def alter(path, change, compression=ZIP_DEFLATED):
    """Change members of a file, with matching SHA-256."""
    members = content_of(path)
    change(members)
    manifest = json.loads(members.pop("tsanomaly.json"))
    manifest["members"] = {
        name: {"size": len(content), "sha256": sha256(content).hexdigest()}
        for name, content in members.items()
    }
    members["tsanomaly.json"] = json.dumps(manifest)
    write(path, members, compression)


def alter_manifest(path, **changes):
    members = content_of(path)
    manifest = json.loads(members["tsanomaly.json"])
    members["tsanomaly.json"] = json.dumps({**manifest, **changes})
    write(path, members)


def alter_json(path, change):
    """Change the description of the model, with matching SHA-256."""

    def change_member(members):
        document = json.loads(members["model.json"])
        changed = change(document)
        document = document if changed is None else changed
        members["model.json"] = json.dumps(document).encode()

    alter(path, change_member)


def objects(node, name):
    """Return all objects of a class in the description of a model."""
    if isinstance(node, dict):
        if node.get("class") == name:
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from objects(part, name)


def alter_state(path, name, *keys, change=None, value=None):
    """Change an attribute of the first object of a class, with matching SHA-256.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Name of the class.
    *keys : str
        Keys that lead from the object to the attribute: "params" or "state", its name,
        and a key of a dict.
    change : callable or None
        Maps an array to the new array.
    value : object
        New value of an attribute other than an array, as JSON.
    """

    def change_members(members):
        document = json.loads(members["model.json"])
        node = next(objects(document, name))
        for key in keys[:-1]:
            node = node[key]
            node = node.get("dict", node)
        assert keys[-1] in node
        if change is None:
            node[keys[-1]] = value
            members["model.json"] = json.dumps(document).encode()
            return
        member = node[keys[-1]]["array"]
        stream = io.BytesIO()
        np.save(stream, change(np.load(io.BytesIO(members[member]))))
        members[member] = stream.getvalue()

    alter(path, change_members)
