# SPDX-License-Identifier: MIT
import io
import platform
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from os.path import abspath

from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils.validation import check_is_fitted

from tsanomaly._fleet import FleetDetector
from tsanomaly._saving._archive import (
    ModelFileError,
    damage,
    pack_members,
    read_members,
    reason_of,
)
from tsanomaly._saving._atomic_write import replace_file, resolve_target
from tsanomaly._saving._json import read_json, write_json
from tsanomaly._saving._nodes import Reader, Writer
from tsanomaly._saving._parts import Parts, SavedModels
from tsanomaly._saving._specs import check_fitted
from tsanomaly._saving._trust import find, full_names, names_in
from tsanomaly._streaming import StreamingDetector
from tsanomaly._validation import VersionWarning
from tsanomaly._version import __version__

__all__ = [
    "from_bytes",
    "load",
    "load_described",
    "read_bytes",
    "read_document",
    "read_parts",
    "save",
    "save_prepared",
    "to_bytes",
]

_ZIP_MAGIC, _PICKLE_MAGIC = b"PK\x03\x04", b"\x80"

# Packages that scores may depend on, Keras only for networks.
_PACKAGES = ("tsanomaly", "scikit-learn", "numpy", "python", "keras")

# Maximum number of objects in a file, which depends on the size of its arrays, and for
# the detectors of a fleet on the size of their files: creating one takes at least a
# tenth of a millisecond.
_MOST_OBJECTS, _BYTES_OF_AN_OBJECT, _PACKED_BYTES_OF_AN_OBJECT = 2_000, 500, 50

# The member that describes the model.
_DOCUMENT = "model.json"


