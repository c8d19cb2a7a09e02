# SPDX-License-Identifier: MIT
import os
import sys
from importlib.metadata import version
from tempfile import TemporaryDirectory

import matplotlib
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.helpers import tiny_detector, wave
from tsanomaly import LSTMAutoencoderDetector, set_compilation_cache

matplotlib.use("Agg")


# Tests compile more than a hundred tiny networks and run each of them briefly. Without
# optimisations, jax compiles in a quarter of the processor time. Set the variable to 0
# to test all of them with optimisations.
OPTIMIZED = "JAX_DISABLE_MOST_OPTIMIZATIONS"
os.environ.setdefault(OPTIMIZED, "1")
# Unknown flags end the process, so this one is set only for versions that know it.
if os.environ[OPTIMIZED] == "1" and version("jaxlib").startswith("0.10."):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")


def pytest_configure(config):
    """Compile each network once for all tests, including those in other processes."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # else set by the developer
        folder = TemporaryDirectory(prefix="tsanomaly-tests-")
        config.add_cleanup(folder.cleanup)
        config.add_cleanup(lambda: set_compilation_cache(None))
        set_compilation_cache(folder.name)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Optimise networks of full size: they train for longer than they compile."""
    is_long = item.get_closest_marker("full_size") is not None
    if os.environ[OPTIMIZED] == "1" and (is_long or "jax" in sys.modules):
        import jax

        jax.config.update("jax_disable_most_optimizations", not is_long)


# Methods that train a network, alone and as a step of a pipeline.
FITTING = ("fit", "fit_transform", "fit_predict")

# Compiling a network takes seconds the first time, so examples have no deadline.
settings.register_profile(
    "tsanomaly",
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", settings.get_profile("tsanomaly"), max_examples=1000
)
settings.load_profile("tsanomaly")


@pytest.fixture
def rng():
    """A generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def series():
    """A smooth series of two channels, 200 rows."""
    return wave(200)


@pytest.fixture(scope="session")
def fitted(series):
    """A tiny fitted detector, shared: do not change it."""
    return tiny_detector().fit(series)


@pytest.fixture
def shorten_training(monkeypatch):
    """Return a function that sets parameters of all networks that are fitted later."""
    methods = {name: getattr(LSTMAutoencoderDetector, name) for name in FITTING}

    def shorten_training(**parameters):
        def make_short(fit):
            def fit_shortly(self, X, y=None):
                self.set_params(epochs=1, training__windows_per_epoch=64, **parameters)
                return fit(self, X, y)

            return fit_shortly

        for name, fit in methods.items():
            monkeypatch.setattr(LSTMAutoencoderDetector, name, make_short(fit))

    return shorten_training
