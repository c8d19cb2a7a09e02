# SPDX-License-Identifier: MIT
"""Problems outside of the library: interruptions, full disks, extreme readings."""

import ctypes
import re
import resource
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import run_python, tiny_detector, wave
from tsanomaly import (
    HybridDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    TemporalFeatures,
    WindowTransformer,
    _memory,
    _trainers,
    load,
    save,
)
from tsanomaly._backend import import_keras

# Every estimator, and what fails in the middle of its `fit`.
ESTIMATORS = {
    "network": (tiny_detector(epochs=2), "tsanomaly._windows.TrailingWindows.take"),
    "window_mean": (
        tiny_detector(row_error="window_mean"),
        "tsanomaly._trainers._draw_weight",
    ),
    "centered": (
        tiny_detector(row_error="multiscale_centered"),
        "tsanomaly._residual_detector.midway_threshold",
    ),
    "hybrid": (
        HybridDetector(
            IsolationForest(n_estimators=20, random_state=0), tiny_detector()
        ),
        "tsanomaly._hybrid.Calibration",
    ),
    "level": (
        ScoreTransformer(IsolationForest(n_estimators=20, random_state=0)),
        "tsanomaly._score_transformer.Calibration",
    ),
    "errors": (
        ReconstructionError(PCA(1)),
        "tsanomaly._reconstruction_error.get_context",
    ),
    "threshold": (
        ReconstructionThreshold(channels="each"),
        "tsanomaly._threshold.remember_parameters",
    ),
    "windows": (
        WindowTransformer(3),
        "tsanomaly._window_transformer.validate_series",
    ),
    "features": (
        TemporalFeatures(windows=(3,), lags=(2,), rates=(1,)),
        "tsanomaly._features.remember_parameters",
    ),
}
PIPELINES = {
    "each": make_pipeline(
        ReconstructionError(PCA(1)), ReconstructionThreshold(channels="each")
    ),
    "scaled": make_pipeline(StandardScaler(), tiny_detector()),
    "pca": make_pipeline(
        WindowTransformer(5), ReconstructionError(PCA(1)), ReconstructionThreshold()
    ),
    "lof": make_pipeline(
        TemporalFeatures(windows=(3,), lags=(2,), rates=(1,)),
        StandardScaler(),
        LocalOutlierFactor(novelty=True),
    ),
}
ALL = {name: estimator for name, (estimator, _) in ESTIMATORS.items()} | PIPELINES


def results(estimator, X):
    """Scores, or the output of a transformer."""
    method = "score_samples" if hasattr(estimator, "score_samples") else "transform"
    return getattr(estimator, method)(X)


@pytest.fixture(scope="module")
def fitted_ones(series):
    return {name: clone(estimator).fit(series) for name, estimator in ALL.items()}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_fit_that_is_broken_off_leaves_what_was_there(
    name, error, series, fitted_ones, monkeypatch
):
    estimator, fault = ESTIMATORS[name]

    def fail(*args, **kwargs):
        raise error("broken off")

    fresh, old = clone(estimator), clone(estimator).fit(series)
    parameters, before = vars(fresh).copy(), results(old, series)
    with monkeypatch.context() as patch:
        patch.setattr(fault, fail)
        for each in (fresh, old):
            with pytest.raises(error, match="broken off"):
                each.fit(series[::-1])
    assert vars(fresh) == parameters
    with pytest.raises(NotFittedError):
        results(fresh, series)
    np.testing.assert_array_equal(results(old, series), before)
    # Nothing of the broken training is left in what is shared, either.
    expected = results(fitted_ones[name], series)
    np.testing.assert_array_equal(results(fresh.fit(series), series), expected)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_training_is_broken_off_between_batches(error, series, fitted, monkeypatch):
    """With weights half trained."""
    batches = []
    get = _trainers.batch_class().__getitem__

    def fail_later(self, index):
        batches.append(index)
        if len(batches) == 12:
            raise error("broken off")
        return get(self, index)

    detector = clone(fitted)
    with monkeypatch.context() as patch:
        patch.setattr(_trainers.batch_class(), "__getitem__", fail_later)
        # TensorFlow makes an error of its own of any that is raised in there.
        on_tensorflow = import_keras().backend.backend() == "tensorflow"
        with pytest.raises(Exception if on_tensorflow else error, match="broken off"):
            detector.fit(series)
    with pytest.raises(NotFittedError):
        detector.predict(series)
    np.testing.assert_array_equal(
        detector.fit(series).score_samples(series), fitted.score_samples(series)
    )


