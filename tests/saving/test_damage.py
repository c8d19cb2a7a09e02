# SPDX-License-Identifier: MIT
"""Any damage at all."""

import io
from contextlib import suppress
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
from tests.saving.models import (
    MODELS,
)
from tsanomaly import (
    load,
    save,
)


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
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert_same(model, loaded, frame)
    assert all(refusal.startswith(str(path)) for refusal in refusals)
    return len(refusals)


@pytest.mark.parametrize("name", ["imputed", "neighbours_kd_tree_minkowski"])
def test_damage(name, frame, path):
    model = MODELS[name].fit(frame)
    save(model, path)
    assert fuzz(path, model, frame, 150, seed=0) > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["imputed", "network", "svm", "features"])
def test_much_damage(name, frame, path):
    model = MODELS[name].fit(frame)
    save(model, path)
    assert fuzz(path, model, frame, 500, seed=1) > 300


def attack(path, rounds, seed):
    """Load and use files whose parts were changed, with SHA-256 that fit."""
    X, content = wave(30), path.read_bytes()
    rng = np.random.default_rng(seed)

    def change(members):
        names = sorted(members.keys() - {"tsanomaly.json"})
        name = names[rng.integers(len(names))]
        altered = bytearray(members[name])
        # Past the header of an array, if it is one that holds something
        start = 128 if len(altered) > 128 and rng.random() < 0.9 else 0
        for position in rng.integers(start, len(altered), size=rng.integers(1, 4)):
            altered[position] = rng.integers(256)
        members[name] = bytes(altered)

    n_loaded = 0
    for _ in range(rounds):
        path.write_bytes(content)
        alter(path, change)
        with suppress(ValueError, TypeError):
            loaded = load(path)
            n_loaded += 1
            # What it says is no longer what was saved, or an error.
            with suppress(Exception):
                outputs(loaded, X)
    return n_loaded


ATTACKED = [
    "forest",
    "forest_of_columns",
    "neighbours_kd_tree_minkowski",
    "neighbours_ball_tree_seuclidean",
    "neighbours_brute_minkowski",
    "svm",
    "svm_poly",
    "density",
    "threshold_quantile_each",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKED)
def test_attacks(name, series, path):
    """In a process of its own, which a crash would end."""
    save(MODELS[name].fit(series[:30]), path)
    code = f"""
import warnings
from pathlib import Path
from tests.saving.test_damage import attack
warnings.simplefilter("ignore")
print(attack(Path({str(path)!r}), 300, seed=0))
"""
    assert int(run_python(code, PYTHONPATH=str(Path(__file__).parents[2]))) > 30
