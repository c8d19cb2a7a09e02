# SPDX-License-Identifier: MIT
"""Classes of this library that a file may contain, with specs of their attributes."""

import numpy as np
import pandas as pd

from tsanomaly._alarm_filter import AlarmFilter, AlarmTracker
from tsanomaly._autoencoder import LSTMAutoencoderDetector
from tsanomaly._autoregressive_detector import AutoregressiveDetector
from tsanomaly._calibration import Calibration, ErrorSummary, LogCalibration
from tsanomaly._context import get_context
from tsanomaly._ensemble import EnsembleDetector
from tsanomaly._features import TemporalFeatures, in_zone, zone_of_training
from tsanomaly._fleet import FleetDetector
from tsanomaly._hybrid import HybridDetector
from tsanomaly._inspection import check_detector, is_normalised
from tsanomaly._linear_autoencoder import LinearAutoencoderDetector
from tsanomaly._means_by_length import n_lengths
from tsanomaly._neighbor_search import NeighborSearch
from tsanomaly._neighbors import FEATURES
from tsanomaly._reconstruction_error import ReconstructionError
from tsanomaly._relations import relation_weights
from tsanomaly._row_errors import RULES
from tsanomaly._saving._specs import (
    ANYTHING,
    FLAG,
    NOTHING,
    Array,
    Instance,
    Items,
    Number,
    Numbers,
    Record,
    State,
    Text,
)
from tsanomaly._score_transformer import ScoreTransformer
from tsanomaly._stream_alarms import StreamAlarms
from tsanomaly._streaming import StreamingDetector
from tsanomaly._threshold import ReconstructionThreshold
from tsanomaly._trainers import INPUT_LIMIT
from tsanomaly._training import Training
from tsanomaly._validation import check_parameters_unchanged
from tsanomaly._window_neighbors import WindowNeighborsDetector
from tsanomaly._window_transformer import WindowTransformer

__all__ = ["ESTIMATORS", "PLAIN"]

# Maximum number of readings in the context of a row, about 10,000 rows of 100 channels.
# They take 8 MB, and a network reads 64 such windows at a time.
_MOST_READINGS = 2**20

# The same for the rows whose median is the baseline.
_MOST_OF_BASELINE = 2**24

# Maximum number of training rows: more than fit into memory.
_MOST_ROWS = 2**48

_CONTEXT = {
    "n_context_": Number("i", 0),
    "n_lookahead_": Number("i", 0),
    "n_start_up_": Number("i", 0).maybe(),
}
_FITTED_WITH = {"_fitted_with": Items(ANYTHING, kinds=(dict,))}
_POSITIVE, _FITTED = Number("f", 0), Instance(fitted=True)


def _check_equal(what, found, expected):
    if found != expected:
        raise ValueError(f"{what} is {found}, where {expected} fits")


def _check_context(estimator):
    """Raise if the context of a row is inconsistent or has too many readings."""
    check_parameters_unchanged(estimator)
    n_channels, n_context = estimator.n_features_in_, estimator.n_context_
    n_start_up = getattr(estimator, "n_start_up_", n_context)
    if n_start_up > n_context:
        raise ValueError(f"n_start_up_ is {n_start_up}, above n_context_={n_context}")
    for n_rows, most in ((n_start_up, _MOST_READINGS), (n_context, _MOST_OF_BASELINE)):
        n_rows += estimator.n_lookahead_ + 1
        if n_rows * n_channels > most:
            raise ValueError(
                f"a row needs {n_rows:,} rows of {n_channels:,} channels, more than "
                f"{most:,} readings"
            )


def _check_window(transformer):
    _check_context(transformer)
    _check_equal("n_context_", transformer.n_context_, transformer.window_size - 1)


def _check_features(features):
    _check_context(features)
    _check_equal("n_context_", features.n_context_, features._reach())
    zone = zone_of_training(features)
    if zone is not None:
        # With this prefix, pandas would open any file.
        if zone.startswith("dateutil"):
            raise ValueError("time_zone_ is no name of a zone")
        in_zone(pd.DatetimeIndex(["2000-01-01"], tz="UTC"), zone)