@pytest.mark.parametrize("name", ALL)
def test_threads(name, fitted_ones, series):
    serial = results(fitted_ones[name], series)
    with ThreadPoolExecutor(8) as pool:
        for scores in pool.map(lambda _: results(fitted_ones[name], series), range(16)):
            np.testing.assert_array_equal(scores, serial)


def test_loky_workers(fitted_ones, series):
    scores = Parallel(n_jobs=2, backend="loky")(
        delayed(results)(estimator, series) for estimator in fitted_ones.values()
    )
    for name, score in zip(fitted_ones, scores, strict=True):
        np.testing.assert_array_equal(score, results(fitted_ones[name], series))


def test_spawned_processes(fitted_ones, series, tmp_path):
    detectors = [fitted_ones[name] for name in ("network", "hybrid", "pca")]
    joblib.dump((detectors, series), tmp_path / "in.joblib")
    run_python(f"""
import joblib, multiprocessing
from operator import methodcaller
detectors, series = joblib.load({str(tmp_path / "in.joblib")!r})
with multiprocessing.get_context("spawn").Pool(2) as pool:
    scores = pool.map(methodcaller("score_samples", series), detectors, chunksize=1)
joblib.dump(scores, {str(tmp_path / "out.joblib")!r})
""")
    scores = joblib.load(tmp_path / "out.joblib")
    for detector, score in zip(detectors, scores, strict=True):
        np.testing.assert_array_equal(score, detector.score_samples(series))


def spoilt(value):
    X = wave(40)
    X[20] = value
    return X


# Either what refuses it says so, or a scaler before it has made NaN of the channel.
HUGE = "too large|Scale|beyond|is NaN in every channel|contains NaN"
NORMAL, CONSTANT = wave(40), np.full((40, 2), 3.0)
# What is fitted on, what is scored, and what an estimator may say instead of scores.
EXTREMES = {
    "one huge reading": (NORMAL, spoilt(1e300), HUGE),
    "one huge negative reading": (NORMAL, spoilt(-1e300), HUGE),
    "one reading of 1e30": (NORMAL, spoilt(1e30), None),
    "huge in training": (spoilt(1e300), NORMAL, HUGE),
    "all huge": (NORMAL * 1e300, NORMAL * 1e300, HUGE),
    "smallest denormals": (NORMAL * 5e-324, NORMAL * 5e-324, None),
    "denormals": (NORMAL * 1e-310, NORMAL * 1e-310, None),
    "denormals to score": (NORMAL, NORMAL * 1e-310, None),
    "constant": (CONSTANT, CONSTANT, None),
    "zeros": (CONSTANT * 0, CONSTANT * 0, None),
    "no longer constant": (CONSTANT, NORMAL, None),
    "equal windows": (np.tile([[0.0, 1.0]], (40, 1)),) * 2 + (None,),
    "one row": (NORMAL, NORMAL[:1], None),
    "one row to learn": (NORMAL[:1], NORMAL[:1], "window_size|n_samples"),
    "one channel": (NORMAL[:, :1], NORMAL[:, :1], None),
    "500 channels": (wave(40, 500), wave(40, 500), None),
}


