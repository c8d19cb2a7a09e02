# SPDX-License-Identifier: MIT
"""Altered indices, with SHA-256 that fit."""

import numpy as np
import pytest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import SVC, OneClassSVM
from sklearn.tree import DecisionTreeRegressor

from tests.saving.helpers import alter_array, alter_json, assert_same, nodes, set_number
from tsanomaly import (
    load,
    save,
)
from tsanomaly._saving._persistence import _pack


def has_nodes(array):
    return array.dtype.names is not None and "left_child" in array.dtype.names


def set_node(field, value, at=0):
    def change(array):
        array[field][at] = value
        return array

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_node("left_child", 10**6), "child that does not exist"),
        (set_node("right_child", -7), "child that does not exist"),
        (set_node("left_child", 0), "leads back"),
        (set_node("right_child", 1), "nodes on paths"),
        (set_node("feature", 2), "feature that does not exist"),
        (set_node("feature", -2), "feature that does not exist"),
        (set_node("left_child", -1), "nodes on paths"),
    ],
)
def test_altered_trees(saved, change, message):
    alter_array(saved, has_nodes, change)
    with pytest.raises(ValueError, match=f"altered: its parts.*{message}"):
        load(saved)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("node_count", 1, "nodes"),
        ("node_count", 0, "nodes"),
        ("max_depth", 0, "levels"),
    ],
)
def test_altered_sizes_of_trees(saved, name, value, message):
    def change(schema):
        for node in nodes(schema, "TreeNode"):
            set_number(node["content"], name, value)

    alter_json(saved, change)
    with pytest.raises(ValueError, match=f"altered: its parts.* {message}"):
        load(saved)


def test_trees_of_other_features(path, frame, labels):
    save(DecisionTreeRegressor().fit(frame, labels), path)

    def change(schema):
        set_number(schema["content"], "n_features_in_", 1)

    alter_json(path, change)
    with pytest.raises(ValueError, match=r"2 features instead of 1"):
        load(path)


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize("value", [10**9, -(10**9)])
def test_altered_neighbour_trees_are_built_again(frame, path, algorithm, value):
    model = LocalOutlierFactor(algorithm=algorithm, novelty=True).fit(frame)
    save(model, path)

    def is_index(array):
        return array.dtype == np.intp and len(array) == len(frame)

    def is_node(array):
        return array.dtype.names is not None and "idx_start" in array.dtype.names

    alter_array(path, is_index, lambda array: np.full_like(array, value))
    alter_array(path, is_node, set_node("idx_end", value, slice(None)))
    assert_same(model, load(path), frame)


@pytest.mark.parametrize(
    ("metric", "parameters", "state"),
    [
        ("mahalanobis", {"VI": np.eye(2)}, (2.0, np.zeros(1), np.ones((1, 1)))),
        ("mahalanobis", {"VI": np.eye(2)}, (2.0, np.zeros(1), np.ones((2, 1)))),
        ("seuclidean", {"V": np.ones(2)}, (2.0, np.ones(1), np.ones((1, 1)))),
        ("minkowski", {"w": np.ones(2)}, (2.0, np.ones(1), np.ones((1, 1)))),
    ],
)
def test_altered_metrics(frame, path, metric, parameters, state):
    model = NearestNeighbors(
        algorithm="ball_tree", metric=metric, metric_params=parameters, p=3
    ).fit(frame)
    save(model, path)
    expected = model.kneighbors(frame)
    np.testing.assert_array_equal(load(path).kneighbors(frame), expected)
    model._tree.__getstate__()[11].__setstate__(state)
    with pytest.raises(ValueError, match="do not fit together"):
        unchecked_save_and_load(model, path)


def test_altered_neighbours(frame, path):
    save(LocalOutlierFactor(algorithm="brute", novelty=True).fit(frame), path)
    alter_array(path, lambda a: a.shape == frame.shape, lambda a: a[:, :1].copy())
    with pytest.raises(ValueError, match="rows and features instead of"):
        load(path)


@pytest.mark.parametrize("model", [OneClassSVM(), SVC(), SVC(kernel="precomputed")])
@pytest.mark.parametrize(
    "change",
    [
        ("support_", lambda a: a[:-1]),
        ("support_vectors_", lambda a: np.zeros((len(a) + 1, 2))),
        ("_dual_coef_", lambda a: a[:, :-1]),
        ("_intercept_", lambda a: a[:0]),
        ("_n_support", lambda a: np.append(a, a)),
        ("_probA", lambda a: np.zeros(5)),
    ],
    ids=lambda change: change[0],
)
def test_altered_support_vectors(model, change, frame, labels, path):
    X = frame @ frame.T if model.kernel == "precomputed" else frame
    model.fit(X, labels)
    save(model, path)
    assert load(path).predict(X).tolist() == model.predict(X).tolist()
    name, altered = change
    setattr(model, name, altered(getattr(model, name)))
    with pytest.raises(ValueError, match="do not fit together"):
        unchecked_save_and_load(model, path)


def test_altered_numbers_of_support_vectors(frame, labels, path):
    model = SVC(kernel="precomputed").fit(frame @ frame.T, labels)
    for name, values in {
        "_n_support": np.array([10**6, 1], np.int32),
        "support_": np.full_like(model.support_, 10**6),
    }.items():
        before = getattr(model, name)
        setattr(model, name, values)
        with pytest.raises(ValueError, match="do not fit together"):
            unchecked_save_and_load(model, path)
        setattr(model, name, before)


def unchecked_save_and_load(model, path):
    """Load what `save` would not have written."""
    path.write_bytes(_pack(model))
    return load(path)
