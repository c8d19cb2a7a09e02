# SPDX-License-Identifier: MIT
"""Estimators whose compiled code does not validate its input.

A forest is saved as the arrays of its trees, which are checked node by node. For
neighbours and densities, the file contains the training rows, from which scikit-learn
rebuilds the search trees.
"""

import numpy as np

from tsanomaly._saving._specs import (
    ANYTHING,
    NOTHING,
    Array,
    Instance,
    Items,
    Number,
    State,
)
from tsanomaly._sklearn_compat import empty_tree, path_lengths

__all__ = ["COMPILED"]

# Maximum depth of a tree of an isolation forest: the logarithm of its number of rows.
_MOST_LEVELS = 64

# Index of a missing child.
_LEAF = -1

# Arrays of a forest with one number per node of each tree. They are computed from the
# trees.
_BY_TREE = ("_average_path_length_per_tree", "_decision_path_lengths")


class _Forest(State):
    """An isolation forest. Each field of its trees is saved as one array."""

    def __init__(self):
        super().__init__(
            {
                "_n_samples": Number("i", 1),
                "max_samples_": Number("i", 1),
                "_max_samples": Number("i", 1),
                "_max_features": Number("i", 1, size="m"),
                "_sample_weight": (NOTHING | Array("f", "*")).maybe(),
                "_seeds": Array("i", "n_trees"),
                "offset_": Number("f"),
                "estimator_": Instance("ExtraTreeRegressor"),
                "estimators_features_": Array("i", "n_trees", "m", low=0, high="d"),
                "seeds_of_trees": Array("i", "n_trees"),
                "max_features_of_trees": Number("i", 1),
                "node_counts": Array("i", "n_trees", low=1),
                "nodes": Items(Array("fiu", "n_nodes", finite=False), kinds=(dict,)),
                "values": Array("f", "n_nodes"),
            },
            left_out=_BY_TREE,
        )

    def take_apart(self, forest):
        """Return the attributes to save, with arrays in place of the trees."""
        state = super().take_apart(forest)
        trees = state.pop("estimators_", None)
        if trees is None:  # not fitted
            return state
        structures = [tree.tree_ for tree in trees]
        if any(
            tree.n_outputs != 1 or tree.max_n_classes != 1 or tree.n_features != m
            for tree, m in zip(
                structures, map(len, state["estimators_features_"]), strict=True
            )
        ):
            return None
        nodes = np.concatenate([tree.__getstate__()["nodes"] for tree in structures])
        state |= {
            "estimators_features_": np.array(state["estimators_features_"]),
            "seeds_of_trees": np.array([tree.random_state for tree in trees]),
            "max_features_of_trees": int(trees[0].max_features_),
            "node_counts": np.array([tree.node_count for tree in structures]),
            "nodes": {name: nodes[name].copy() for name in nodes.dtype.names},
            "values": np.concatenate([tree.value[:, 0, 0] for tree in structures]),
        }
        return state

    def put_together(self, forest, state):
        """Set the attributes of the forest from saved ones."""
        state = dict(state)
        m, counts = state["_max_features"], state.pop("node_counts")
        template = state["estimator_"]
        params = template.get_params(deep=False)
        nodes, values = state.pop("nodes"), state.pop("values")
        depths = _depths(nodes, counts, m)
        records = np.zeros(
            len(values), dtype=empty_tree(m).__getstate__()["nodes"].dtype
        )
        if set(records.dtype.names) != set(nodes):
            raise ValueError(f"nodes of trees have {', '.join(sorted(nodes))}")
        for name, numbers in nodes.items():
            if records.dtype[name] != numbers.dtype:
                raise ValueError(f"{name} of nodes is of {numbers.dtype}")
            records[name] = numbers
        ends = np.cumsum(counts)[:-1]
        features = state.pop("max_features_of_trees")
        seeds = state.pop("seeds_of_trees").tolist()
        trees = []
        for seed, own_records, own_values, own_depths in zip(
            seeds,
            *(np.split(array, ends) for array in (records, values, depths)),
            strict=True,
        ):
            tree = type(template)(**{**params, "random_state": seed})
            tree.n_features_in_, tree.n_outputs_, tree.max_features_ = m, 1, features
            tree.tree_ = empty_tree(m)
            tree.tree_.__setstate__(
                {
                    "max_depth": int(own_depths.max()),
                    "node_count": len(own_records),
                    "nodes": own_records,
                    "values": np.ascontiguousarray(own_values[:, None, None]),
                }
            )
            trees.append(tree)
        state["estimators_features_"] = list(state["estimators_features_"])
        state |= zip(_BY_TREE, path_lengths(trees), strict=True)
        vars(forest).update(state, estimators_=trees)


