# SPDX-License-Identifier: MIT
"""Malicious files: they run no code, and take little time and memory."""

import io
import json
import sys
import threading

import numpy as np
import pytest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from tests.helpers import run_python
from tests.saving.helpers import (
    alter,
    alter_json,
    alter_manifest,
    alter_state,
    assert_same,
    objects,
)
from tests.saving.models import MODELS, network, small_forest
from tsanomaly import LSTMAutoencoderDetector, load, save

PAIRS = {"name": "sklearn.metrics.pairwise.pairwise_distances"}
PARTIAL = {
    "call": "functools.partial.__new__",
    "arguments": [PAIRS],
    "state": {"tuple": [PAIRS, {"tuple": []}, {"dict": {}}, {"dict": {}}]},
    "items": [],
    "pairs": [],
}


def in_place_of_memory(value):
    """Put something where the pipeline has the folder of its cache."""

    def change(path):
        alter_state(path, "sklearn.pipeline.Pipeline", "params", "memory", value=value)

    return change


def header(text):
    """Give the first array another header."""

    def change_members(members):
        content = members["0.npy"]
        start = 10 + int.from_bytes(content[8:10], "little")
        head = text.encode()
        size = len(head).to_bytes(2, "little")
        members["0.npy"] = content[:8] + size + head + content[start:]

    return lambda path: alter(path, change_members)


def description(content):
    """Write another description."""
    return lambda path: alter(
        path, lambda members: members.update({"model.json": content}), 0
    )


def sparse_member(path):
    """A matrix of scipy, packed once more inside."""
    packed = io.BytesIO()
    np.savez_compressed(packed, data=np.zeros(10**6))

    def change_members(members):
        members["0.npy"] = packed.getvalue()

    alter(path, change_members)


def shared_array(path):
    """One array in many places; lists and dicts cannot be shared at all."""

    def change(document):
        (forest,) = objects(document, "sklearn.ensemble.IsolationForest")
        values = forest["state"]["values"]
        forest["state"]["nodes"]["dict"] = dict.fromkeys("abcdefgh", values)

    alter_json(path, change)


def window(path):
    save(MODELS["window"].fit(np.zeros((9, 2))), path)
    name = "tsanomaly.WindowTransformer"
    alter_state(path, name, "params", "window_size", value=10**9)
    alter_state(path, name, "state", "n_context_", value=10**9 - 1)


def factor(params):
    def change(path):
        X = np.random.default_rng(0).normal(size=(40, 2))
        save(LocalOutlierFactor(algorithm="brute", novelty=True).fit(X), path)
        name = "sklearn.neighbors.LocalOutlierFactor"
        alter_state(path, name, "params", "metric_params", value=params)

    return change


def sparse_rows(path):
    factor(None)(path)
    rows = {
        "call": "scipy.sparse._csr.csr_matrix.__new__",
        "arguments": [],
        "state": {"dict": {"_shape": {"tuple": [40, 2]}}},
        "items": [],
        "pairs": [],
    }
    name = "sklearn.neighbors.LocalOutlierFactor"
    alter_state(path, name, "state", "_fit_X", value=rows)


def density(path):
    save(MODELS["density"].fit(np.random.default_rng(0).normal(size=(40, 2))), path)
    name = "sklearn.neighbors.KernelDensity"
    alter_state(path, name, "state", "weights", value={"tuple": [1.0]})


def hidden_function(path):
    save(FunctionTransformer(np.arctan).fit(np.zeros((9, 2))), path)
    name = "sklearn.preprocessing.FunctionTransformer"
    alter_state(path, name, "params", "func", value=PARTIAL)


def old_format(path):
    alter_manifest(path, format=2)


def step(n_columns):
    name = "sklearn.preprocessing.Normalizer"
    return {"class": name, "params": {}, "state": {"n_features_in_": n_columns}}


def pipeline(*steps):
    steps = [{"tuple": [f"s{i}", step]} for i, step in enumerate(steps)]
    return {
        "class": "sklearn.pipeline.Pipeline",
        "params": {"steps": steps},
        "state": {},
    }


def nested(document):
    """scikit-learn asks each for its tags three times."""
    inner = step(2)
    for _ in range(14):
        inner = pipeline(inner)
    document["params"]["steps"][0]["tuple"][1] = inner


def wide_steps(document):
    steps = pipeline(step(10**9), step(10**9))
    document["params"]["steps"][0]["tuple"][1] = steps


def many_objects(document):
    document["params"]["memory"] = [step(2)] * 20_000


def padded_records(path):
    field = np.zeros(1_000_000, dtype=np.int8)
    stream = io.BytesIO()
    np.save(stream, field)
    node = {"records": {"a": {"array": "99.npy"}}, "offsets": [0], "size": 1024}
    in_place_of_memory(node)(path)
    alter(path, lambda members: members.update({"99.npy": stream.getvalue()}), 0)


def pattern_of_names(path):
    """A format string of the file would be filled in with a name, padded."""
    save(MODELS["remainder"].fit(np.random.default_rng(0).normal(size=(40, 2))), path)
    name = "sklearn.compose.ColumnTransformer"
    pattern = "{feature_name:>1900000000}"
    alter_state(path, name, "params", "verbose_feature_names_out", value=pattern)