def save(model, path):
    """Save a fitted model to a file.

    Unlike a pickle, the file contains no code. It is a ZIP archive of ``model.json``,
    which describes the model, of its arrays in the format of NumPy [1]_, and of
    ``tsanomaly.json``. The latter contains the creation time, the versions of
    tsanomaly, scikit-learn, NumPy, Python and (for networks) Keras, the channel names,
    and the size and SHA-256 checksum of every other member. In the file of a
    :class:`FleetDetector`, each detector is a model file, so that `load` can read one
    without the others.

    Parameters
    ----------
    model : estimator
        A fitted estimator or pipeline of this library or scikit-learn, or a
        :class:`StreamingDetector`. It may contain objects of other classes, which must
        be trusted explicitly in `load`; :func:`describe` lists them.
    path : str or os.PathLike
        Path of the file, by convention with the suffix ``.skops``. An existing file is
        replaced atomically: if the process is killed or the power fails, either the old
        or the new file exists, possibly next to a temporary file ``.tsanomaly-….tmp``.

    Raises
    ------
    TypeError
        If `model` is not an estimator, contains objects that cannot be written without
        code, such as a lambda, or could not be loaded again.
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.
    OSError
        If the file cannot be written, or `path` is a circular link.

    See Also
    --------
    load : Load a model from a file.
    describe : Describe a model file without loading it.

    Notes
    -----
    The loaded model returns the same scores bit for bit on the same versions, machine
    and Keras backend.

    The contents of the file are loaded before it is written, so that a model that
    cannot be loaded is not saved.

    An object that occurs twice in the model is saved twice. A random generator passed
    as `random_state` is saved as a seed that is drawn from a copy of it.

    References
    ----------
    .. [1] https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

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
    save_prepared(model, path, None, None)


def save_prepared(model, path, preparation, row_step):
    """Write a fitted model, and how the readings it was trained on were prepared.

    Parameters
    ----------
    model, path
        As for :func:`save`.
    preparation : dict or None
        Options of the commands, as :func:`describe` returns them.
    row_step : float or None
        Median time between the training rows in seconds, if known.
    """
    resolve_target(path)  # raises early if the path is invalid
    replace_file(path, to_bytes(model, preparation, row_step))


def to_bytes(model, preparation=None, row_step=None):
    """Return the contents of the file that `save_prepared` would write.

    Parameters
    ----------
    model, preparation, row_step
        As for `save_prepared`, with the same errors.

    Returns
    -------
    data : bytes
    """
    fitted = model.detector if isinstance(model, StreamingDetector) else model
    if isinstance(model, type) or not hasattr(fitted, "fit"):
        raise TypeError(
            f"model must be a fitted estimator or pipeline, got {model!r}. Pass the "
            "result of fit."
        )
    check_is_fitted(fitted)
    with _refusing(
        model,
        "contains something that cannot be saved without code",
        "Replace it, for example a lambda by a function of a module.",
        passing=[ModelFileError],  # from detectors of a lazy fleet, which are read here
    ):
        data = _pack(model, {"preparation": preparation, "row_step": row_step})
    # Fail here rather than months later when the file is loaded.
    with _refusing(
        model, "could not be loaded once saved", "Refit it, or report this issue."
    ):
        _read_all(_unpack(io.BytesIO, data, "The file", trusted=None)[0])
    return data


def from_bytes(data):
    """Load a model from the bytes of a file, as `load` does."""
    return _read_all(_unpack(io.BytesIO, data, "The file", full_names(()))[0])


@contextmanager
def _refusing(model, what, cure, passing=()):
    """Turn any error, except some, into one about a model that cannot be saved."""
    try:
        yield
    except (MemoryError, RecursionError, *passing):
        raise
    # Objects of other libraries may raise any error when they are serialised.
    except Exception as error:
        reason = str(error.__cause__ or error).removesuffix(".")
        raise TypeError(
            f"This {type(model).__name__} {what}: {reason}. {cure}"
        ) from error


def load(path, *, trusted=(), lazy=False):
    """Load a model that was saved with `save`.

    Loading runs no code from the file. The file can only describe numbers, strings,
    arrays, and objects of known classes: those of this library, and those of
    scikit-learn that fitted pipelines contain. Other types raise an error before any
    object is created, unless they are in `trusted`.

    Parameters
    ----------
    path : str or os.PathLike
        Path of a file written by `save`.
    trusted : iterable of type, function or str, default=()
        Further types and functions that the file may contain, or their full names, such
        as ``"package.module.Name"``. Only pass ones that you know: they are imported
        and called as described in the file, which is then only as safe as its author.
    lazy : bool, default=False
        Whether to read the detectors of a :class:`FleetDetector` one at a time, when
        their machines are first scored or taken from `detectors_`, and to keep them
        then. The file is not kept open. If it was deleted, replaced or damaged before a
        detector is read, ModelFileError names the machine; in scoring, `on_error` of
        the fleet applies. Deep copies and pickles of the fleet hold all detectors.
        Other models are read at once.

    Returns
    -------
    model : estimator
        The fitted model.

    Raises
    ------
    ModelFileError
        If the file was not written by `save`, is damaged or truncated, has an
        unsupported format, unpacks to more than 20 times its size, or is inconsistent.
        This is a subclass of ValueError.
    TypeError
        If the file contains types that are neither known nor trusted, which the message
        lists, or if `trusted` is not a collection of types and names.
    OSError
        If the file cannot be read.

    Warns
    -----
    UserWarning
        If the file was saved with another version of tsanomaly or scikit-learn, or with
        another major or minor version of NumPy, Keras or Python. The model may fail or
        return different scores.

    See Also
    --------
    save : Save a fitted model to a file.

    Notes
    -----
    The SHA-256 checksums protect against accidental damage, but not against an
    attacker, who can recompute them. Therefore every attribute must have a type, shape
    and range that is valid for a fitted estimator. Neighbour search trees are rebuilt
    from their rows, trees of forests and arrays of support vector machines are
    validated, and the numbers of channels must be consistent between steps. A
    manipulated model can still return manipulated scores, so load only files from
    sources that you trust.

    Among others, gradient boosting, other trees, splines and sparse matrices must be
    trusted explicitly, because their compiled code does not validate its input.

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
    return load_described(path, trusted=trusted, lazy=lazy)[0]


