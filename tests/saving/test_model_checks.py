# SPDX-License-Identifier: MIT
"""Inconsistent numbers, with matching SHA-256."""

import re

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from tests.helpers import tiny_detector
from tests.saving.helpers import alter_json, alter_state, assert_same, objects
from tests.saving.models import network, small_forest
from tsanomaly import (
    LinearAutoencoderDetector,
    ModelFileError,
    ReconstructionThreshold,
    WindowTransformer,
    load,
    save,
)
from tsanomaly._saving._known_library import _weight_shapes

FOREST = "sklearn.ensemble.IsolationForest"
NETWORK = "tsanomaly.LSTMAutoencoderDetector"
LINEAR = "tsanomaly.LinearAutoencoderDetector"
FACTOR = "sklearn.neighbors.LocalOutlierFactor"


def put(value, at=0):
    """Set one item of an array."""

    def change(array):
        array.flat[at] = value
        return array

    return change


def refused(path, message=""):
    """Expect that the parts of a file do not fit together, for a reason."""
    start = f"^{re.escape(str(path))} is damaged or was altered: its parts"
    return pytest.raises(ModelFileError, match=f"{start}.*{message}")


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("left_child", put(10**6), "child that does not exist"),
        ("right_child", put(-7), "child that does not exist"),
        ("left_child", put(0), "leads back"),
        ("right_child", put(1), "two"),
        ("feature", put(2), "feature that does not exist"),
        ("feature", put(-2), "feature that does not exist"),
        ("left_child", put(-1), "one child"),
        ("left_child", lambda a: a[:-1], "size"),
        ("threshold", lambda a: a.astype("f4"), "float32"),
        ("feature", lambda a: a.astype("f8"), "children or features"),
    ],
)
def test_altered_trees(saved, field, change, message):
    alter_state(saved, FOREST, "state", "nodes", field, change=change)
    with refused(saved, message):
        load(saved)


def test_a_tree_with_too_many_levels(saved):
    """A chain of nodes, each the left child of the one before."""
    n = 201

    def replace(name, values):
        alter_state(saved, FOREST, "state", *name, change=lambda array: values)

    inner = np.arange(n) % 2 == 0
    inner[-1] = False
    first = np.where(inner, np.arange(n) + 1, -1)
    fields = {
        "left_child": np.where(inner, first + 1, -1),
        "right_child": first,
        "feature": np.where(inner, 0, -2),
        "threshold": np.zeros(n),
        "impurity": np.zeros(n),
        "n_node_samples": np.ones(n, np.int64),
        "weighted_n_node_samples": np.ones(n),
        "missing_go_to_left": np.zeros(n, np.uint8),
    }
    for name, values in fields.items():
        replace(("nodes", name), values)
    replace(("values",), np.ones(n))
    replace(("node_counts",), np.array([n]))
    replace(("_seeds",), np.array([0]))
    replace(("seeds_of_trees",), np.array([0]))
    replace(("estimators_features_",), np.array([[0, 1]]))
    with refused(saved, "64 levels"):
        load(saved)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_features_in_", 1), ("_max_features", 3), ("offset_", {"float": "nan"})],
)
def test_altered_numbers_of_forests(saved, name, value):
    alter_state(saved, FOREST, "state", name, value=value)
    with refused(saved):
        load(saved)


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree", "brute"])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("_fit_X", lambda a: a[:, :1].copy()),
        ("_fit_X", lambda a: a[:-1].copy()),
        ("_lrd", lambda a: a[:-1]),
        ("_distances_fit_X_", lambda a: a[:, :-1].copy()),
        ("_distances_fit_X_", lambda a: a.astype(np.int64)),
    ],
)
def test_altered_neighbours(frame, path, algorithm, name, change):
    save(LocalOutlierFactor(algorithm=algorithm, novelty=True).fit(frame), path)
    alter_state(path, FACTOR, "state", name, change=change)
    with refused(path, name):
        load(path)


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
def test_no_search_tree_is_in_the_file(frame, path, algorithm):
    """It is built again by scikit-learn."""
    model = LocalOutlierFactor(algorithm=algorithm, novelty=True).fit(frame)
    save(model, path)
    loaded = load(path)
    assert type(loaded._tree) is type(model._tree)
    for array, expected in zip(
        loaded._tree.get_arrays(), model._tree.get_arrays(), strict=True
    ):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    "params",
    [
        {"dict": {"Y_norm_squared": [0.0]}},
        {"dict": {"V": [1.0, 2.0]}},
        {"dict": {"p": -1}},
        [],
    ],
)
def test_altered_metrics(frame, path, params):
    save(LocalOutlierFactor(algorithm="brute", novelty=True).fit(frame), path)
    alter_state(path, FACTOR, "params", "metric_params", value=params)
    with refused(path):
        load(path)