def _check_start_up(detector):
    """Raise unless the rule for start-up rows is one for single rows."""
    rule = detector._step_rule
    _check_equal("_step_rule", (type(rule), rule.window_size), (RULES["last"], 2))
    _check_equal("shape of _first_scale", np.shape(detector._first_scale.floor), ())


def _check_correlations(detector):
    """Raise unless there is a distribution with these correlations."""
    precision = detector._channel_precision
    _check_equal("symmetry", np.array_equal(precision, precision.T), True)
    try:
        np.linalg.cholesky(precision)
    except np.linalg.LinAlgError:
        raise ValueError("_channel_precision is not positive definite") from None


def _check_lstm_autoencoder(detector):
    """Raise unless weights and attributes match the architecture."""
    _check_context(detector)
    n_rows, n_linear, baseline = detector._window_sizes()
    n_features = detector.n_features_in_
    has_linear = bool(detector.linear_variance)
    has_baseline = has_linear and baseline is not None
    _check_maps(detector, n_linear if has_linear else None, has_baseline)
    sizes = [n_rows]
    for name in ("relation_gain_", "predictable_", "_residual_weights"):
        _check_equal(name, hasattr(detector, name), has_linear)
    if has_linear:
        n_views = len(detector._residual_weights)
        _check_equal("length of _residual_weights", n_views, 1 + has_baseline)
        name = "baseline_relation_gain_"
        _check_equal(name, hasattr(detector, name), has_baseline)
        sizes = [n_linear] * (1 + has_baseline)
        if relation_weights(detector.relation_gain_)[1]:
            gain = getattr(detector, name, np.zeros(n_features))
            sizes += [n_rows] * (1 + (relation_weights(gain)[1] > 0))
    _check_rules(detector, sizes, baseline if has_baseline else 1)
    n_start_up = getattr(detector, "n_start_up_", detector.n_context_)
    if detector.network is not None:  # its weights are unknown
        if not max(sizes) - 1 <= n_start_up <= 2 * max(sizes):
            raise ValueError(f"n_start_up_ is {n_start_up}")
        return
    _check_equal("n_start_up_", n_start_up, max(sizes) - 1)
    latent_dim = detector.latent_dim
    latent_dim = None if isinstance(latent_dim, str) else latent_dim
    shapes = _weight_shapes(n_features, tuple(detector.units), latent_dim)
    _check_equal("shapes of weights_", [w.shape for w in detector.weights_], shapes)


def _check_linear_autoencoder(detector):
    """Raise unless the maps match the windows."""
    _check_context(detector)
    n_rows, baseline = detector._window_sizes()
    has_baseline = baseline is not None
    _check_maps(detector, n_rows, has_baseline)
    _check_rules(detector, [n_rows] * (1 + has_baseline), baseline or 1)
    _check_equal("n_start_up_", detector.n_start_up_, n_rows - 1)


def _check_maps(detector, n_rows, has_baseline):
    """Raise unless there are linear maps for windows of this size, or none."""
    has_linear = n_rows is not None
    for prefix, is_expected in (("linear", has_linear), ("baseline", has_baseline)):
        for part in ("mean", "components", "gains"):
            name = f"{prefix}_{part}_"
            _check_equal(name, hasattr(detector, name), is_expected)
    if has_linear:
        n_readings = len(detector.linear_mean_)
        expected = n_rows * detector.n_features_in_
        _check_equal("length of linear_mean_", n_readings, expected)