def load_described(path, *, trusted=(), lazy=False):
    """Load a model together with its manifest.

    Parameters
    ----------
    path, trusted, lazy
        As in :func:`load`.

    Returns
    -------
    model : estimator
        The fitted model.
    manifest : dict
        Includes the keys ``created``, ``versions``, ``feature_names`` and
        ``preparation``.
    """
    source = str(path)
    trusted = full_names(trusted)
    if lazy:
        with open(path, "rb") as file:
            _check_start(file.read(len(_ZIP_MAGIC)), path)
        # Absolute, because the working directory may change.
        return _unpack(partial(open, mode="rb"), abspath(path), source, trusted)
    model, manifest = _unpack(io.BytesIO, read_bytes(path), source, trusted)
    return _read_all(model), manifest


def _read_all(model):
    """Read the detectors of a fleet, and return the model."""
    if isinstance(model, FleetDetector):
        model._models = list(model._models)
    return model


def _pack(model, training):
    """Return the contents of the file, given what the manifest says of the training."""
    now, versions = datetime.now(UTC), {name: _installed(name) for name in _PACKAGES}
    describe = partial(_describe, now.isoformat(timespec="seconds"), versions, training)
    if type(model) is not FleetDetector:
        return _pack_one(model, describe)[0]
    packed = [_pack_one(detector, describe) for detector in model._models]
    files = [data for data, _ in packed]
    fleet = object.__new__(FleetDetector)
    vars(fleet).update({**vars(model), "_models": Parts(files, None, "")})
    with_network = any(with_network for _, with_network in packed)
    return _pack_one(fleet, describe, files, with_network)[0]


def _pack_one(model, describe, parts=(), with_network=False):
    """Return the contents of a file, and whether there is a network in it."""
    members = {}
    document = Writer(members).write(model)
    members[_DOCUMENT] = write_json(document)
    with_network |= b'"tsanomaly.LSTMAutoencoderDetector"' in members[_DOCUMENT]
    description = describe(model, with_network)
    return pack_members(members, description, parts), with_network


def _describe(created, versions, training, model, with_network):
    """Return the metadata of a model for the manifest."""
    names = getattr(model, "feature_names_in_", None)
    return {
        "created": created,
        "versions": {
            package: number
            for package, number in versions.items()
            if package != "keras" or with_network
        },
        "feature_names": None if names is None else [str(name) for name in names],
        **training,
    }


def _installed(package):
    """Return the version of a package or of Python, None if not installed."""
    if package == "tsanomaly":
        return __version__
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _unpack(opening, place, source, trusted):
    """Create a model from the contents of a file.

    Parameters
    ----------
    opening : callable
        Opens `place` for reading.
    place : str, os.PathLike or bytes
        Path or contents of the file.
    source : str
        Name of the file in messages.
    trusted : set of str or None
        Full names of types to trust in addition to the known ones. None trusts all
        types, for a file that was just written.

    Returns
    -------
    model : estimator
        The model. The detectors of a fleet are not read yet.
    manifest : dict
        Metadata of the file.
    """
    with opening(place) as file:
        manifest, document, members, found = read_document(file, source)
    others = _warn_of_other_versions(manifest["versions"], source)
    parts = Parts(found, partial(opening, place), source)
    # Number of objects allowed for all parts together, in addition to those allowed by
    # their sizes.
    n_more = _MOST_OBJECTS

    def make_part(number):
        nonlocal n_more
        data, source = parts.read(number), parts.source(number)
        _, document, members, inner = read_document(io.BytesIO(data), source)
        allowed = n_more + len(data) // _PACKED_BYTES_OF_AN_OBJECT
        model, n_left = _make(document, members, source, trusted, others, allowed)
        with damage(source, "it is no detector of one machine"):
            if inner or isinstance(model, StreamingDetector):
                raise ValueError(f"a {type(model).__name__} of {len(inner)} models")
        n_more = min(n_more, n_left)
        return model

    models = SavedModels(parts, make_part)
    model, n_more = _make(document, members, source, trusted, others, n_more, models)
    n_more = min(n_more, _MOST_OBJECTS)
    if isinstance(model, FleetDetector):
        parts.names = [f"{model.by}={name}" for name in model.groups_]
    return model, manifest