def test_altered_densities(frame, path):
    name = "sklearn.neighbors.KernelDensity"
    weights = np.linspace(1, 2, len(frame))
    model = KernelDensity().fit(frame, sample_weight=weights)
    save(model, path)
    assert_same(model, load(path), frame)
    alter_state(path, name, "state", "weights", change=lambda a: a[:1])
    with refused(path, "weights"):
        load(path)


@pytest.mark.parametrize("kernel", ["rbf", "poly", "linear"])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("support_", lambda a: a[:-1]),
        ("support_vectors_", lambda a: np.zeros((len(a) + 1, 2))),
        ("_dual_coef_", lambda a: a[:, :-1].copy()),
        ("_intercept_", lambda a: a[:0]),
        ("_n_support", lambda a: np.append(a, a)),
        ("_probA", lambda a: np.zeros(5)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_altered_support_vectors(frame, path, kernel, name, change):
    model = OneClassSVM(kernel=kernel).fit(frame)
    save(model, path)
    assert_same(model, load(path), frame)
    alter_state(path, "sklearn.svm.OneClassSVM", "state", name, change=change)
    with refused(path, name):
        load(path)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("params", "units"), {"tuple": [4]}, "units"),
        (("params", "latent_dim"), 2, "latent_dim"),
        (("params", "window_size"), 10**9, "window_size"),
        (("params", "window_size"), 1, "window_size"),
        (("params", "row_error"), "last", "row_error"),
        (("params", "row_error"), "worst", "row_error"),
        (("state", "n_context_"), 7, "n_context_"),
        (("state", "n_lookahead_"), 7, "n_lookahead_"),
        (("state", "offset_"), {"float": "inf"}, "offset_"),
        (("state", "n_features_in_"), 3, "feature_names_in_"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_altered_detectors(frame, path, place, value, message):
    save(network().fit(frame), path)
    alter_state(path, NETWORK, *place, value=value)
    with refused(path, message):
        load(path)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("params", "window_size"), {"tuple": [3, 1]}, "window_size"),
        (("params", "window_size"), {"tuple": [4, 9]}, "window_size"),
        (("params", "window_size"), 3, "window_size"),
        (("params", "row_error"), "last", "row_error"),
        (("params", "stride"), 2, "stride"),
        (("state", "n_context_"), 7, "n_context_"),
        (("state", "n_start_up_"), 1, "n_start_up_"),
        (("state", "n_lookahead_"), 2, "n_lookahead_"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_altered_linear_autoencoders(frame, path, place, value, message):
    model = LinearAutoencoderDetector((3, 9), random_state=0).fit(frame)
    save(model, path)
    assert_same(model, load(path), frame)
    alter_state(path, LINEAR, *place, value=value)
    with refused(path, message):
        load(path)


@pytest.mark.parametrize("part", ["mean", "components", "gains"])
@pytest.mark.parametrize("prefix", ["linear", "baseline"])
def test_linear_autoencoders_without_a_part(frame, path, prefix, part):
    save(LinearAutoencoderDetector((3, 9), random_state=0).fit(frame), path)
    name = f"{prefix}_{part}_"

    def leave_out(document):
        for found in objects(document, LINEAR):
            del found["state"][name]

    alter_json(path, leave_out)
    with refused(path, name):
        load(path)


def test_more_threads_than_there_are(saved):
    alter_state(saved, FOREST, "params", "n_jobs", value=10**9)
    with refused(saved, "1000000000, out of range"):
        load(saved)


def test_a_window_that_no_memory_holds(frame, path):
    """All numbers say so, and nothing else in the file depends on it."""
    model = tiny_detector(window_size=3, linear_variance=0, row_error="last").fit(frame)
    save(model, path)
    size = 10**9
    alter_state(path, NETWORK, "params", "window_size", value=size)
    alter_state(path, NETWORK, "state", "n_context_", value=size - 1)
    alter_state(path, NETWORK, "state", "_fitted_with", "window_size", value=size)
    alter_state(path, "tsanomaly.LastRow", "state", "window_size", value=size)
    with refused(path, "1,000,000,000 rows of 2 channels"):
        load(path)
    save(WindowTransformer(3).fit(frame), path)
    alter_state(
        path, "tsanomaly.WindowTransformer", "params", "window_size", value=size
    )
    alter_state(
        path, "tsanomaly.WindowTransformer", "state", "n_context_", value=size - 1
    )
    with refused(path, "1,000,000,000 rows of 2 channels"):
        load(path)


def test_weights_that_are_no_numbers(frame, path):
    model = network().fit(frame)
    save(model, path)
    model.weights_[0] = np.full_like(model.weights_[0], np.nan)
    with pytest.raises(TypeError, match="weights_ contains NaN"):
        save(model, path)
    assert np.isfinite(load(path).weights_[0]).all()


def test_weights_of_the_published_network():
    """Their shapes follow from the parameters: 61,972 numbers."""
    shapes = _weight_shapes(4, (64, 32), 16)
    assert sum(int(np.prod(shape)) for shape in shapes) == 61_972


@pytest.mark.parametrize("latent_dim", [None, 2])
@pytest.mark.parametrize("units", [(3,), (4, 3)])
def test_any_architecture_is_saved(frame, path, units, latent_dim):
    model = tiny_detector(window_size=3, units=units, latent_dim=latent_dim).fit(frame)
    save(model, path)
    assert_same(model, load(path), frame)


def test_steps_that_do_not_fit(frame, path):
    model = make_pipeline(
        StandardScaler(), WindowTransformer(3), PCA(2), small_forest()
    )
    save(model.fit(frame), path)
    for name, value in [("PCA", 5), ("IsolationForest", 6)]:
        full = f"sklearn.{'ensemble' if value == 6 else 'decomposition'}.{name}"
        content = path.read_bytes()
        alter_state(path, full, "state", "n_features_in_", value=value)
        with refused(path):
            load(path)
        path.write_bytes(content)
    alter_state(path, "tsanomaly.WindowTransformer", "params", "window_size", value=4)
    alter_state(path, "tsanomaly.WindowTransformer", "state", "n_context_", value=3)
    with refused(path, "PCA of 6 channels gets 8"):
        load(path)


@pytest.mark.parametrize("name", ["StandardScaler", "IsolationForest"])
def test_steps_that_are_not_fitted(saved, name):
    package = "preprocessing" if name == "StandardScaler" else "ensemble"

    def forget(node):
        for step in node["params"]["steps"]:
            part = step["tuple"][1]
            if part["class"] == f"sklearn.{package}.{name}":
                part["state"] = {}

    alter_json(saved, forget)
    with refused(saved):
        load(saved)


def test_parameters_that_fit_would_refuse(saved):
    alter_state(saved, FOREST, "params", "n_estimators", value=-1)
    with refused(saved, re.escape("'n_estimators'")):
        load(saved)


def test_a_threshold_of_other_channels(frame, path):
    save(ReconstructionThreshold(channels="each").fit(np.abs(frame)), path)
    name = "tsanomaly.ReconstructionThreshold"
    alter_state(path, name, "state", "threshold_", change=lambda a: a[:1])
    with refused(path, "threshold_"):
        load(path)


def test_another_attribute_asks_for_trust(frame, path):
    model = IsolationForest(n_estimators=2).fit(frame)
    model.note_ = "mine"
    save(model, path)
    with pytest.raises(TypeError, match="IsolationForest"):
        load(path)
    trusted = ["sklearn.ensemble._iforest.IsolationForest"]
    trusted += ["sklearn.tree._classes.ExtraTreeRegressor", "sklearn.tree._tree.Tree"]
    assert load(path, trusted=trusted).note_ == "mine"


def test_the_network_needs_its_class(path, frame):
    """Another class of the table in its place is refused."""
    save(network().fit(frame), path)

    def rename(node):
        node["class"] = FOREST

    alter_json(path, rename)
    with refused(path):
        load(path)