def _check_rules(detector, sizes, baseline):
    """Raise unless the rules have these window sizes, and the context follows."""
    _check_start_up(detector)
    _check_correlations(detector)
    rules = detector._rules
    _check_equal("_rules", {type(rule) for rule in rules}, {RULES[detector.row_error]})
    found = [rule.window_size for rule in rules]
    _check_equal("window_size of _rules", found, sizes)
    strides = {rule.stride for rule in rules}
    _check_equal("stride of _rules", strides, {detector.stride})
    lookahead = (max(sizes) - 1) * rules[0].looks_ahead
    _check_equal("n_lookahead_", detector.n_lookahead_, lookahead)
    n_start_up = getattr(detector, "n_start_up_", detector.n_context_)
    _check_equal("n_context_", detector.n_context_, max(n_start_up, baseline - 1))


def _weight_shapes(n_features, units, latent_dim):
    """Return the shapes of the weights of an LSTM autoencoder, in order of layers."""
    shapes, width = [], n_features

    def lstm(n_units):
        shapes.extend([(width, 4 * n_units), (n_units, 4 * n_units), (4 * n_units,)])
        return n_units

    def dense(n_units):
        shapes.extend([(width, n_units), (n_units,)])
        return n_units

    for n_units in units:
        width = lstm(n_units)
    if latent_dim is not None:
        width = dense(latent_dim)
    for n_units in reversed(units):
        width = lstm(n_units)
    dense(n_features)
    return shapes


def _check_forecasts(detector):
    """Raise unless the number and the shapes of the forecasts match the parameters."""
    _check_context(detector)
    _check_start_up(detector)
    _check_correlations(detector)
    lags, n_features = detector.lags_, detector.n_features_in_
    rules = detector._rules
    _check_equal("_rules", {type(rule) for rule in rules}, {RULES[detector.row_error]})
    _check_equal("number of _rules", len(rules), len(lags))
    sizes = {rule.window_size for rule in rules}
    _check_equal("window_size of _rules", sizes, {detector.window_size})
    _check_equal("stride of _rules", {rule.stride for rule in rules}, {1})
    n_context = max(lags) + rules[0].n_rows - 1
    _check_equal("n_context_", detector.n_context_, n_context)
    lookahead = (detector.window_size - 1) * rules[0].looks_ahead
    _check_equal("n_lookahead_", detector.n_lookahead_, lookahead)
    widths = [n_rows * n_features for n_rows in lags]
    if detector.regressor is None:
        found = [coefficients.shape for coefficients in detector.coefficients_]
        expected = [(width, n_features) for width in widths]
        _check_equal("shapes of coefficients_", found, expected)
    else:
        found = [regressor.n_features_in_ for regressor in detector.regressors_]
        _check_equal("columns of regressors_", found, widths)


def _check_neighbors(detector):
    """Raise unless there is a search of the right shape for each length and kind."""
    _check_context(detector)
    lengths, n_features = detector.lengths_, detector.n_features_in_
    _check_equal("lengths_", list(lengths), [4**i for i in range(len(lengths))])
    _check_equal("n_context_", detector.n_context_, lengths[-1] - 1)
    view = detector._view()
    _check_equal("n_lookahead_", detector.n_lookahead_, view.n_lookahead)
    searches, expected = detector._rules, view.sizes()
    found = [(search.kind, search.length) for search in searches]
    _check_equal("_rules", found, [pair for pair, _ in expected])
    for search, (_, n_each) in zip(searches, expected, strict=True):
        shape = search.references.shape[1], search.readings.shape[1]
        _check_equal("columns", shape, (n_each * n_features, n_features))
        _check_equal("shape of calibration", np.shape(search.calibration.floor), ())


def _check_search(search):
    if not len(search.rows) or (np.diff(search.rows) <= 0).any():
        raise ValueError("rows do not increase")
    if search.rows[-1] > _MOST_ROWS:
        raise ValueError(f"a row has the number {search.rows[-1]:,}")


