# SPDX-License-Identifier: MIT
"""What is looked at in a file, and changed in it."""

import io
import json
import re
import warnings
from hashlib import sha256
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np


def outputs(model, X):
    """Everything that a model says of rows."""
    methods = ["score_samples", "decision_function", "predict", "transform"]
    return {
        method: np.asarray(getattr(model, method)(X))
        for method in methods
        if hasattr(model, method)
    }


def without_address(model):
    """Its representation, but for where a random state lies in memory."""
    return re.sub("0x[0-9A-F]+", "", repr(model))


def assert_same(model, loaded, frame):
    """Raise unless two models say the same, to the last bit."""
    for rows in (frame, frame[:1], frame[::-1][:7]):
        expected, found = outputs(model, rows), outputs(loaded, rows)
        assert expected
        assert expected.keys() == found.keys()
        for method, values in expected.items():
            np.testing.assert_array_equal(found[method], values, strict=True)


def content_of(path):
    """Members of a file by name."""
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, compression=ZIP_DEFLATED):
    """Write an archive of members: a dict, or pairs."""
    with warnings.catch_warnings(), ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of two members of the same name
        for name, content in getattr(members, "items", lambda: members)():
            archive.writestr(ZipInfo(name), content, compression)


def alter(path, change, compression=ZIP_DEFLATED):
    """Change members of a file, and write SHA-256 that fit."""
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
    """Change the description of the model, and write SHA-256 that fit."""

    def change_member(members):
        schema = json.loads(members["schema.json"])
        change(schema)
        members["schema.json"] = json.dumps(schema)
        members["schema.json"] = members["schema.json"].encode()

    alter(path, change_member)


def alter_array(path, holds, change):
    """Change an array, found by what it holds, and write SHA-256 that fit."""

    def change_member(members):
        for name, content in members.items():
            if name.endswith(".npy"):
                array = np.load(io.BytesIO(content))
                if holds(array):
                    array = change(array)
                    stream = io.BytesIO()
                    np.save(stream, array)
                    members[name] = stream.getvalue()
                    return
        raise AssertionError("there is no such array")

    alter(path, change_member)


def nodes(schema, loader):
    """All nodes of a kind in the description of a model."""
    if isinstance(schema, dict):
        if schema.get("__loader__") == loader:
            yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from nodes(part, loader)


def set_number(node, name, value):
    """Change a number of an object, which may share its identity with equal ones."""
    before = node["content"][name]
    node["content"][name] = {**before, "content": str(value), "__id__": None}
