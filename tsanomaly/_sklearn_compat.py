# SPDX-License-Identifier: MIT
"""Private names of scikit-learn, all of them in one place.

scikit-learn moves and changes them without notice. When a new version does, this is the
file to look at; a test sees to it that no other module imports one.
"""

import numpy as np
from sklearn import get_config
from sklearn.base import _fit_context

# Brings sklearn.callback along, whose import draws from Python's global random
# generator: from scikit-learn 1.9 on _fit_context imports it when first used, in fit.
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
    """Raise unless the parameters of an estimator are ones that its `fit` takes."""
    if hasattr(estimator, "_parameter_constraints"):  # FeatureUnion says nothing
        estimator._validate_params()


def empty_tree(n_features):
    """The structure of a decision tree of one output, without nodes."""
    from sklearn.tree._tree import Tree

    return Tree(n_features, np.ones(1, dtype=np.intp), 1)


def path_lengths(trees):
    """What a fitted forest knows of the nodes of its trees.

    Parameters
    ----------
    trees : list of fitted ExtraTreeRegressor
        Trees of an IsolationForest.

    Returns
    -------
    below, above : tuple of ndarray
        For each node of each tree, how much longer a path would be in a tree that goes
        on, and how many nodes are on the path to it.
    """
    from sklearn.ensemble._iforest import _average_path_length

    structures = [tree.tree_ for tree in trees]
    return (
        tuple(_average_path_length(tree.n_node_samples) for tree in structures),
        tuple(tree.compute_node_depths() for tree in structures),
    )


def output_container(transformer):
    """What a transformer returns: 'default' for arrays, 'pandas' or 'polars'."""
    config = getattr(transformer, "_sklearn_output_config", {})
    return config.get("transform") or get_config()["transform_output"]