@pytest.mark.parametrize("case", EXTREMES)
@pytest.mark.parametrize("name", ALL)
def test_extreme_readings(name, case):
    """Finite results, or an error that says what is wrong."""
    training, new, message = EXTREMES[case]
    said = None
    try:
        with warnings.catch_warnings():
            # Of scikit-learn's arithmetic; what comes of it is looked at here.
            warnings.simplefilter("ignore", RuntimeWarning)
            found = results(clone(ALL[name]).fit(training), new)
    except ValueError as error:
        said = str(error)
    if said is not None:
        assert message is not None, said
        assert re.search(message, said)
    else:
        assert len(found) == len(new)
        assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("estimator", "n_rows", "n_channels", "message"),
    [
        (
            LSTMAutoencoderDetector(window_size=10_000),
            20_000,
            50,
            r"19,999 windows of 10,000 rows and 50 channels needs about [\d.]+ GB",
        ),
        (
            WindowTransformer(window_size=10_000),
            20_000,
            50,
            r"windows of 10,000 rows and 50 channels, .* needs about 80\.0 GB",
        ),
        (
            TemporalFeatures(interactions=True),
            2_000,
            500,
            r"2,000 rows and [\d,]+ features needs about [\d.]+ GB",
        ),
    ],
)
def test_what_does_not_fit_into_memory(
    estimator, n_rows, n_channels, message, monkeypatch
):
    """It is refused before memory is taken."""
    monkeypatch.setattr(_memory, "available_memory", lambda: 10**9)
    X = np.zeros((n_rows, n_channels), np.float64)
    X[10] = np.nan  # a break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MemoryError, match=message + r" of memory, but 1\.0 GB are"):
        estimator.fit(X).transform(X)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    assert grown < 200_000 * (1 if sys.platform == "linux" else 1024)


def test_available_memory(tmp_path, monkeypatch):
    plenty = _memory.available_memory()
    assert 10**6 < plenty < 10**14
    # A container may use less than there is, and its cache of files is no use.
    for name, text in {
        "limit": "9000000",
        "usage": "8000000",
        "stat": "anon 5000000\ninactive_file 1000000\nactive_file 2000000\n",
    }.items():
        (tmp_path / name).write_text(text)
    group = (
        tmp_path / "limit",
        tmp_path / "usage",
        (tmp_path / "stat", ("inactive_file", "active_file")),
    )
    monkeypatch.setattr(_memory, "_CONTROL_GROUPS", (group,))
    assert _memory.available_memory() == 4_000_000
    (tmp_path / "limit").write_text("max")
    assert _memory.available_memory() > 10**7


@pytest.mark.parametrize("library", [object(), None])
def test_memory_is_given_back_where_the_c_library_can(library, monkeypatch):
    """Others have no such function, or cannot be asked."""
    _memory.release_memory()
    monkeypatch.setattr(ctypes, "CDLL", library and (lambda _: library))
    _memory.release_memory()


FULL = """
import resource, signal, sys
# A disk that takes no file of more than 20,000 bytes.
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
"""


def test_a_full_disk(series, tmp_path):
    path = tmp_path / "model.skops"
    save(IsolationForest(n_estimators=2, random_state=0).fit(series), path)
    before = path.read_bytes()
    np.savetxt(
        tmp_path / "plant.csv",
        wave(2000, 3),
        delimiter=",",
        header="a,b,c",
        comments="",
    )
    shown = run_python(
        FULL
        + f"""
from sklearn.ensemble import IsolationForest
from tests.helpers import wave
from tsanomaly import save
from tsanomaly._cli import main
try:
    save(IsolationForest(n_estimators=20, random_state=0).fit(wave(500)), {str(path)!r})
except OSError as error:
    print(error)
sys.stderr = sys.stdout
command = "train plant.csv --detector pca --no-plots --timestamp none".split()
import os
os.chdir({str(tmp_path)!r})
print(main(command))
"""
    )
    saved, *plan, command, status = shown.splitlines()
    assert len(plan) == 3  # what is trained on what
    for line in (saved, command):
        assert "cannot be written: File too large. All files are as they were" in line
        assert "Free disk space" in line
    assert str(path) in saved
    assert command.startswith("tsanomaly train: error: ")
    assert status == "1"
    assert path.read_bytes() == before
    assert not list(tmp_path.rglob("*.tmp"))
    assert np.isfinite(load(path).score_samples(series)).all()


def test_a_read_only_folder(series, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    model = IsolationForest(n_estimators=2, random_state=0).fit(series)
    monkeypatch.setattr("tsanomaly._saving._atomic_write.open", refuse, raising=False)
    with pytest.raises(
        PermissionError, match=r"model\.skops cannot be written.*denied"
    ):
        save(model, tmp_path / "model.skops")
    assert not list(tmp_path.iterdir())
