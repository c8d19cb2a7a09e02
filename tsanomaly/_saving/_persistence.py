# SPDX-License-Identifier: MIT
import platform
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils.validation import check_is_fitted

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
    "save",
    "to_bytes",
]

_ZIP_MAGIC, _PICKLE_MAGIC = b"PK\x03\x04", b"\x80"

# Packages that scores may depend on; Keras if there is a network.
_PACKAGES = ("tsanomaly", "scikit-learn", "numpy", "python", "keras")

# Objects that a file may hold: to make one takes a tenth of a millisecond and more.
_MOST_OBJECTS, _BYTES_OF_AN_OBJECT = 2_000, 500

# The member that says what the model is.
_DOCUMENT = "model.json"


def save(model, path):
    """Write a fitted model to a file.

    The file holds no code, unlike a pickle: it is a ZIP archive of ``model.json``, a
    description of the model, of its arrays in numpy's format [1]_, and of
    ``tsanomaly.json``, which says when it was written, by which versions of tsanomaly,
    scikit-learn, numpy, Python and, if the model holds a network, Keras, the names of
    the channels, and the size and SHA-256 of every other member.

    Parameters
    ----------
    model : estimator
        A fitted estimator or pipeline of this library or of scikit-learn, or a
        :class:`StreamingDetector`. It may hold objects of other classes, which `load`
        then has to be told to trust; :func:`describe` lists them.
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
        If the file cannot be written, or `path` is a link that leads in a circle.

    See Also
    --------
    load : Read the file.
    describe : Say what is in the file.

    Notes
    -----
    The scores of the model that `load` returns equal those of `model` bit for bit, on
    the same versions, machine and Keras backend.

    The file is read once before it is written, so that a model that cannot be loaded
    is not saved.

    An object that the model holds in two places is written twice. A random generator,
    given as `random_state`, is written as a seed that is drawn from a copy of it.

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
    resolve_target(path)  # raises before there is work to lose
    replace_file(path, to_bytes(model))


def to_bytes(model):
    """The file of a fitted model, as `save` would write it.

    Parameters
    ----------
    model : estimator
        As of :func:`save`, with the same errors.

    Returns
    -------
    data : bytes
    """
    fitted = model.detector if isinstance(model, StreamingDetector) else model
    if isinstance(model, type) or not hasattr(fitted, "fit"):
        raise TypeError(
            f"model must be a fitted estimator or pipeline, got {model!r}. Pass what "
            "fit returned."
        )
    check_is_fitted(fitted)
    with _refusing(
        model,
        "holds something that cannot be saved without code",
        "Replace it, for example a lambda by a function of a module.",
    ):
        data = _pack(model)
    # Better to learn here than months later that a file cannot be read.
    with _refusing(
        model, "cannot be loaded once it is saved", "Fit it again, or report this."
    ):
        _unpack(*read_document(data, "The file"), "The file", trusted=None)
    return data


def from_bytes(data):
    """The model in a file that is given as bytes, as `load` would read it."""
    return _unpack(*read_document(data, "The file"), "The file", full_names(()))


@contextmanager
def _refusing(model, what, cure):
    """Report any failure as one of a model that cannot be saved."""
    try:
        yield
    except (MemoryError, RecursionError):
        raise
    # Objects of other libraries raise whatever they like when they are taken apart.
    except Exception as error:
        reason = str(error.__cause__ or error).removesuffix(".")
        raise TypeError(
            f"This {type(model).__name__} {what}: {reason}. {cure}"
        ) from error


def load(path, *, trusted=()):
    """Read a model that `save` wrote.

    No code of the file is run: it can only describe numbers, texts, arrays and objects
    of the classes in a table, those of this library and of scikit-learn that fitted
    pipelines hold. Any other is refused by name, before anything is made, unless it is
    in `trusted`.

    Parameters
    ----------
    path : str or os.PathLike
        A file written by `save`.
    trusted : iterable of type, function or str, default=()
        Further types and functions that the file may hold, or their full names, as in
        ``"package.module.Name"``: those that you know. They are imported, made and
        called as the file says, so that the file is as safe as its author.

    Returns
    -------
    model : estimator
        The fitted model.

    Raises
    ------
    ModelFileError
        If the file was not written by `save`, is damaged or truncated, has another
        format than this version writes, unpacks to more than 20 times its size, or
        holds what does not go together. It is a ValueError.
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
    against malice: who alters a file on purpose can write new sums. Against that, every
    attribute has to be of a type, shape and range that a fitted estimator may have;
    search trees of neighbours are built again from their rows, trees of forests and
    arrays of support vector machines are checked; and channels have to fit from step to
    step. An altered model may still give altered scores: load files of origins you
    know.

    Gradient boosting, other trees, splines and sparse matrices are among what is
    refused unless trusted, since their compiled code believes what it is given.

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
    return load_described(path, trusted=trusted)[0]


