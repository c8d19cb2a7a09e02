# SPDX-License-Identifier: MIT
"""Damaged files: by accident, or on purpose with matching checksums."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import run_python, wave
from tests.saving.helpers import (
    alter,
    assert_same,
    content_of,
    outputs,
    write,
)
from tests.saving.models import MODELS
from tsanomaly import ModelFileError, load, save

# Six kinds: a forest behind an imputer, a network, neighbours, a support vector
# machine, columns that are scaled apart, and a density.
KINDS = [
    "imputed",
    "network_threshold",
    "linear_baseline",
    "hybrid_mean",
    "svm",
    "remainder",
    "density",
]


def mutate(content, members, rng):
    """Damage a file in one of several ways."""
    content = bytearray(content)
    kind = rng.integers(7)
    start, stop = sorted(rng.integers(len(content), size=2).tolist())
    if kind == 0:  # single bits
        for position in rng.integers(len(content), size=rng.integers(1, 4)):
            content[position] ^= 1 << rng.integers(8)
    elif kind == 1:
        content = content[:start]
    elif kind == 2:
        content[start : start + 64] = rng.bytes(64)
    elif kind == 3:
        content[start:stop] = bytes(stop - start)
    elif kind == 4:  # somewhere in the directory, where single bits mean most
        position = len(content) - 1 - int(rng.integers(min(3000, len(content))))
        content[position] = rng.integers(256)
    else:  # members in each other's place, or missing
        names = list(members)
        first, second = rng.choice(len(names), 2, replace=False)
        first, second = names[first], names[second]
        members = {**members, first: members[second], second: members[first]}
        if kind == 6:
            del members[first]
        stream = io.BytesIO()
        write(stream, members)
        return stream.getvalue()
    return bytes(content)


def fuzz(path, model, frame, rounds, seed):
    """Load damaged files: the model as it was, or an error that `load` documents."""
    content, members = path.read_bytes(), content_of(path)
    rng = np.random.default_rng(seed)
    refusals = []
    for _ in range(rounds):
        path.write_bytes(mutate(content, members, rng))
        try:
            loaded = load(path)
        except ModelFileError as error:
            refusals.append(str(error))
        else:
            assert_same(model, loaded, frame)
    assert all(refusal.startswith(str(path)) for refusal in refusals)
    return len(refusals)


@pytest.mark.parametrize("name", KINDS)
def test_damage(name, frame, labels, path):
    model = MODELS[name].fit(frame, labels)
    save(model, path)
    assert fuzz(path, model, frame, 100, seed=0) > 80


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_much_damage(name, frame, labels, path):
    model = MODELS[name].fit(frame, labels)
    save(model, path)
    assert fuzz(path, model, frame, 1000, seed=1) > 800


# What a number, a word or a list is replaced by.
ODD = [0, -1, 1, 3, 10**9, 2**31, 2**63, -(2**63), 10**30, 0.5, -1e308, 1e308, 1e-320]
ODD += [True, None, "", "x", "nan", "numpy.log1p", [], {}, {"dict": {}}, {"tuple": []}]
ODD += [{"float": "nan"}, {"float": "-inf"}, {"scalar": "<i8", "value": 7}, [[[]]]]
EXTREMES = [0, -1, 1, 10**9, 2**31 - 1, -(2**31), 1e308, -1e308, np.nan, np.inf]


def places(node):
    """Every place in a description: what holds it, and where."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in pairs:
        yield node, key
        if isinstance(value, dict | list):
            yield from places(value)


def alter_description(document, rng):
    """Change one place in a description of a model."""
    found = list(places(document))
    node, key = found[rng.integers(len(found))]
    kind = rng.integers(5)
    if kind == 0 and isinstance(node, dict):
        node[f"{key}_"[rng.integers(2) :]] = node.pop(key)
    elif kind == 1:
        del node[key]
    elif kind == 2:
        other, other_key = found[rng.integers(len(found))]
        node[key] = json.loads(json.dumps(other[other_key]))
    else:
        node[key] = ODD[rng.integers(len(ODD))]


