# SPDX-License-Identifier: MIT
"""Import Keras: on which backend, and without a trace in the global state."""

import json
import os
import random
import sys
import threading
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

__all__ = [
    "check_not_forked",
    "choose_backend",
    "import_keras",
    "preserve_compilation_cache",
    "preserve_random_state",
    "set_compilation_cache",
]

# In the order of preference: on a CPU, jax runs LSTMs fastest of the three.
_BACKENDS = ("jax", "torch", "tensorflow")

# What the compilation cache of jax goes by: read when jax is imported, here or in a
# process that starts later. Then the settings of the same names count.
_CACHE_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_CACHE_SECONDS = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
_DEFAULT_CACHE_SECONDS = 1.0

_import_lock = threading.RLock()
_random_lock = threading.RLock()
_process = {"watched": False, "forked_from_jax": False}


def choose_backend():
    """Name the backend that the first import of Keras should use.

    Returns
    -------
    backend : str or None
        In this order: None if Keras is imported already, for then it is too late;
        the environment variable ``KERAS_BACKEND``; the user's ``keras.json``, unless
        it names a TensorFlow that is not installed (Keras itself writes that file,
        with TensorFlow in it, when it is first imported); the first installed of jax,
        torch and tensorflow.

    Raises
    ------
    ImportError
        If no backend is installed, or not the one that ``KERAS_BACKEND`` names, or if
        it names one that cannot train.
    """
    if "keras" in sys.modules:
        return None
    demanded = os.environ.get("KERAS_BACKEND")
    if demanded:
        if demanded not in _BACKENDS:
            raise ImportError(
                f"KERAS_BACKEND={demanded} names no backend that can train. Set it to "
                f"one of {', '.join(_BACKENDS)}, or unset it."
            )
        if find_spec(demanded) is None:
            raise ImportError(
                f"KERAS_BACKEND={demanded} asks for a backend that is not installed. "
                f"Run 'pip install {demanded}', or unset KERAS_BACKEND."
            )
        return demanded
    configured = _configured_backend()
    if configured in _BACKENDS and (
        configured != "tensorflow" or find_spec("tensorflow")
    ):
        return configured
    for name in _BACKENDS:
        if find_spec(name):
            return name
    raise ImportError(
        "No Keras backend is installed. Run 'pip install jax' (torch and tensorflow "
        "work too)."
    )


def _configured_backend():
    """Backend named in the file that Keras reads, or None."""
    home = os.environ.get("KERAS_HOME")
    if home is None:
        base = os.path.expanduser("~")
        home = os.path.join(base if os.access(base, os.W_OK) else "/tmp", ".keras")
    try:
        config = json.loads(Path(home, "keras.json").read_text(encoding="utf-8"))
        return config.get("backend")
    except (OSError, ValueError, AttributeError):  # none, or not one Keras can read
        return None


def check_not_forked():
    """Raise in a process that was forked from one that had used jax."""
    if _process["forked_from_jax"]:
        raise RuntimeError(
            "This process was forked from one that had already used jax, and jax hangs "
            "in a forked child. Start workers with the 'spawn' or 'forkserver' method "
            "of multiprocessing, or through joblib, whose loky workers are safe."
        )


def import_keras():
    """Import Keras, on a backend that is installed.

    Returns
    -------
    keras : module
        The first call imports it, which takes seconds.

    Raises
    ------
    ImportError
        If Keras or its backend is not installed; the message says what to install.
    RuntimeError
        In a process that was forked from one that had used jax: jax would hang.
    """
    check_not_forked()
    if _process["watched"]:
        return sys.modules["keras"]
    with _import_lock:
        backend = choose_backend()
        if backend is not None:
            # Left set: worker processes should use the backend of their parent.
            os.environ["KERAS_BACKEND"] = backend
        with preserve_random_state():
            try:
                import keras
            except ModuleNotFoundError as error:
                missing = str(error.name).partition(".")[0]
                cure = f"Run 'pip install {missing}'"
                installed = [name for name in _BACKENDS if find_spec(name)]
                if missing in _BACKENDS and installed:
                    # As keras.json demands, or a first import of Keras that failed.
                    cure += (
                        ", or, in a new process and before Keras is first imported, "
                        f"os.environ['KERAS_BACKEND'] = '{installed[0]}'"
                    )
                raise ImportError(
                    f"Keras cannot be imported, because {missing!r} is not "
                    f"installed. {cure}."
                ) from error
        if not _process["watched"]:
            if keras.backend.backend() == "jax" and hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_note_fork)
            _process["watched"] = True
    return keras


def set_compilation_cache(folder):
    """Keep compiled networks in a folder, for processes that come later.

    Off by default, because it writes files. jax compiles a network when it is first
    fitted or scored in a process, which takes longer than most fits; with a cache only
    the first process that meets an architecture pays for it.

    This turns on jax's own persistent compilation cache, for all of this process and
    for processes that it starts afterwards. Other backends have no such cache, and the
    call has no effect on them.

    Parameters
    ----------
    folder : str, path-like or None
        Where to keep them; made if needed. None turns the cache off. Choose a folder
        that only you may write to: what lies in it is run unchecked. Several processes
        may use it at once, and it may be deleted at any time.

    Raises
    ------
    OSError
        If the folder cannot be made or written to. The cache is then as it was.

    Examples
    --------
    >>> import tsanomaly
    >>> tsanomaly.set_compilation_cache("~/.cache/tsanomaly/jax")  # doctest: +SKIP
    """
    if folder is not None:
        # Absolute: worker processes may run in another folder.
        folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
        try:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OSError(
                f"Compiled networks cannot be kept in folder={folder!r}: "
                f"{error.strerror}. Name a folder that you may write to, or None to "
                "keep none."
            ) from error
    with _import_lock:
        variables = {_CACHE_FOLDER: folder}
        if folder is not None:
            # By default it keeps only what takes over a second to compile: not the
            # many small programs of a fit, which together take as long.
            variables[_CACHE_SECONDS] = "0"
        _set_variables(variables)
        _configure_jax(folder, 0.0)


@contextmanager
def preserve_compilation_cache():
    """Put the compilation cache back as it was, also in the environment."""
    names = _CACHE_FOLDER, _CACHE_SECONDS
    variables = {name: os.environ.get(name) for name in names}
    if "jax" in sys.modules:
        import jax

        settings = [getattr(jax.config, name.lower()) for name in names]
    else:  # as jax would have them if it were imported now
        seconds = variables[_CACHE_SECONDS]
        seconds = float(seconds) if seconds else _DEFAULT_CACHE_SECONDS
        settings = [variables[_CACHE_FOLDER], seconds]
    try:
        yield
    finally:
        with _import_lock:
            _set_variables(variables)
            _configure_jax(*settings)


def _set_variables(variables):
    """Set environment variables, or unset those that are None."""
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _configure_jax(folder, seconds):
    """Tell jax, if it is imported, where to keep what takes so long to compile."""
    if "jax" in sys.modules:
        import jax
        from jax.experimental.compilation_cache import compilation_cache

        jax.config.update(_CACHE_FOLDER.lower(), folder)
        jax.config.update(_CACHE_SECONDS.lower(), seconds)
        # jax keeps using the folder it first used, unless it is told to look again.
        compilation_cache.reset_cache()


def _note_fork():
    _process["forked_from_jax"] = True


@contextmanager
def preserve_random_state():
    """Put the global random states of Python and NumPy back as they were.

    One thread at a time: two that overlap would restore each other's states.
    """
    with _random_lock:
        python_state, numpy_state = random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
