# SPDX-License-Identifier: MIT
"""Files that are damaged, forged or not model files."""

import io
import os
import pickle
import tracemalloc
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile
from zlib import crc32

import joblib
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from tests.saving.helpers import (
    alter,
    alter_json,
    content_of,
    objects,
    write,
)
from tsanomaly import (
    load,
    save,
)


class Explosive:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_not_run(path, tmp_path, protocol):
    path.write_bytes(pickle.dumps(Explosive(tmp_path / "ran"), protocol))
    with pytest.raises(ValueError, match="pickle"):
        load(path)
    assert not (tmp_path / "ran").exists()


def test_other_files(model, path, tmp_path):
    joblib.dump(model, path)
    with pytest.raises(ValueError, match="pickle"):
        load(path)
    joblib.dump(model, path, compress=3)
    with pytest.raises(ValueError, match=r"not a model saved with tsanomaly\.save"):
        load(path)
    for content in (b"", b"P", b"a,b\n1,2\n"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"not a model saved with tsanomaly\.save"):
            load(path)
    write(path, {"schema.json": b"{}"})
    with pytest.raises(ValueError, match=r"without tsanomaly\.json"):
        load(path)
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def test_truncated(saved):
    content = saved.read_bytes()
    for length in (100, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:length])
        with pytest.raises(ValueError, match="damaged"):
            load(saved)


def test_another_sha256(saved):
    members = content_of(saved)
    name = next(name for name in members if name.endswith(".npy"))
    members[name] = members[name][:-1] + b"\x01"
    write(saved, members)
    with pytest.raises(ValueError, match=f"damaged.*{name} has another .*SHA-256"):
        load(saved)


def test_a_flipped_bit(saved):
    content = bytearray(saved.read_bytes())
    with ZipFile(saved) as archive:
        offset = max(archive.infolist(), key=lambda info: info.file_size).header_offset
    content[offset + 200] ^= 4
    saved.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        load(saved)


def test_missing_and_additional_members(saved):
    members = content_of(saved)
    name = next(name for name in members if name.endswith(".npy"))
    without = {key: value for key, value in members.items() if key != name}
    write(saved, without)
    with pytest.raises(ValueError, match=f"{name} is missing, or not listed"):
        load(saved)
    write(saved, {**members, "more.npy": b""})
    with pytest.raises(ValueError, match=r"more\.npy is missing, or not listed"):
        load(saved)


@pytest.mark.parametrize(
    "name", ["../a.npy", "/a.npy", "a/b.npy", "..", ".a", "a\\b", "a?b", "c:a", "é"]
)
def test_names_that_lead_elsewhere(saved, name):
    write(saved, {**content_of(saved), name: b""})
    with pytest.raises(ValueError, match="name of a member"):
        load(saved)


def test_a_name_that_is_cut_short(saved):
    """Python itself reads names up to a zero byte."""
    write(saved, {**content_of(saved), "more_npy": b""})
    saved.write_bytes(saved.read_bytes().replace(b"more_npy", b"more\0npy"))
    with pytest.raises(ValueError, match=r"more\\x00npy"):
        load(saved)


def test_two_members_of_a_name(saved):
    members = content_of(saved)
    write(saved, [*members.items(), ("model.json", members["model.json"])])
    with pytest.raises(ValueError, match=r"model\.json.*twice"):
        load(saved)


def test_other_compression(saved):
    write(saved, content_of(saved), ZIP_BZIP2)
    with pytest.raises(ValueError, match="compressed"):
        load(saved)


def test_a_bomb(saved):
    alter(saved, lambda members: members.update({"more.bin": bytes(2**26)}))
    assert saved.stat().st_size < 1e6
    with pytest.raises(ValueError, match=r"unpack to 67,"):
        load(saved)


def test_a_bomb_that_claims_to_be_small(saved):
    alter(saved, lambda members: members.update({"more.bin": bytes(2**24)}))
    content = saved.read_bytes()
    claimed = content.replace((2**24).to_bytes(4, "little"), (9).to_bytes(4, "little"))
    assert claimed != content
    saved.write_bytes(claimed)
    with pytest.raises(ValueError, match="damaged"):
        load(saved)


def test_a_bomb_with_sums_that_fit_what_it_claims(saved):
    """More is packed than the directory says; what that says is whole."""
    claimed, actual = bytes(9), bytes(2**26 + 12345)
    alter(saved, lambda members: members.update({"more.bin": claimed}))
    packed = io.BytesIO()
    with ZipFile(saved) as old, ZipFile(packed, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, actual if name == "more.bin" else old.read(name))
    content = packed.getvalue()
    for number, other in ((len(actual), 9), (crc32(actual), crc32(claimed))):
        assert number.to_bytes(4, "little") in content
        content = content.replace(
            number.to_bytes(4, "little"), other.to_bytes(4, "little")
        )
    saved.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"more\.bin is not used"):
        load(saved)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_an_array_that_claims_to_be_large(saved):
    def change(members):
        header = io.BytesIO()
        shape = {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
        np.lib.format.write_array_header_1_0(header, shape)
        name = next(name for name in members if name.endswith(".npy"))
        members[name] = header.getvalue() + bytes(8)

    alter(saved, change)
    with pytest.raises(ValueError, match=r"an array of shape \(1099511627776,\) has 8"):
        load(saved)


def test_an_array_that_many_claim(saved):
    def change(document):
        (forest,) = objects(document, "sklearn.ensemble.IsolationForest")
        forest["state"]["_seeds"] = forest["state"]["seeds_of_trees"]

    alter_json(saved, change)
    with pytest.raises(ValueError, match="belongs to two arrays"):
        load(saved)


def test_an_array_that_nothing_claims(saved):
    alter(saved, lambda members: members.update({"99.npy": members["0.npy"]}))
    with pytest.raises(ValueError, match=r"99\.npy is not used"):
        load(saved)


def test_a_model_that_packs_well(frame, path):
    """It looks like a bomb if packed, so it is not."""
    model = NearestNeighbors(algorithm="brute").fit(np.zeros((100_000, 2)))
    save(model, path)
    assert load(path)._fit_X.shape == (100_000, 2)
    assert path.stat().st_size > 1e6