CASES = {
    "function": in_place_of_memory(PAIRS),
    "partial": in_place_of_memory(PARTIAL),
    "function_of_the_format": in_place_of_memory({"function": "numpy.ones"}),
    "function_among_keys": in_place_of_memory({"pairs": [[PARTIAL, 1]]}),
    "hidden_function": hidden_function,
    "sparse_member": sparse_member,
    "sparse_rows": sparse_rows,
    "norms_of_rows": factor({"dict": {"Y_norm_squared": [0.0]}}),
    "weights_of_a_density": density,
    "shared": shared_array,
    "generator": in_place_of_memory(
        {
            "call": "numpy.random._mt19937.MT19937.__new__",
            "arguments": [40_000],
            "state": None,
            "items": [],
            "pairs": [],
        }
    ),
    "deep": description(b'{"dict":' * 400_000 + b"1" + b"}" * 400_000),
    "deep_lists": description(b"[" * 1_900_000 + b"]" * 1_900_000),
    "wide": description(b"[" + b"[]," * 1_200_000 + b"[]]"),
    "many_digits": description(b"9" * 3_000_000),
    "long_string": description(b'"' + b'\\"' * 1_900_000),
    "no_end_of_a_string": description(b'["' + b'\\"' * 1_900_000),
    "no_end_of_an_escape": description(b'["' + b'\\"' * 1_900_000 + b"\\"),
    "nested_pipelines": lambda path: alter_json(path, nested),
    "one_step_of_many_columns": lambda path: alter_json(path, wide_steps),
    "a_pattern_of_names": pattern_of_names,
    "many_packages": lambda path: alter_manifest(
        path, versions={f"package{i}": "1" for i in range(20_000)}
    ),
    "strings_of_one_length": in_place_of_memory(
        {"strings": ["a" * 200_000] + [""] * 95_000, "shape": [95_001]}
    ),
    "padded_records": padded_records,
    "many_objects": lambda path: alter_json(path, many_objects),
    "many_members": lambda path: alter(
        path, lambda members: members.update({f"{i}.bin": b"" for i in range(30_000)})
    ),
    "long_number": description(b"0." + b"3" * 3_000_000),
    "minus_signs": header("-" * 9_900),
    "many_dimensions": header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "0, " * 3000 + "), }\n"
    ),
    "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"),
    "window": window,
    "jobs": lambda path: alter_state(
        path, "sklearn.ensemble.IsolationForest", "params", "n_jobs", value=10**9
    ),
    "old_format": old_format,
}

# Of the file, not counted in what it may take: what `load` imports when first called.
MEASURE = """
import json, resource, sys, time
from pathlib import Path
from tsanomaly import load
load({intact!r})
before = set(sys.modules)
found = {{}}
for path in Path({folder!r}).glob("*.model"):
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 100 * 2**20, -1))
    start = time.process_time()
    try:
        outcome = load(path)
    except Exception as error:
        outcome = error
    seconds = time.process_time() - start
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    found[path.stem] = type(outcome).__name__, str(outcome)[:2000], seconds
print(json.dumps([found, sorted(set(sys.modules) - before)]))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What comes of every file, with 100 MB of memory more than before."""
    folder = tmp_path_factory.mktemp("files")
    X = np.random.default_rng(0).normal(size=(60, 2))
    intact = folder / "intact.skops"
    save(make_pipeline(StandardScaler(), small_forest()).fit(X), intact)
    for name, change in CASES.items():
        path = folder / f"{name}.model"
        path.write_bytes(intact.read_bytes())
        change(path)
        assert path.stat().st_size < 4_000_000
    code = MEASURE.format(intact=str(intact), folder=str(folder))
    return json.loads(run_python(code))


@pytest.mark.parametrize("name", CASES)
def test_files_that_were_made_to_break_a_promise(outcomes, name):
    kind, message, seconds = outcomes[0][name]
    assert kind in ("ModelFileError", "TypeError"), message
    assert len(message) < 1000
    if kind == "TypeError":
        assert "not known to be safe" in message
    assert seconds < 1


def test_nothing_is_imported_for_them(outcomes):
    assert outcomes[1] == []


def test_deep_in_the_stack(frame, path):
    """As in a thread of a server: an intact file is not called damaged."""
    model = network().fit(frame)
    save(model, path)

    def deep(n):
        return load(path) if n == 0 else deep(n - 1)

    found = []

    def run():
        for depth in range(sys.getrecursionlimit() - 30, 0, -60):
            try:
                found.append(deep(depth))
                return
            except RecursionError:
                pass

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert_same(model, found[0], frame)


def test_the_largest_network_is_small_and_quick(path, rng):
    """61,972 weights in less than 1 MB; benchmarks say how quick."""
    model = LSTMAutoencoderDetector(10, units=(64, 32), latent_dim=16, epochs=1)
    model.set_params(training__windows_per_epoch=32, random_state=0)
    model.fit(rng.normal(size=(60, 4)))
    assert sum(weight.size for weight in model.weights_) == 61_972
    save(model, path)
    assert path.stat().st_size < 1_000_000


def test_a_file_of_many_objects_is_not_written(path):
    model = FunctionTransformer(np.arctan, kw_args={"a": [0] * 200_000})
    with pytest.raises(TypeError, match="values are too many"):
        save(model.fit(np.zeros((3, 2))), path)
