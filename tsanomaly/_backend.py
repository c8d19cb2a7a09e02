# SPDX-License-Identifier: MIT
"""Import Keras with a suitable backend and without changing global state."""

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

# In order of preference: jax is the fastest of the three for LSTMs on a CPU.
_BACKENDS = ("jax", "torch", "tensorflow")

# Environment variables of jax's compilation cache, read when jax is imported, here or
# in a child process. Afterwards, the jax settings of the same names are used.
_CACHE_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_CACHE_SECONDS = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
_DEFAULT_CACHE_SECONDS = 1.0

_import_lock = threading.RLock()
_random_lock = threading.RLock()
_process = {"watched": False, "forked_from_jax": False}


def choose_backend():
    """Choose the backend for the first import of Keras.

    Returns
    -------
    backend : str or None
        The first that applies: None if Keras is already imported; the environment
        variable ``KERAS_BACKEND``; the user's ``keras.json``, unless it names
        TensorFlow and that is not installed (Keras writes such a file on its first
        import); the first of jax, torch and tensorflow that is installed.

    Raises
    ------
    ImportError
        If no backend is installed, or the backend of ``KERAS_BACKEND`` is not installed
        or cannot train.
    """
    if "keras" in sys.modules:
        return None
    demanded = os.environ.get("KERAS_BACKEND")
    if demanded:
        if demanded not in _BACKENDS:
            raise ImportError(
                f"KERAS_BACKEND={demanded} is not a backend that can train. Set it to "
                f"one of {', '.join(_BACKENDS)}, or unset it."
            )
        if find_spec(demanded) is None:
            raise ImportError(
                f"KERAS_BACKEND={demanded} is set, but {demanded} is not installed. "
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
    """Return the backend in the user's keras.json, or None."""
    home = os.environ.get("KERAS_HOME")
    if home is None:
        base = os.path.expanduser("~")
        home = os.path.join(base if os.access(base, os.W_OK) else "/tmp", ".keras")
    try:
        config = json.loads(Path(home, "keras.json").read_text(encoding="utf-8"))
        return config.get("backend")
    except (OSError, ValueError, AttributeError):  # missing or invalid file
        return None


def check_not_forked():
    """Raise if this process was forked from one that had used jax."""
    if _process["forked_from_jax"]:
        raise RuntimeError(
            "This process was forked from a process that had already used jax, which "
            "hangs in forked children. Start workers with the 'spawn' or 'forkserver' "
            "method of multiprocessing, or with joblib, whose loky workers are safe."
        )


def import_keras():
    """Import Keras with a backend that is installed.

    Returns
    -------
    keras : module
        The first call takes seconds.

    Raises
    ------
    ImportError
        If Keras or its backend is not installed. The message says what to install.
    RuntimeError
        In a process that was forked from one that had used jax, where jax would hang.
    """
    check_not_forked()
    if _process["watched"]:
        return sys.modules["keras"]
    with _import_lock:
        backend = choose_backend()
        if backend is not None:
            # Stays set, so that worker processes use the backend of their parent.
            os.environ["KERAS_BACKEND"] = backend
        with preserve_random_state():
            try:
                import keras
            except ModuleNotFoundError as error:
                missing = str(error.name).partition(".")[0]
                cure = f"Run 'pip install {missing}'"
                installed = [name for name in _BACKENDS if find_spec(name)]
                if missing in _BACKENDS and installed:
                    # keras.json names it, or an earlier import of Keras failed.
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
    """Cache compiled networks on disk for later processes.

    On jax, a network is compiled when a process first fits or scores with it, which
    takes longer than most fits. With a cache, only the first process that uses an
    architecture compiles it.

    This enables the persistent compilation cache of jax for this process and all
    processes that it starts afterwards. It is disabled by default because it writes
    files. Other backends have no such cache, and the call has no effect on them.

    Parameters
    ----------
    folder : str, path-like or None
        Folder of the cache, created if necessary. None disables the cache. Choose a
        folder that only you can write to, because its contents are executed without
        checks. Several processes can share it, and it can be deleted at any time.

    Raises
    ------
    OSError
        If the folder cannot be created or written to. The cache is then unchanged.

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
                f"Compiled networks cannot be cached in folder={folder!r}: "
                f"{error.strerror}. Pass a folder that you can write to, or None to "
                "disable the cache."
            ) from error
    with _import_lock:
        variables = {_CACHE_FOLDER: folder}
        if folder is not None:
            # By default, only programs that take over a second to compile are cached,
            # but the many small ones of a fit take as long together.
            variables[_CACHE_SECONDS] = "0"
        _set_variables(variables)
        _configure_jax(folder, 0.0)


@contextmanager
def preserve_compilation_cache():
    """Restore the settings of the compilation cache, including the environment."""
    names = _CACHE_FOLDER, _CACHE_SECONDS
    variables = {name: os.environ.get(name) for name in names}
    if "jax" in sys.modules:
        import jax

        settings = [getattr(jax.config, name.lower()) for name in names]
    else:  # the settings that jax would have if it were imported now
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
    """Set the cache folder and the minimum compile time in jax, if it is imported."""
    if "jax" in sys.modules:
        import jax
        from jax.experimental.compilation_cache import compilation_cache

        jax.config.update(_CACHE_FOLDER.lower(), folder)
        jax.config.update(_CACHE_SECONDS.lower(), seconds)
        # Otherwise jax keeps using the first folder.
        compilation_cache.reset_cache()


def _note_fork():
    _process["forked_from_jax"] = True


@contextmanager
def preserve_random_state():
    """Restore the global random states of Python and NumPy.

    Only one thread at a time, since overlapping ones would restore each other's state.
    """
    with _random_lock:
        python_state, numpy_state = random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