def _check_ensemble(ensemble):
    """Raise unless the detectors of an ensemble are consistent."""
    members = ensemble.named_detectors_
    names = [name for name, _ in ensemble.detectors if name in members]
    if not members or list(members) != names:
        raise ValueError(f"named_detectors_ are {list(members)}")
    for attribute in ("_scales", "_weights"):
        _check_equal(attribute, len(getattr(ensemble, attribute)), len(members))
    for name, detector in members.items():
        check_detector(detector, name)
        n_features = getattr(detector, "n_features_in_", ensemble.n_features_in_)
        _check_equal(f"channels of {name}", n_features, ensemble.n_features_in_)
    if not np.isclose(ensemble._weights.sum(), 1):
        raise ValueError("_weights do not sum to 1")
    found = [scale is None for scale in ensemble._scales]
    _check_equal("_scales", found, list(map(is_normalised, members.values())))
    if hasattr(ensemble, "n_context_"):
        _check_context(ensemble)
        contexts = [get_context(detector) for detector in members.values()]
        farthest = tuple(map(max, zip(*contexts, strict=True)))
        _check_equal("context", tuple(get_context(ensemble)), farthest)


def _check_multiscale(rule):
    shape = (n_lengths(rule.window_size),)
    _check_equal("shape of calibration", rule.calibration.floor.shape, shape)


def _check_log_calibration(calibration):
    if not (calibration.unit > 0).all() or not (calibration.floor > 0).all():
        raise ValueError("a scale is not positive")


def _check_parts(*names):
    """Make a check that parts have as many channels as the estimator itself."""

    def check(estimator):
        if hasattr(estimator, "n_context_"):
            _check_context(estimator)
        for name in names:
            n_features = getattr(
                getattr(estimator, name), "n_features_in_", estimator.n_features_in_
            )
            _check_equal(f"channels of {name}", n_features, estimator.n_features_in_)
            if name != "transformer_":
                check_detector(getattr(estimator, name), name)

    return check


def _check_fleet(fleet):
    _check_equal("number of _models", len(fleet._models), len(fleet.groups_))
    _check_equal(
        "number of _messages", len(fleet._messages), len(fleet.fallback_groups_)
    )


def _check_tracker(tracker):
    tracker.rules._validate_params()
    is_raised = tracker.alarm is not None and "raised" in tracker.alarm
    _check_equal("is_raised", tracker.is_raised, is_raised)
    _check_equal("is_calm", tracker.is_calm, tracker.is_calm and is_raised)


def _check_stream(stream):
    """Raise unless alarms have the channels of the stream."""
    check_detector(stream.detector, "detector")
    alarms = stream._alarms
    _check_equal("_alarms", alarms is None, stream.alarm_filter is None)
    for alarm in [] if alarms is None else [*alarms.over, alarms.tracker.alarm]:
        for name in ("contributions", "waiting"):
            if alarm is not None and name in alarm:
                found, width = len(alarm[name]), stream._rows.shape[1]
                _check_equal(f"length of {name}", found, width)


_BY_NUMBER = Array("f", "n") | Number("f")

_RULE = {
    "window_size": Number("i", 2),
    "stride": Number("i", 1),
    "calibration": Instance("LogCalibration"),
}
_MULTISCALE = State(
    {**_RULE, "limit": Number("f", 0, finite=False)}, check=_check_multiscale
)

# Fitted attributes of all residual detectors.
_RESIDUALS = {
    **_CONTEXT,
    **_FITTED_WITH,
    "center_": Array("f", "d", dtype="float64"),
    "n_samples_fit_": Number("i", 1),
    "offset_": Number("f"),
    "missing_error_": _POSITIVE,
    "median_error_": _POSITIVE,
    "_threshold": _POSITIVE,
}

# Those of residual detectors whose rules aggregate residuals.
_WITH_RULES = {
    "_channel_precision": Array("f", "d", "d", dtype="float64"),
    "_channel_scale": Array("f", "d", dtype="float64", low=np.finfo(float).tiny),
    "_rules": Items(Instance("RowErrorRule")),
    "_step_coefficients": Array("f", "d", "d", dtype="float32"),
    "_step_rule": Instance("RowErrorRule"),
    "_first_scale": Instance("LogCalibration"),
}

