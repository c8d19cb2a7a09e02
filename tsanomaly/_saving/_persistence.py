# SPDX-License-Identifier: MIT
import io
import platform
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from zipfile import ZipFile

from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils.validation import check_is_fitted

from tsanomaly._saving._atomic_write import replace_file, resolve_target
from tsanomaly._saving._model_checks import check_description, check_state, parts_of
from tsanomaly._saving._model_file import damage, pack_members, read_members, repack
from tsanomaly._saving._trusted_types import UNCHECKED, full_names, known_names
from tsanomaly._streaming import StreamingDetector
from tsanomaly._validation import VersionWarning
from tsanomaly._version import __version__

__all__ = ["load", "save"]

_ZIP_MAGIC, _PICKLE_MAGIC = b"PK\x03\x04", b"\x80"


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
        If the file cannot be written, or `path` is a link that leads in a circle.

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
    resolve_target(path)  # raises before there is work to lose
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
    replace_file(path, data)


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
        If the file was not written by `save`, is damaged or truncated, has another
        format than this version writes, unpacks to more than 20 times its size, or
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
    trusted = full_names(trusted)
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


def _pack(model):
    """The bytes of the file."""
    import skops.io

    with ZipFile(io.BytesIO(skops.io.dumps(model))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return pack_members(members, _describe(model))


def _describe(model):
    """What the file says of the model, beside its parts."""
    names = getattr(model, "feature_names_in_", None)
    packages = ["tsanomaly", "scikit-learn", "numpy", "python"]
    if any(map(_has_network, parts_of(model))):
        packages.append("keras")
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {package: _installed(package) for package in packages},
        "feature_names": None if names is None else [str(name) for name in names],
    }


def _has_network(part):
    return hasattr(part, "to_keras")


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

    manifest, members = read_members(data, source)
    others = _warn_of_other_versions(manifest["versions"], source)
    with damage(source, "its description of the model is not sound"):
        types = check_description(members)
        # Of what was read and checked, not of the file: skops would unpack all of it.
        data = repack(members)
        unknown = set(skops.io.get_untrusted_types(data=data)) | (types & UNCHECKED)
    known = known_names()
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
        check_state(model)
    return model


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
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(
                f"{source} cannot be loaded by {now} ({str(error) or repr(error)}). "
                f"Load it with {then}, or fit the model again."
            ) from error
