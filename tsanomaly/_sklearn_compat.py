# SPDX-License-Identifier: MIT
"""Import all private names of scikit-learn that the library uses.

scikit-learn may move or change them without notice. Only this file then has to be
adapted, because a test ensures that no other module imports private names.
"""

import numpy as np
from sklearn import get_config
from sklearn.base import _fit_context

# This also imports sklearn.callback, which draws from Python's global random generator.
# Otherwise, _fit_context of scikit-learn >= 1.9 would import it on first use, in fit.
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_params,
)
from sklearn.utils._set_output import _wrap_data_with_container
from sklearn.utils.metadata_routing import _raise_for_params
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import _check_feature_names_in, _check_method_params

__all__ = [
    "BaseSearchCV",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "_BaseComposition",
    "_check_feature_names_in",
    "_check_method_params",
    "_fit_context",
    "_raise_for_params",
    "_safe_indexing",
    "_wrap_data_with_container",
    "check_parameters",
    "empty_tree",
    "output_container",
    "path_lengths",
    "validate_params",
]


def check_parameters(estimator):
    """Raise unless `fit` of an estimator accepts its parameters."""
    if hasattr(estimator, "_parameter_constraints"):  # FeatureUnion has none
        estimator._validate_params()


def empty_tree(n_features):
    """Return the structure of a decision tree with one output, without nodes."""
    from sklearn.tree._tree import Tree

    return Tree(n_features, np.ones(1, dtype=np.intp), 1)


def path_lengths(trees):
    """Return the path lengths that a fitted forest stores for the nodes of its trees.

    Parameters
    ----------
    trees : list of fitted ExtraTreeRegressor
        Trees of an IsolationForest.

    Returns
    -------
    below, above : tuple of ndarray
        For each node of each tree, the expected length of the path below it if the tree
        were grown further, and the number of nodes on the path to it.
    """
    from sklearn.ensemble._iforest import _average_path_length

    structures = [tree.tree_ for tree in trees]
    return (
        tuple(_average_path_length(tree.n_node_samples) for tree in structures),
        tuple(tree.compute_node_depths() for tree in structures),
    )


def output_container(transformer):
    """Return the output of a transformer: 'default' (arrays), 'pandas' or 'polars'."""
    config = getattr(transformer, "_sklearn_output_config", {})
    return config.get("transform") or get_config()["transform_output"]
