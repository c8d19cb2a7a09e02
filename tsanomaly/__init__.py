# SPDX-License-Identifier: MIT
"""Find when, and in which sensor, a machine behaves abnormally.

Outlier detectors and transformers for multivariate time series with the interface of
scikit-learn. Every estimator returns one result per row of its input.
"""

from importlib import import_module as _import_module

from tsanomaly._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:  # for editors, which do not follow __getattr__
    from tsanomaly._alarm_filter import AlarmFilter
    from tsanomaly._autoencoder import LSTMAutoencoderDetector
    from tsanomaly._autoregressive_detector import AutoregressiveDetector
    from tsanomaly._backend import set_compilation_cache
    from tsanomaly._compare import compare_detectors
    from tsanomaly._cross_fit import fit_cross_fitted
    from tsanomaly._default_ensemble import make_ensemble
    from tsanomaly._ensemble import EnsembleDetector
    from tsanomaly._explain import explain
    from tsanomaly._features import TemporalFeatures
    from tsanomaly._fleet import FleetDetector
    from tsanomaly._hybrid import HybridDetector
    from tsanomaly._linear_autoencoder import LinearAutoencoderDetector
    from tsanomaly._reconstruction_error import ReconstructionError
    from tsanomaly._saving import ModelFileError, describe, load, save
    from tsanomaly._score_transformer import ScoreTransformer
    from tsanomaly._sensor_health import sensor_health
    from tsanomaly._streaming import StreamingDetector
    from tsanomaly._threshold import ReconstructionThreshold
    from tsanomaly._training import Training
    from tsanomaly._window_neighbors import WindowNeighborsDetector
    from tsanomaly._window_transformer import WindowTransformer
    from tsanomaly._windows import merge_windows, sliding_windows

__all__ = [
    "AlarmFilter",
    "AutoregressiveDetector",
    "EnsembleDetector",
    "FleetDetector",
    "HybridDetector",
    "LSTMAutoencoderDetector",
    "LinearAutoencoderDetector",
    "ModelFileError",
    "ReconstructionError",
    "ReconstructionThreshold",
    "ScoreTransformer",
    "StreamingDetector",
    "TemporalFeatures",
    "Training",
    "WindowNeighborsDetector",
    "WindowTransformer",
    "__version__",
    "compare_detectors",
    "datasets",
    "describe",
    "distributed",
    "explain",
    "fit_cross_fitted",
    "load",
    "make_ensemble",
    "merge_windows",
    "metrics",
    "plotting",
    "save",
    "sensor_health",
    "set_compilation_cache",
    "sliding_windows",
]

# The modules of public names, imported on first access. Until then the package imports
# nothing, so the command line responds at once, also to Ctrl-C.
_HOMES = {
    "AlarmFilter": "_alarm_filter",
    "AutoregressiveDetector": "_autoregressive_detector",
    "EnsembleDetector": "_ensemble",
    "FleetDetector": "_fleet",
    "HybridDetector": "_hybrid",
    "LSTMAutoencoderDetector": "_autoencoder",
    "LinearAutoencoderDetector": "_linear_autoencoder",
    "ModelFileError": "_saving",
    "ReconstructionError": "_reconstruction_error",
    "ReconstructionThreshold": "_threshold",
    "ScoreTransformer": "_score_transformer",
    "StreamingDetector": "_streaming",
    "TemporalFeatures": "_features",
    "Training": "_training",
    "WindowNeighborsDetector": "_window_neighbors",
    "WindowTransformer": "_window_transformer",
    "compare_detectors": "_compare",
    "describe": "_saving",
    "explain": "_explain",
    "fit_cross_fitted": "_cross_fit",
    "load": "_saving",
    "make_ensemble": "_default_ensemble",
    "merge_windows": "_windows",
    "save": "_saving",
    "sensor_health": "_sensor_health",
    "set_compilation_cache": "_backend",
    "sliding_windows": "_windows",
}
_SUBPACKAGES = ("datasets", "distributed", "metrics", "plotting")


def __dir__():
    return __all__


def __getattr__(name):
    if name in _HOMES:
        value = getattr(_import_module(f"tsanomaly.{_HOMES[name]}"), name)
    elif name in _SUBPACKAGES:
        value = _import_module(f"tsanomaly.{name}")
    else:
        raise AttributeError(f"module 'tsanomaly' has no attribute {name!r}")
    globals()[name] = value
    return value