def _make(document, members, source, trusted, others, n_more, models=None):
    """Create a model from its description.

    Returns
    -------
    model : estimator
        The model.
    n_left : int
        Number of objects that are still allowed, of `n_more` and those that the size
        allows.
    """
    names = names_in(document)
    n_bytes = sum(map(len, members.values()))
    if trusted is not None and names - trusted:
        names = sorted(names - trusted)
        raise TypeError(
            f"{source} contains types that are not known to be safe: "
            f"{', '.join(names)}. If you know them and trust the source of the file, "
            f"pass trusted={names!r}."
        )
    with _blame(others, source):
        most_objects = n_more + n_bytes // _BYTES_OF_AN_OBJECT
        reader = Reader(members, find(names), most_objects, models)
        model = reader.read(document)
        reader.finish()
        if not isinstance(model, StreamingDetector):
            check_fitted(model)
    return model, reader.n_left


def read_document(file, source):
    """Read the contents of a file without creating any object.

    Parameters
    ----------
    file : file object
        The file, opened for reading bytes.
    source : str
        Name of the file in messages.

    Returns
    -------
    manifest : dict
        Metadata of the file.
    document : object
        Description of the model, decoded from JSON.
    members : dict of str to bytearray
        The arrays.
    parts : list
        Positions of the models of a fleet, for `Parts`.
    """
    manifest, members, parts, size = read_members(file, source)
    with damage(source, "its description of the model cannot be read"):
        document = read_json(members.pop(_DOCUMENT), size)
    return manifest, document, members, parts


def read_parts(data, source):
    """Yield descriptions and arrays of the models of a fleet, one at a time."""
    found = read_document(io.BytesIO(data), source)[-1]
    parts = Parts(found, partial(io.BytesIO, data), source)
    for number in range(len(parts)):
        file = io.BytesIO(parts.read(number))
        yield read_document(file, parts.source(number))[1:3]


def read_bytes(path):
    """Return the contents of a file, or raise if it is obviously not a model file."""
    with open(path, "rb") as file:
        start = file.read(len(_ZIP_MAGIC))
        _check_start(start, path)
        return start + file.read()


def _check_start(start, path):
    """Raise unless the first bytes of a file are those of a model file."""
    if start != _ZIP_MAGIC:
        looks = " It looks like a pickle, which runs code when it is loaded."
        raise ModelFileError(
            f"{path} is not a model saved with tsanomaly.save, or its start is "
            f"damaged.{looks if start.startswith(_PICKLE_MAGIC) else ''} Save the "
            "model with tsanomaly.save."
        )


def _warn_of_other_versions(saved, source):
    """Warn once per file if versions differ.

    Parameters
    ----------
    saved : dict of str to str
        Versions of packages when the model was saved.
    source : str
        Name of the file in messages.

    Returns
    -------
    others : tuple of str, or None
        Saved and installed versions of the packages that differ, if any.
    """
    found = {package: _installed(package) for package in saved if package in _PACKAGES}
    others = [
        package
        for package in found
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
        f"{source} was saved by {then}, and this is {now}: the model may fail or "
        "return different scores. Refit it to be safe.",
        VersionWarning,
        stacklevel=5,
    )
    return then, now


def _significant(package, number):
    """Return the part of a version number that the state of a model may depend on."""
    if number is None or package in ("tsanomaly", "scikit-learn"):
        return number
    return number.split(".")[:2]


@contextmanager
def _blame(others, source):
    """Turn any error while creating the model into one that states the cause.

    Parameters
    ----------
    others : tuple of str, or None
        As returned by `_warn_of_other_versions`.
    source : str
        Name of the file in messages.
    """
    if others is None:
        with damage(source, "its parts do not fit together"):
            yield
        return
    then, now = others
    with warnings.catch_warnings():
        # Every single estimator would repeat the warning about the file.
        warnings.simplefilter("ignore", VersionWarning)
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        try:
            yield
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            raise ModelFileError(
                f"{source} cannot be loaded by {now} ({reason_of(error)}). "
                f"Load it with {then}, or refit the model."
            ) from error