def _depths(nodes, counts, n_features):
    """Return the depth of every node, or raise unless all nodes form proper trees.

    Parameters
    ----------
    nodes : dict of str to ndarray of shape (n_nodes,)
        Fields of the nodes of all trees, one tree after the other.
    counts : ndarray of shape (n_trees,)
        Number of nodes of each tree.
    n_features : int
        Number of features that a node may test.

    Returns
    -------
    depths : ndarray of shape (n_nodes,)
        Depth of the nodes, 0 for roots.

    Raises
    ------
    ValueError
        If a child or a feature does not exist, a node has two parents or none, or a
        tree has more than 64 levels.
    """
    fields = ("left_child", "right_child", "feature")
    if not all(name in nodes and nodes[name].dtype.kind == "i" for name in fields):
        raise ValueError("nodes of trees have no children or features")
    left, right, feature = (nodes[name] for name in fields)
    n_nodes, ends = len(left), np.cumsum(counts)
    if ends[-1] != n_nodes:
        raise ValueError(f"trees have {ends[-1]} nodes, not {n_nodes}")
    inner = np.flatnonzero(left != _LEAF)
    if not np.array_equal(inner, np.flatnonzero(right != _LEAF)):
        raise ValueError("a tree has a node with one child")
    if (
        n_features <= feature[inner].max(initial=-1)
        or feature[inner].min(initial=0) < 0
    ):
        raise ValueError("a tree tests a feature that does not exist")
    starts = ends - counts
    first, count = (np.repeat(of_tree, counts)[inner] for of_tree in (starts, counts))
    children = np.stack([left[inner], right[inner]])  # (2, n_inner)
    # In scikit-learn, children come after their parents.
    if ((children <= inner - first) | (children >= count)).any():
        raise ValueError("a tree has a child that does not exist, or that leads back")
    children += first
    parents = np.bincount(children.ravel(), minlength=n_nodes)
    parents[starts] += 1
    if (parents != 1).any():
        raise ValueError("a tree has a node with no parent, or with two")
    where = np.full(n_nodes, -1)
    where[inner] = np.arange(len(inner))
    depths, level = np.zeros(n_nodes, dtype=np.intp), starts
    for depth in range(_MOST_LEVELS):
        depths[level] = depth
        level = where[level]
        level = children[:, level[level >= 0]].ravel()
        if not len(level):
            return depths
    raise ValueError(f"a tree has more than {_MOST_LEVELS} levels")


# Parameters of the search for neighbours.
_SEARCH = ("n_neighbors", "algorithm", "leaf_size", "metric", "p", "metric_params")

# Attributes that NearestNeighbors sets in `fit`.
_FOUND = (
    "_fit_X",
    "_fit_method",
    "_tree",
    "effective_metric_",
    "effective_metric_params_",
    "n_samples_fit_",
)

# Array parameters of metrics, with their shapes.
_METRIC_PARAMS = {"V": ("d",), "w": ("d",), "VI": ("d", "d")}


def _check_metric(estimator, n_features):
    """Raise unless the metric is given by name and its parameters have valid shapes.

    Other parameters, such as norms of the rows, would reach compiled code unchecked.
    """
    metric, params = estimator.metric, estimator.metric_params
    if type(metric) is not str or metric == "precomputed":
        raise ValueError(f"metric={metric!r} is not one that a file may hold")
    for name, value in (params or {}).items():
        if name == "p":
            Number("f", 0).check(value, {})
        elif name not in _METRIC_PARAMS:
            raise ValueError(f"{name!r} is not a parameter of a known metric")
        else:
            Array("f", *_METRIC_PARAMS[name]).check(value, {"d": n_features})


def _is_known_metric(estimator):
    try:
        _check_metric(estimator, getattr(estimator, "n_features_in_", None))
    except ValueError:
        return False
    return True