# Linear maps of windows, and of windows relative to their baseline.
_MAPS = {
    "linear_mean_": Array("f", "w", dtype="float32").maybe(),
    "linear_components_": Array("f", "c", "w", dtype="float32").maybe(),
    "linear_gains_": Array("f", "c", dtype="float32", low=0, high=1).maybe(),
    "baseline_mean_": Array("f", "w", dtype="float32").maybe(),
    "baseline_components_": Array("f", "b", "w", dtype="float32").maybe(),
    "baseline_gains_": Array("f", "b", dtype="float32", low=0, high=1).maybe(),
}

ESTIMATORS = {
    AlarmFilter: State({}),
    AutoregressiveDetector: State(
        {
            **_RESIDUALS,
            "lags_": Items(Number("i", 1), kinds=(tuple,)),
            "coefficients_": Items(Numbers("f")).maybe(),
            "regressors_": Items(_FITTED).maybe(),
            **_WITH_RULES,
        },
        check=_check_forecasts,
    ),
    EnsembleDetector: State(
        {
            **_CONTEXT,
            **_FITTED_WITH,
            "named_detectors_": Items(_FITTED, kinds=(dict,)),
            "left_out_": Items(Text(), kinds=(dict,)),
            "median_error_": Number("f"),
            "offset_": Number("f"),
            "_weights": Array("f", "k", low=0, high=1),
            "_scales": Items(NOTHING | Instance("Calibration")),
        },
        check=_check_ensemble,
    ),
    FleetDetector: State(
        {
            "groups_": ANYTHING,
            "fallback_groups_": ANYTHING,
            "fallback_": _FITTED.maybe(),
            "_models": Items(_FITTED) | Instance("SavedModels"),
            "_messages": Items(Text()),
        },
        check=_check_fleet,
    ),
    HybridDetector: State(
        {
            **_CONTEXT,
            **_FITTED_WITH,
            "screener_": _FITTED,
            "detector_": _FITTED,
            "median_error_": Number("f"),
            "offset_": Number("f"),
            "_cut": Number("f", finite=False),
            "_floor": Number("f"),
            "_screener_scale": Instance("Calibration"),
            "_detector_scale": Instance("Calibration"),
        },
        check=_check_parts("screener_", "detector_"),
    ),
    LSTMAutoencoderDetector: State(
        {
            **_RESIDUALS,
            "history_": Items(Items(Number("f")), kinds=(dict,)),
            "weights_": Items(Numbers("f")),
            "n_iter_": Number("i", 0),
            **_MAPS,
            "relation_gain_": Array("f", "d", low=0, high=1).maybe(),
            "baseline_relation_gain_": Array("f", "d", low=0, high=1).maybe(),
            "predictable_": Array("b", "d").maybe(),
            "_residual_weights": Array("f", "v", "d", low=0).maybe(),
            **_WITH_RULES,
        },
        check=_check_lstm_autoencoder,
    ),
    LinearAutoencoderDetector: State(
        {**_RESIDUALS, **_MAPS, **_WITH_RULES, "n_start_up_": Number("i", 0)},
        check=_check_linear_autoencoder,
    ),
    ReconstructionError: State(
        {**_CONTEXT, "transformer_": _FITTED}, check=_check_parts("transformer_")
    ),
    ReconstructionThreshold: State(
        {
            **_CONTEXT,
            **_FITTED_WITH,
            "_summaries": Items(Instance("ErrorSummary")),
            "threshold_": Number("f") | Array("f", "d"),
            "offset_": Number("f"),
            "median_error_": Number("f"),
            "n_peaks_": (Number("i", 0) | Array("i", "d", low=0)).maybe(),
            "extremal_index_": (
                Number("f", 0, 1) | Array("f", "d", low=0, high=1)
            ).maybe(),
        },
        check=_check_context,
    ),
    ScoreTransformer: State(
        {
            **_CONTEXT,
            **_FITTED_WITH,
            "detector_": _FITTED,
            "_calibration": NOTHING | Instance("Calibration"),
        },
        check=_check_parts("detector_"),
    ),
    TemporalFeatures: State(
        {
            **_CONTEXT,
            **_FITTED_WITH,
            "_calendar": FLAG,
            "time_zone_": (NOTHING | Text()).maybe(),
        },
        check=_check_features,
    ),
    Training: State({}),
    WindowNeighborsDetector: State(
        {
            **_RESIDUALS,
            "lengths_": Items(Number("i", 1), kinds=(tuple,)),
            "_rules": Items(Instance("NeighborSearch")),
        },
        check=_check_neighbors,
    ),
    WindowTransformer: State({**_CONTEXT}, check=_check_window),
}

