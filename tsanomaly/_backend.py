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

import numpy as np

__all__ = ["choose_backend", "import_keras", "preserve_random_state"]

# In the order of preference: on a CPU, jax runs LSTMs fastest of the three.
_BACKENDS = ("jax", "torch", "tensorflow")

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
    if _process["forked_from_jax"]:
        raise RuntimeError(
            "This process was forked from one that had already used jax, and jax hangs "
            "in a forked child. Start workers with the 'spawn' or 'forkserver' method "
            "of multiprocessing, or through joblib, whose loky workers are safe."
        )
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
                raise ImportError(
                    f"Keras cannot be imported, because {error.name!r} is not "
                    f"installed. Run 'pip install {error.name}'."
                ) from error
        if not _process["watched"]:
            if keras.backend.backend() == "jax" and hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_note_fork)
            _process["watched"] = True
    return keras


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
