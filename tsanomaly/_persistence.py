# SPDX-License-Identifier: MIT
import io
import json
import math
import os
import platform
import re
import shutil
import warnings
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from uuid import uuid4
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils.validation import check_is_fitted

from tsanomaly._autoencoder import LSTMAutoencoderDetector
from tsanomaly._calibration import Calibration, LogCalibration
from tsanomaly._features import TemporalFeatures
from tsanomaly._hybrid import HybridDetector
from tsanomaly._reconstruction_error import ReconstructionError
from tsanomaly._score_transformer import ScoreTransformer
from tsanomaly._streaming import StreamingDetector
from tsanomaly._threshold import ReconstructionThreshold
from tsanomaly._validation import VersionWarning
from tsanomaly._version import __version__
from tsanomaly._window_transformer import WindowTransformer
from tsanomaly.metrics._scorer import NamedMetric

__all__ = ["load", "read_manifest", "replace_file", "save"]

# A file is what skops writes, and this member beside it.
_MANIFEST = "tsanomaly.json"
_SCHEMA = "schema.json"

# To be raised when older versions of the library would misread a file.
_FORMAT = 1

# What skops wrote when format 1 came up. Its readers of older files check less.
_OLDEST_PROTOCOL = 2

# How many times its size a file may unpack to. A forest, most of whose file is JSON,
# unpacks to 6 times its size; `save` does not pack what would unpack to more than this.
_MOST_UNPACKED = 20

_ZIP_MAGIC, _PICKLE_MAGIC = b"PK\x03\x04", b"\x80"

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

# Types of the library that a fitted model may hold.
_LIBRARY = (
    Calibration,
    HybridDetector,
    LSTMAutoencoderDetector,
    LogCalibration,
    NamedMetric,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    StreamingDetector,
    TemporalFeatures,
    WindowTransformer,
)

# Types that fitted estimators of scikit-learn hold. Its public estimators are known to
# skops.
_METRICS = (
    "BrayCurtis",
    "Canberra",
    "Chebyshev",
    "Dice",
    "Euclidean",
    "Hamming",
    "Haversine",
    "Jaccard",
    "Mahalanobis",
    "Manhattan",
    "Minkowski",
    "RogersTanimoto",
    "RussellRao",
    "SEuclidean",
    "SokalSneath",
)
_SPLITTERS = (
    "GroupKFold",
    "GroupShuffleSplit",
    "KFold",
    "LeaveOneGroupOut",
    "LeaveOneOut",
    "LeavePGroupsOut",
    "LeavePOut",
    "PredefinedSplit",
    "RepeatedKFold",
    "RepeatedStratifiedKFold",
    "ShuffleSplit",
    "StratifiedGroupKFold",
    "StratifiedKFold",
    "StratifiedShuffleSplit",
    "TimeSeriesSplit",
)
_SCIKIT_LEARN = (
    "functools.partial",
    "numpy.dtype",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.metrics._scorer._MultimetricScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
    *(f"sklearn.metrics._dist_metrics.{name}Distance64" for name in _METRICS),
    *(f"sklearn.model_selection._split.{name}" for name in _SPLITTERS),
)

# Trusted by skops. Their compiled code takes shapes from the state, and nothing here
# checks those.
_UNCHECKED = {
    "sklearn.ensemble._gb.GradientBoostingClassifier",
    "sklearn.ensemble._gb.GradientBoostingRegressor",
}