# Fields of an alarm of a stream, before and after it is raised.
_ROW = Number("i", 0)
_NOT_RAISED = {
    "start": _ROW,
    "end": _ROW,
    "last": _ROW,
    "peak": _ROW,
    "error": Number("f", finite=False),
    "severity": Number("f", 0, 100),
    "priority": Text("low", "medium", "high"),
    "times": Array("M", 4, dtype="datetime64[ns]"),
    "contributions": Array("f", "d", low=0).maybe(),
    "waiting": Array("f", "d", low=0).maybe(),
}
_ALARM = {**_NOT_RAISED, "raised": _ROW, "state": Text("active", "cleared")}

# Classes other than estimators.
PLAIN = {
    AlarmTracker: State(
        {
            "rules": Instance("AlarmFilter"),
            "fitted_threshold": Number("f"),
            "threshold": Number("f"),
            "unit": Number("f", 5e-324),
            "n_rows": Number("i", 0),
            "accumulated": _POSITIVE,
            "n_above": Number("i", 0),
            "alarm": Record(_ALARM) | Record(_NOT_RAISED) | NOTHING,
            "is_raised": FLAG,
            "is_calm": FLAG,
        },
        check=_check_tracker,
    ),
    Calibration: State(
        {
            "knots": Array("f", "n"),
            "values": Array("f", "n"),
            "growth": _POSITIVE,
            "shape": _POSITIVE,
            "above": _POSITIVE,
            "below": _POSITIVE,
        }
    ),
    ErrorSummary: State(
        {
            "ranks": Array("i", "n", low=0),
            "errors": Array("f", "n"),
            "mean": Number("f"),
            "std": _POSITIVE,
        }
    ),
    LogCalibration: State(
        {"floor": _BY_NUMBER, "centre": _BY_NUMBER, "unit": _BY_NUMBER},
        check=_check_log_calibration,
    ),
    NeighborSearch: State(
        {
            "kind": Text(*FEATURES),
            "length": Number("i", 1),
            "rows": Array("i", "n", low=0),
            "center": Array("f", "w"),
            "spread": Array("f", "w", low=1e-300),
            "references": Array(
                "f", "n", "w", low=-INPUT_LIMIT, high=INPUT_LIMIT, dtype="float32"
            ),
            "readings": Array("f", "n", "d", dtype="float32"),
            "calibration": Instance("LogCalibration"),
        },
        check=_check_search,
    ),
    StreamAlarms: State(
        {"tracker": Instance("AlarmTracker"), "over": Items(Record(_ALARM))}
    ),
    StreamingDetector: State(
        {
            "detector": _FITTED,
            "_plan": NOTHING,
            "_rows": Array("f", "n", "*", finite=False),
            "_times": Array("M", "n"),
            "alarm_filter": NOTHING | Instance("AlarmFilter"),
            "_alarms": NOTHING | Instance("StreamAlarms"),
        },
        check=_check_stream,
    ),
    **{
        rule: _MULTISCALE if issubclass(rule, RULES["multiscale"]) else State(_RULE)
        for rule in RULES.values()
    },
}
