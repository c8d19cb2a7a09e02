# SPDX-License-Identifier: MIT
"""What is checked of a model file, and of the model made from it.

skops makes objects of known types, but leaves their state to the types; compiled code
takes the indices in it as they are.
"""

import io
import json
import math
from types import BuiltinFunctionType, FunctionType

import numpy as np

from tsanomaly._saving._trusted_types import known_functions
from tsanomaly._sklearn_compat import compiled_kinds

__all__ = ["check_description", "check_state", "parts_of"]

_SCHEMA = "schema.json"

# What skops wrote when this came up. Its readers of older files check less.
_OLDEST_PROTOCOL = 2

# What no further objects of a model are looked for in.
_ATOMS = (
    str,
    bytes,
    int,
    float,
    complex,
    type,
    type(None),
    np.generic,
    np.ufunc,
    FunctionType,
    BuiltinFunctionType,
)


def check_description(members):
    """Check the description that skops goes by, as far as skops does not.

    Parameters
    ----------
    members : dict of str to bytes
        The members of the archive.

    Returns
    -------
    types : set of str
        Full names of all types and functions in it.
    """
    schema = json.loads(members[_SCHEMA])
    if schema["protocol"] < _OLDEST_PROTOCOL:
        raise ValueError(f"protocol {schema['protocol']}")
    types, users, pending = set(), {}, [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        if not isinstance(node, dict):
            continue
        pending += node.values()
        loader = node.get("__loader__")
        if not isinstance(loader, str):
            continue
        name = f"{node.get('__module__')}.{node.get('__class__')}"
        types.add(name)
        # A function may be referred to; other loaders would call it.
        if name in known_functions() and loader != "FunctionNode":
            raise ValueError(f"{name} is no type")
        file = node.get("file")
        if not isinstance(file, str):
            continue
        # An array that many objects claim would be read into memory for each of them.
        if users.setdefault(file, node.get("__id__")) != node.get("__id__"):
            raise ValueError(f"{file} belongs to two objects")
        if not node.get("__id__"):
            raise ValueError(f"{file} belongs to an object without identity")
        if loader == "NdArrayNode":
            _check_array(members[file])
    return types


def _check_array(content):
    """Raise unless an array in numpy's format has the size that its header says."""
    stream = io.BytesIO(content)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[np.lib.format.read_magic(stream)]
    shape, _, dtype = read_header(stream)
    n_bytes, n_items = len(content) - stream.tell(), math.prod(shape)
    # An item without any bytes, such as an empty string, could be there any number of
    # times.
    if n_items * dtype.itemsize != n_bytes or n_items > len(content):
        raise ValueError(f"an array of shape {shape} has {n_bytes} bytes")


def check_state(model):
    """Check in a loaded model what compiled code would not, and build trees again.

    Parameters
    ----------
    model : estimator
        The model; changed in place.
    """
    from sklearn.neighbors import BallTree, KDTree
    from sklearn.tree import BaseDecisionTree

    neighbours, support_vectors, decision_tree = compiled_kinds()
    neighbour_trees = (BallTree, KDTree)
    for part in parts_of(model):
        attributes = getattr(part, "__dict__", {})
        for name, value in attributes.items():
            if isinstance(value, neighbour_trees):
                attributes[name] = _build_again(value)
        if isinstance(part, decision_tree):
            _check_tree(part)
        elif isinstance(part, BaseDecisionTree) and "tree_" in attributes:
            _check_equal("features", part.n_features_in_, part.tree_.n_features)
        elif isinstance(part, neighbours) and "_fit_X" in attributes:
            shape = (part.n_samples_fit_, part.n_features_in_)
            _check_equal("rows and features", shape, part._fit_X.shape)
            if part._tree is not None:
                _check_equal("rows and features", shape, part._tree.data.shape)
        elif isinstance(part, support_vectors) and "support_" in attributes:
            _check_svm(part)


def parts_of(model):
    """All objects that a model consists of, but numbers, strings, types, functions."""
    pending, seen = [model], {}
    while pending:
        part = pending.pop()
        if id(part) in seen or isinstance(part, _ATOMS):
            continue
        seen[id(part)] = part
        yield part
        if isinstance(part, np.ndarray):
            if part.dtype.hasobject:
                pending += np.asarray(part).ravel().tolist()
        elif isinstance(part, dict):
            pending += part.values()
        elif isinstance(part, (list, tuple, set)):
            pending += part
        else:
            pending += getattr(part, "__dict__", {}).values()


def _check_equal(what, expected, found):
    if expected != found:
        raise ValueError(f"{found} {what} instead of {expected}")


def _check_tree(tree):
    """Raise unless every path through a decision tree ends, and inside of its arrays.

    Parameters
    ----------
    tree : sklearn.tree._tree.Tree
        The tree.
    """
    # Its arrays are as long as the count says, whatever is there.
    _check_equal("nodes", tree.capacity, tree.node_count)
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    n_visited, depth, level = 0, -1, np.zeros(1, dtype=np.intp)
    while len(level):
        if level.min() < 0 or level.max() >= tree.node_count:
            raise ValueError("a decision tree has a child that does not exist")
        n_visited, depth = n_visited + len(level), depth + 1
        if n_visited > tree.node_count:
            raise ValueError("a decision tree has a path that leads back")
        level = level[left[level] != -1]  # where the compiled code stops
        tested = feature[level]
        if ((tested < 0) | (tested >= tree.n_features)).any():
            raise ValueError("a decision tree tests a feature that does not exist")
        level = np.concatenate([left[level], right[level]])
    _check_equal("nodes on paths", tree.node_count, n_visited)
    _check_equal("levels", depth, tree.max_depth)


def _build_again(tree):
    """A neighbour tree, from the data and parameters of another.

    Parameters
    ----------
    tree : KDTree or BallTree
        Of its state, no index is used.

    Returns
    -------
    tree : KDTree or BallTree
        Equal to it, if that was built by scikit-learn.
    """
    data, leaf_size, metric, sample_weight = (
        tree.__getstate__()[position] for position in (0, 4, 11, 12)
    )
    # The constructor checks other parameters of the metric against the data.
    matrix = np.asarray(metric.__getstate__()[2])
    _check_equal("columns of a matrix", len(matrix), matrix.shape[1])
    return type(tree)(
        data, leaf_size=leaf_size, metric=metric, sample_weight=sample_weight
    )


def _check_svm(machine):
    """Raise unless the arrays of a support vector machine have the shapes they should.

    Parameters
    ----------
    machine : estimator
        Of libsvm.
    """
    if machine._sparse:
        raise ValueError("a support vector machine is fitted on a sparse matrix")
    n_vectors, n_classes = len(machine.support_), len(machine._n_support)
    n_pairs = n_classes * (n_classes - 1) // 2
    if machine.kernel == "precomputed" or callable(machine.kernel):
        # Support vectors are columns of the kernel matrix.
        _check_equal("support vectors", (0, 0), machine.support_vectors_.shape)
        n_columns = machine.shape_fit_[0]
        if not ((machine.support_ >= 0) & (machine.support_ < n_columns)).all():
            raise ValueError("a support vector does not exist")
    else:
        shape = (n_vectors, machine.n_features_in_)
        _check_equal("support vectors", shape, machine.support_vectors_.shape)
    shape = (n_classes - 1, n_vectors)
    _check_equal("coefficients", shape, machine._dual_coef_.shape)
    _check_equal("intercepts", (n_pairs,), machine._intercept_.shape)
    for parameters in (machine._probA, machine._probB):
        if len(parameters):
            _check_equal("parameters of probabilities", n_pairs, len(parameters))
    if machine._impl in ("c_svc", "nu_svc"):
        if (machine._n_support < 0).any():
            raise ValueError("a class has fewer than no support vectors")
        _check_equal("support vectors", n_vectors, int(machine._n_support.sum()))