def save(model, path):
    """Write a fitted model to a file.

    The file holds no code, unlike a pickle: it is a ZIP archive in the format of
    skops [1]_, of a JSON description of the model and its arrays. A further member,
    ``tsanomaly.json``, says when it was written, by which versions of tsanomaly,
    scikit-learn, numpy, Python and, if the model holds a network, Keras, the names of
    the channels, and the size and SHA-256 of every other member.

    Parameters
    ----------
    model : estimator
        A fitted estimator or pipeline of this library or of scikit-learn, or a
        :class:`StreamingDetector`. It may hold others, whose types `load` then has to
        be told to trust.
    path : str or os.PathLike
        The file. The customary ending is ``.skops``. An existing file is replaced, and
        stays as it is until the new one is complete on the disk: whenever a process is
        killed, or the power fails, there is the old file or the new one, and maybe a
        remainder ``.tsanomaly-….tmp`` beside it.

    Raises
    ------
    TypeError
        If `model` is no estimator, or holds what cannot be written without code, such
        as a lambda, or cannot be read again.
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : Read the file.

    Notes
    -----
    The scores of the model that `load` returns equal those of `model` bit for bit, on
    the same versions, machine and Keras backend.

    References
    ----------
    .. [1] https://skops.readthedocs.io

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tsanomaly
    >>> from sklearn.ensemble import IsolationForest
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = IsolationForest(random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tsanomaly.save(model, f"{folder}/model.skops")
    ...     loaded = tsanomaly.load(f"{folder}/model.skops")
    >>> bool((loaded.score_samples(X) == model.score_samples(X)).all())
    True
    """
    fitted = model.detector if isinstance(model, StreamingDetector) else model
    if isinstance(model, type) or not hasattr(fitted, "fit"):
        raise TypeError(
            f"model must be a fitted estimator or pipeline, got {model!r}. Pass what "
            "fit returned."
        )
    check_is_fitted(fitted)
    # The file that a link points to is replaced, not the link.
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise FileExistsError(
            f"{path} exists and is no regular file. Pass the name of a file, for "
            "example 'model.skops'."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {target.parent} for the model. Make it first."
        )
    try:
        data = _pack(model)
        # Better to learn here than months later that a file cannot be read.
        _unpack(data, "The file", trusted=None)
    except MemoryError:
        raise
    # skops, and what it asks for their state, raise whatever they like.
    except Exception as error:
        reason = error.__cause__ or error
        raise TypeError(
            f"This {type(model).__name__} holds something that cannot be saved without "
            f"code: {reason}. Replace it, for example a lambda by a function of a "
            "module."
        ) from error
    replace_file(target, data)


def load(path, *, trusted=()):
    """Read a model that `save` wrote.

    No code of the file is run: only objects of known types are made. Known are those
    of this library and of scikit-learn that fitted pipelines hold; any other is
    refused by name, before anything is made, unless it is in `trusted`.

    Parameters
    ----------
    path : str or os.PathLike
        A file written by `save`.
    trusted : iterable of type, function or str, default=()
        Further types and functions that the file may hold, or their full names, as in
        ``"package.module.Name"``: those that you know. Types you wrote have to be
        importable.

    Returns
    -------
    model : estimator
        The fitted model.

    Raises
    ------
    ValueError
        If the file was not written by `save`, is damaged or truncated, has a newer
        format than this version reads, unpacks to more than 20 times its size, or
        holds indices that lie outside of the arrays they point into.
    TypeError
        If the file holds types that are neither known nor trusted, which are named;
        if `trusted` is no collection of types and names.
    OSError
        If the file cannot be read.

    Warns
    -----
    UserWarning
        If the file was saved by another version of tsanomaly or scikit-learn, or by
        another release series (major and minor version) of numpy, Keras or Python. The
        model may fail or give other scores.

    See Also
    --------
    save : Write the file.

    Notes
    -----
    The SHA-256 of every member guards against damage, on a disk or on the way, not
    against malice: who alters a file on purpose can write new sums. Against that, no
    code is run, no more memory used than in proportion to the file, and what the
    compiled code of scikit-learn does not check itself is checked here: in decision
    trees, and so in forests, that every child and feature exists and that no path
    leads back; in support vector machines, that arrays fit together; and KD trees and
    ball trees, as in :class:`~sklearn.neighbors.LocalOutlierFactor`, are built again
    from their data. Models of other compiled code may still crash the interpreter if
    altered on purpose, and an altered model gives altered scores: load files of
    origins you know.

    Gradient boosting, splines and sparse matrices are among what is refused unless
    trusted, as they cannot be checked in this way.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tsanomaly
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from tsanomaly import sliding_windows
    >>> model = FunctionTransformer(sliding_windows).fit(np.zeros((3, 2)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tsanomaly.save(model, f"{folder}/model.skops")
    ...     tsanomaly.load(f"{folder}/model.skops", trusted=[sliding_windows])
    FunctionTransformer(func=<function sliding_windows at ...>)
    """
    trusted = _names(trusted)
    with open(path, "rb") as file:
        start = file.read(len(_ZIP_MAGIC))
        if start != _ZIP_MAGIC:
            looks = " It looks like a pickle, which runs code when it is loaded."
            raise ValueError(
                f"{path} is not a model that tsanomaly.save wrote, or its start is "
                f"damaged.{looks if start.startswith(_PICKLE_MAGIC) else ''} Save the "
                "model with tsanomaly.save."
            )
        data = start + file.read()
    return _unpack(data, str(path), trusted)