def alter_array(content, rng):
    """Change an array: numbers in it, its header, its length or its order."""
    array, kind = np.load(io.BytesIO(content)), rng.integers(6)
    if kind == 0 or not array.size:
        header = bytearray(content)
        header[rng.integers(10, min(len(content), 128))] = rng.integers(32, 127)
        return bytes(header)
    if kind == 1:
        array = array[: rng.integers(len(array))] if array.ndim else array
    elif kind == 2:
        array = np.concatenate([array, array])
    elif kind == 3:
        array = array.astype(["f4", "f8", "i4", "i8", "?"][rng.integers(5)])
    elif kind == 4:
        array = array.T if array.ndim > 1 else array[None]
    else:
        array = array.copy()
        with np.errstate(all="ignore"):
            extreme = np.array(EXTREMES[rng.integers(len(EXTREMES))])
            array.flat[rng.integers(array.size)] = extreme.astype(array.dtype)
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def alter_members(members, rng):
    """Change a file by its structure."""
    names = sorted(members.keys() - {"tsanomaly.json", "model.json"})
    if rng.random() < 0.5:
        document = json.loads(members["model.json"])
        alter_description(document, rng)
        members["model.json"] = json.dumps(document).encode()
    elif rng.random() < 0.2:
        first, second = (names[i] for i in rng.integers(len(names), size=2))
        members[first], members[second] = members[second], members[first]
    else:
        name = names[rng.integers(len(names))]
        members[name] = alter_array(members[name], rng)


def attack(path, rounds, seed):
    """Load and use files that were altered by structure, with SHA-256 that fit.

    Returns
    -------
    refused, loaded : int
        How many were refused as documented, and how many gave scores or an error, but
        none that memory is lacking.
    """
    X, content = wave(30), path.read_bytes()
    rng = np.random.default_rng(seed)
    refused = loaded = 0
    for _ in range(rounds):
        path.write_bytes(content)
        alter(path, lambda members: alter_members(members, rng))
        try:
            with np.errstate(all="ignore"):
                model = load(path)
        except ModelFileError:
            refused += 1
            continue
        except TypeError as error:
            if "not known to be safe" not in str(error):
                raise
            refused += 1
            continue
        loaded += 1
        try:
            with np.errstate(all="ignore"):
                outputs(model, X)
        except MemoryError:
            raise
        except Exception:  # such as of a parameter that scoring alone looks at
            pass
    return refused, loaded


ATTACK = """
import resource, sys, warnings
from pathlib import Path
from tests.saving.test_damage import attack, outputs, wave
from tsanomaly import load
warnings.simplefilter("ignore")
rounds, seed = map(int, sys.argv[1:3])
paths = list(map(Path, sys.argv[3:]))
for path in paths:
    outputs(load(path), wave(30))  # takes what the libraries take
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**30, size + 2**30))
for path in paths:
    print("attacked:", path.stem, *attack(path, rounds, seed))
"""


def attack_in_a_process(paths, rounds, seed):
    """In a process of its own, which a crash would end, with 1 GB of memory.

    Returns
    -------
    counts : dict of str to tuple of int
        What `attack` returns, by the stem of the path.
    """
    arguments = ["", str(rounds), str(seed), *map(str, paths)]
    code = f"import sys; sys.argv = {arguments!r}\n"
    root = str(Path(__file__).parents[2])
    counts = {}
    for line in run_python(code + ATTACK, PYTHONPATH=root).splitlines():
        if line.startswith("attacked: "):  # no line of verbose parts
            _, name, refused, loaded = line.split()
            counts[name] = int(refused), int(loaded)
    return counts


def test_attacks(series, tmp_path):
    paths = [tmp_path / f"{name}.skops" for name in KINDS]
    for name, path in zip(KINDS, paths, strict=True):
        save(MODELS[name].fit(series, np.arange(len(series)) % 9 == 0), path)
    counts = attack_in_a_process(paths, 100, seed=0)
    assert list(counts) == list(KINDS)
    for refused, loaded in counts.values():
        assert refused > 40
        assert loaded > 4


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_many_attacks(name, series, path):
    save(MODELS[name].fit(series, np.arange(len(series)) % 9 == 0), path)
    content, refused, loaded = path.read_bytes(), 0, 0
    for seed in range(1, 9):
        path.write_bytes(content)
        [counts] = attack_in_a_process([path], 300, seed).values()
        refused, loaded = map(sum, zip((refused, loaded), counts, strict=True))
    assert refused > 1200
    assert loaded > 100