def load_described(path, *, trusted=()):
    """Read a model, and when and by which versions it was written.

    Parameters
    ----------
    path, trusted
        As of :func:`load`.

    Returns
    -------
    model : estimator
        The fitted model.
    manifest : dict
        With the keys ``created``, ``versions`` and ``feature_names``, among others.
    """
    source = str(path)
    trusted = full_names(trusted)
    manifest, document, members = read_document(read_bytes(path), source)
    return _unpack(manifest, document, members, source, trusted), manifest


def _pack(model):
    """The bytes of the file."""
    members = {}
    document = Writer(members).write(model)
    members[_DOCUMENT] = write_json(document)
    names = getattr(model, "feature_names_in_", None)
    packages = [*_PACKAGES]
    if b'"tsanomaly.LSTMAutoencoderDetector"' not in members[_DOCUMENT]:
        packages.remove("keras")
    description = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {package: _installed(package) for package in packages},
        "feature_names": None if names is None else [str(name) for name in names],
    }
    return pack_members(members, description)


def _installed(package):
    """Version of a package, or of Python; None if it is not installed."""
    if package == "tsanomaly":
        return __version__
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _unpack(manifest, document, members, source, trusted):
    """Make a model of what a file holds.

    Parameters
    ----------
    manifest, document, members
        As from `read_document`.
    source : str
        What the file is called in messages.
    trusted : set of str or None
        Full names of types to trust beside the known ones; None trusts all, of a file
        that was just written.

    Returns
    -------
    model : estimator
        The model.
    """
    others = _warn_of_other_versions(manifest["versions"], source)
    names = names_in(document)
    n_bytes = sum(map(len, members.values()))
    most_objects = _MOST_OBJECTS + n_bytes // _BYTES_OF_AN_OBJECT
    if trusted is not None and names - trusted:
        names = sorted(names - trusted)
        raise TypeError(
            f"{source} holds types that are not known to be safe: {', '.join(names)}. "
            f"If you know them and where the file comes from, pass trusted={names!r}."
        )
    with _blame(others, source):
        reader = Reader(members, find(names), most_objects)
        model = reader.read(document)
        reader.finish()
        if not isinstance(model, StreamingDetector):
            check_fitted(model)
    return model


def read_document(data, source):
    """What a file holds, of which nothing is made yet.

    Parameters
    ----------
    data : bytes
        The file.
    source : str
        What it is called in messages.

    Returns
    -------
    manifest : dict
        What the file says of itself.
    document : object
        The description of the model, as JSON holds it.
    members : dict of str to bytearray
        The arrays.
    """
    manifest, members = read_members(data, source)
    with damage(source, "its description of the model cannot be read"):
        document = read_json(members.pop(_DOCUMENT), len(data))
    return manifest, document, members


def read_bytes(path):
    """The bytes of a model file, unless it is none at first sight."""
    with open(path, "rb") as file:
        start = file.read(len(_ZIP_MAGIC))
        if start != _ZIP_MAGIC:
            looks = " It looks like a pickle, which runs code when it is loaded."
            raise ModelFileError(
                f"{path} is not a model that tsanomaly.save wrote, or its start is "
                f"damaged.{looks if start.startswith(_PICKLE_MAGIC) else ''} Save the "
                "model with tsanomaly.save."
            )
        return start + file.read()


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
        f"{source} was saved by {then}, and this is {now}: the model may fail or give "
        "other scores. Fit it again to be sure.",
        VersionWarning,
        stacklevel=5,
    )
    return then, now


def _significant(package, number):
    """The part of a version that the state of a model may depend on."""
    if number is None or package in ("tsanomaly", "scikit-learn"):
        return number
    return number.split(".")[:2]


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
        with damage(source, "its parts do not fit together"):
            yield
        return
    then, now = others
    with warnings.catch_warnings():
        # Every single estimator would repeat what was said of the file.
        warnings.simplefilter("ignore", VersionWarning)
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        try:
            yield
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            raise ModelFileError(
                f"{source} cannot be loaded by {now} ({reason_of(error)}). "
                f"Load it with {then}, or fit the model again."
            ) from error