def _names(trusted):
    """Full names of types and functions."""
    if isinstance(trusted, (str, bytes, bool)) or not np.iterable(trusted):
        raise TypeError(
            f"trusted must be a list of types or their full names, got {trusted!r}. "
            "Pass for example trusted=['package.module.Name']."
        )
    names = set()
    for item in trusted:
        if not isinstance(item, str):
            if not (hasattr(item, "__module__") and hasattr(item, "__name__")):
                raise TypeError(
                    "trusted must hold types, functions or their full names, got "
                    f"{item!r}. Pass for example trusted=['package.module.Name']."
                )
            item = f"{item.__module__}.{item.__name__}"
        names.add(item)
    return names


@cache
def _known_functions():
    """Full names of functions that scorers call."""
    import sklearn.metrics

    from tsanomaly import metrics
    from tsanomaly.metrics import _scorer

    functions = [_scorer._score_labels, _scorer._score_ranking]
    for module in (metrics, sklearn.metrics):
        functions += [getattr(module, name) for name in module.__all__]
    return frozenset(_names(f for f in functions if isinstance(f, FunctionType)))


def _pack(model):
    """The bytes of the file."""
    import skops.io

    dumped = skops.io.dumps(model)
    for compression in (ZIP_DEFLATED, ZIP_STORED):
        packed, members = io.BytesIO(), {}
        with (
            ZipFile(io.BytesIO(dumped)) as source,
            ZipFile(packed, "w", compression) as target,
        ):
            for name in source.namelist():
                content = source.read(name)
                members[name] = _digest(content)
                # ZipInfo: without the time, which is in the manifest
                target.writestr(ZipInfo(name), content, compression)
            manifest = json.dumps(_manifest(model, members), indent=2).encode()
            target.writestr(ZipInfo(_MANIFEST), manifest, compression)
            unpacked = sum(info.file_size for info in target.infolist())
        data = packed.getvalue()
        if unpacked <= _MOST_UNPACKED * len(data):
            break
    return data


def _manifest(model, members):
    names = getattr(model, "feature_names_in_", None)
    packages = ["tsanomaly", "scikit-learn", "numpy", "python"]
    if any(isinstance(part, LSTMAutoencoderDetector) for part in _parts(model)):
        packages.append("keras")
    return {
        "format": _FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {package: _installed(package) for package in packages},
        "feature_names": None if names is None else [str(name) for name in names],
        "members": members,
    }


def _installed(package):
    """Version of a package, or of Python; None if it is not installed."""
    if package == "tsanomaly":
        return __version__
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except (PackageNotFoundError, ValueError):  # ValueError: of an empty name
        return None