class _Neighbors(State):
    """A search for neighbours. Its tree is rebuilt from the training rows."""

    def take_apart(self, estimator):
        """Return the attributes to save, with training rows in place of the tree."""
        if not _is_known_metric(estimator):
            return None
        state = super().take_apart(estimator)
        if "_fit_X" not in state:  # not fitted
            return state
        if type(state["_fit_X"]) is not np.ndarray:  # sparse
            return None
        return {
            name: value
            for name, value in state.items()
            if name == "_fit_X" or name not in _FOUND
        }

    def put_together(self, estimator, state):
        """Set the attributes of the estimator, and rebuild its tree."""
        from sklearn.neighbors import NearestNeighbors

        rows = state["_fit_X"]
        _check_metric(estimator, rows.shape[1])
        search = NearestNeighbors(
            **{name: getattr(estimator, name) for name in _SEARCH}
        ).fit(rows)
        vars(estimator).update(state)
        vars(estimator).update({name: getattr(search, name) for name in _FOUND})


class _Density(State):
    """A kernel density. It is fitted again on its training rows."""

    def take_apart(self, estimator):
        """Return the attributes to save, with training rows in place of the tree."""
        if not _is_known_metric(estimator):
            return None
        state = super().take_apart(estimator)
        tree = state.pop("tree_", None)
        if tree is None:  # not fitted
            return state
        weight = tree.sample_weight
        return state | {
            "rows": np.array(tree.data),
            "weights": None if weight is None else np.array(weight),
        }

    def put_together(self, estimator, state):
        """Fit the estimator again, and set its attributes."""
        from sklearn.base import clone

        state = dict(state)
        rows, weights = state.pop("rows"), state.pop("weights")
        _check_metric(estimator, rows.shape[1])
        fitted = clone(estimator).fit(rows, sample_weight=weights)
        vars(estimator).update(vars(fitted))
        vars(estimator).update(state)


def _check_svm(machine):
    """Raise unless the kernel is one of libsvm."""
    if machine.kernel not in ("linear", "poly", "rbf", "sigmoid") or machine._sparse:
        raise ValueError(f"kernel={machine.kernel!r} is not one that a file may hold")


_ROWS = Array("fiub", "n", "d", finite=False)  # `fit` checks for NaN

_SVM = State(
    {
        "_sparse": ANYTHING,
        "_effective_probability": ANYTHING.maybe(),
        "_gamma": Number("f", 0),
        "support_": Array("i", "v", dtype="int32", low=0),
        "support_vectors_": Array("f", "v", "d", dtype="float64"),
        "_n_support": Array("i", 2, dtype="int32", low=0),
        "dual_coef_": Array("f", 1, "v", dtype="float64"),
        "_dual_coef_": Array("f", 1, "v", dtype="float64"),
        "intercept_": Array("f", 1, dtype="float64"),
        "_intercept_": Array("f", 1, dtype="float64"),
        "_probA": Array("f", 0, dtype="float64"),
        "_probB": Array("f", 0, dtype="float64"),
        "fit_status_": Number("i"),
        "_num_iter": Array("i", "*"),
        "n_iter_": Number("i"),
        "shape_fit_": Items(Number("i", 1), size=2, kinds=(tuple,)),
        "offset_": Array("f", 1),
        "class_weight_": Array("f", "*").maybe(),
    },
    check=_check_svm,
)

COMPILED = {
    "ensemble.IsolationForest": _Forest(),
    # Unfitted template of the trees of a forest.
    "tree.ExtraTreeRegressor": State({}),
    "neighbors.NearestNeighbors": _Neighbors({"_fit_X": _ROWS}),
    "neighbors.LocalOutlierFactor": _Neighbors(
        {
            "_fit_X": _ROWS,
            "n_neighbors_": Number("i", 1, size="k"),
            "_distances_fit_X_": Array("f", "n", "k"),
            "_lrd": Array("f", "n", low=0),
            "negative_outlier_factor_": Array("f", "n"),
            "offset_": Number("f"),
        }
    ),
    "neighbors.KernelDensity": _Density(
        {
            "bandwidth_": Number("f", 1e-300),
            "rows": _ROWS,
            "weights": NOTHING | Array("f", "n", low=0),
        }
    ),
    "svm.OneClassSVM": _SVM,
}