def replace_file(path, data):
    """Write a file, in one step as others see it."""
    temporary = path.with_name(f".tsanomaly-{uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        # Of the kind it was, which follows from the number.
        raise OSError(
            error.errno,
            f"{path} cannot be written, and is as it was before: {error.strerror}. "
            "Make room, ask for permission, or choose another folder",
        ) from error
    # The file is there; whether its folder can be made to say so lastingly depends on
    # the operating system.
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _unpack(data, source, trusted):
    """Make a model from the bytes of a file.

    Parameters
    ----------
    data : bytes
        The file.
    source : str
        What it is called in messages.
    trusted : set of str or None
        Full names of types to trust beside the known ones; None trusts all, of a file
        that was just written.

    Returns
    -------
    model : estimator
        The model.
    """
    import skops.io

    manifest, members = _read_members(data, source)
    others = _warn_of_other_versions(manifest["versions"], source)
    with _damage(source, "its description of the model is not sound"):
        types = _check_schema(members)
        unknown = set(skops.io.get_untrusted_types(data=data)) | (types & _UNCHECKED)
    known = {*_names(_LIBRARY), *_SCIKIT_LEARN, *_known_functions()}
    unknown -= known
    if trusted is not None and unknown - trusted:
        names = sorted(unknown - trusted)
        raise TypeError(
            f"{source} holds types that are not known to be safe: {', '.join(names)}. "
            f"If you know them and where the file comes from, pass trusted={names!r}."
        )
    del members
    with _blame(others, source):
        model = skops.io.loads(data, trusted=sorted(known | unknown))
        _check_state(model)
    return model


@contextmanager
def _damage(source, what):
    """Report any failure as damage of the file."""
    try:
        yield
    except MemoryError:
        raise
    # Damaged files make readers fail in a dozen ways. What is raised on purpose inside
    # is among it.
    except Exception as error:
        reason = str(error) or repr(error)
        raise ValueError(
            f"{source} is damaged or was altered: {what} ({reason}). Use another copy, "
            "or save the model again."
        ) from error


def _warn_of_other_versions(saved, source):
    """Warn, once for the whole file, if versions differ.

    Parameters
    ----------
    saved : dict of str to str
        Versions when the model was saved, by package.
    source : str
        What the file is called in messages.

    Returns
    -------
    others : tuple of str, or None
        The versions then and now, of what differs, if anything does.
    """
    found = {package: _installed(package) for package in saved}
    others = [
        package
        for package in saved
        if _significant(package, saved[package])
        != _significant(package, found[package])
    ]
    if not others:
        return None
    then, now = (
        ", ".join(f"{package} {versions[package]}" for package in others)
        for versions in (saved, found)
    )
    warnings.warn(
        f"{source} was saved by {then}, and this is {now}: the model may fail or give "
        "other scores. Fit it again to be sure.",
        VersionWarning,
        stacklevel=4,
    )
    return then, now


def _significant(package, version):
    """The part of a version that the state of a model may depend on."""
    if version is None or package in ("tsanomaly", "scikit-learn"):
        return version
    return version.split(".")[:2]


@contextmanager
def _blame(others, source):
    """Report any failure to make the model, and what is to blame for it.

    Parameters
    ----------
    others : tuple of str, or None
        As from `_warn_of_other_versions`.
    source : str
        What the file is called in messages.
    """
    if others is None:
        with _damage(source, "its parts do not fit together"):
            yield
        return
    then, now = others
    with warnings.catch_warnings():
        # Every single estimator would repeat what was said of the file.
        warnings.simplefilter("ignore", VersionWarning)
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(
                f"{source} cannot be loaded by {now} ({str(error) or repr(error)}). "
                f"Load it with {then}, or fit the model again."
            ) from error


def read_manifest(path):
    """What a model file says of itself: when it was written, and by which versions.

    Parameters
    ----------
    path : str or os.PathLike
        A file written by `save`.

    Returns
    -------
    manifest : dict
        With the keys ``created``, ``versions`` and ``feature_names``, among others.
    """
    return _read_members(Path(path).read_bytes(), str(path))[0]


def _read_members(data, source):
    """The manifest, and the content of the other members by name, all of it checked."""
    with _damage(source, "it is not a whole ZIP archive"):
        archive = ZipFile(io.BytesIO(data))
    with archive:
        _check_directory(archive.infolist(), len(data), source)
        if _MANIFEST not in archive.namelist():
            raise ValueError(
                f"{source} is not a model that tsanomaly.save wrote: it is a ZIP "
                f"archive without {_MANIFEST}. Save the model with tsanomaly.save."
            )
        with _damage(source, f"{_MANIFEST} cannot be read"):
            manifest = json.loads(archive.read(_MANIFEST))
            _check_manifest(manifest)
        if manifest["format"] > _FORMAT:
            raise ValueError(
                f"{source} has format {manifest['format']}, and this version of "
                f"tsanomaly, {__version__}, reads formats up to {_FORMAT}. Upgrade: "
                "pip install --upgrade tsanomaly."
            )
        with _damage(source, "it does not hold what was saved"):
            names = set(archive.namelist()) - {_MANIFEST}
            if names != set(manifest["members"]):
                name = min(names ^ set(manifest["members"]))
                raise ValueError(f"{name} is missing, or not listed")
            members = {}
            for name in names:
                content = members[name] = archive.read(name)
                if manifest["members"][name] != _digest(content):
                    raise ValueError(f"{name} has another size or SHA-256")
    return manifest, members


def _digest(content):
    return {"size": len(content), "sha256": sha256(content).hexdigest()}


def _check_directory(entries, size, source):
    """Raise unless an archive can be unpacked safely.

    Parameters
    ----------
    entries : list of ZipInfo
        Its directory.
    size : int
        Bytes of the archive.
    source : str
        What it is called in messages.
    """
    # No more is unpacked of a member than the directory says.
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > _MOST_UNPACKED * size:
        raise ValueError(
            f"{source} would unpack to {unpacked:,} bytes, more than {_MOST_UNPACKED} "
            f"times its size of {size:,}: it is damaged, or made to fill the memory. "
            "Use another copy, or save the model again."
        )
    with _damage(source, "its directory is not one that tsanomaly.save writes"):
        seen = set()
        for entry in entries:
            name = entry.orig_filename
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
                raise ValueError(f"{name!r} is no name of a member")
            if name in seen:
                raise ValueError(f"{name} is there twice")
            seen.add(name)
            # Other methods of compression can unpack more than the directory says.
            if entry.compress_type not in (ZIP_DEFLATED, ZIP_STORED):
                raise ValueError(f"{name} is compressed in another way")


def _check_manifest(manifest):
    number = manifest["format"]
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"format {number!r}")
    if number == _FORMAT and not (
        isinstance(manifest["members"], dict)
        and isinstance(manifest["versions"], dict)
        and all(isinstance(v, str | None) for v in manifest["versions"].values())
    ):
        raise ValueError("members or versions are not as they should be")


def _check_schema(members):
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
        if name in _known_functions() and loader != "FunctionNode":
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


def _parts(model):
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


def _check_state(model):
    """Check in a loaded model what compiled code would not, and build trees again.

    Parameters
    ----------
    model : estimator
        The model; changed in place.
    """
    from sklearn.neighbors import BallTree, KDTree
    from sklearn.neighbors._base import NeighborsBase
    from sklearn.svm._base import BaseLibSVM
    from sklearn.tree import BaseDecisionTree
    from sklearn.tree._tree import Tree

    neighbour_trees = (BallTree, KDTree)
    for part in _parts(model):
        attributes = getattr(part, "__dict__", {})
        for name, value in attributes.items():
            if isinstance(value, neighbour_trees):
                attributes[name] = _build_again(value)
        if isinstance(part, Tree):
            _check_tree(part)
        elif isinstance(part, BaseDecisionTree) and "tree_" in attributes:
            _check_equal("features", part.n_features_in_, part.tree_.n_features)
        elif isinstance(part, NeighborsBase) and "_fit_X" in attributes:
            shape = (part.n_samples_fit_, part.n_features_in_)
            _check_equal("rows and features", shape, part._fit_X.shape)
            if part._tree is not None:
                _check_equal("rows and features", shape, part._tree.data.shape)
        elif isinstance(part, BaseLibSVM) and "support_" in attributes:
            _check_svm(part)


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
