# SPDX-License-Identifier: MIT
"""Functions that are called at the same time."""

import threading

import joblib
import numpy as np
import pytest

from tests.helpers import blending_detector, related, wave
from tsanomaly import LinearAutoencoderDetector, _threads
from tsanomaly._progress import listening, tell
from tsanomaly._threads import together

MANY = 10_000  # rows


@pytest.fixture(params=[1, 4], ids=["one core", "four cores"])
def n_cores(request, monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: request.param)
    return request.param


def blas_threads():
    pools = _threads._thread_pools().select(user_api="blas").info()
    return [found["num_threads"] for found in pools]


def test_results_are_in_order(n_cores):
    assert together([lambda: 1, lambda: 2, lambda: 3], MANY) == [1, 2, 3]
    assert together([lambda: 1], MANY) == [1]


def test_functions_run_at_the_same_time(monkeypatch):
    """Each waits for the other."""
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    barrier = threading.Barrier(2)
    together([lambda: barrier.wait(10), lambda: barrier.wait(10)], MANY)


def test_the_last_function_runs_in_this_thread(n_cores):
    *others, last = together([threading.current_thread] * 3, MANY)
    assert last is threading.current_thread()
    for other in others:
        assert (other is last) == (n_cores == 1)


def test_few_rows_need_no_threads(n_cores):
    threads = together([threading.current_thread] * 2, 10)
    assert threads == [threading.current_thread()] * 2


def test_calls_may_be_nested(n_cores):
    def inner():
        return together([lambda: 1, lambda: 2], MANY)

    assert together([inner, inner], MANY) == [[1, 2], [1, 2]]


def fails(message):
    raise ValueError(message)


@pytest.mark.parametrize(
    ("failing", "message"), [((0,), "0"), ((2,), "2"), ((0, 1), "0")]
)
def test_errors_are_raised_when_all_have_ended(n_cores, failing, message):
    before, ended = blas_threads(), []

    def run(number):
        if number in failing:
            fails(str(number))
        ended.append(number)

    functions = [lambda number=number: run(number) for number in range(3)]
    with pytest.raises(ValueError, match=f"^{message}$"):
        together(functions, MANY)
    if n_cores > 1:
        assert sorted([*ended, *failing]) == [0, 1, 2]
    assert blas_threads() == before


def test_only_the_last_function_reports_progress(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    told = []
    with listening(lambda *step: told.append(step)):
        together([lambda: tell(1, 1, "others"), lambda: tell(1, 1, "rows")], MANY)
    assert (1, 1, "rows") in told


@pytest.fixture(scope="module")
def blending():
    """A detector whose network counts, and a series with a break and a fault."""
    X = related(1500)
    detector = blending_detector(window_size=(4, 8, 101)).fit(X)
    assert (detector.relation_gain_ > 0.5).all()
    X[700] = np.nan
    X[900:905, 0] += 3
    return detector, X


@pytest.mark.parametrize("method", ["score_samples", "transform", "reconstruct"])
def test_scores_do_not_depend_on_threads(blending, method, monkeypatch):
    detector, X = blending
    found, told = [], []
    for n_cores in (1, 2):
        monkeypatch.setattr(joblib, "cpu_count", lambda n_cores=n_cores: n_cores)
        told.append([])
        with listening(lambda *step, steps=told[-1]: steps.append(step)):
            found.append(getattr(detector, method)(X))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-6)
    assert told[0] == told[1]


@pytest.mark.parametrize("rule", ["multiscale", "multiscale_centered"])
def test_maps_do_not_depend_on_threads(rule, monkeypatch):
    X, found = wave(2000), []
    for n_cores in (1, 2):
        monkeypatch.setattr(joblib, "cpu_count", lambda n_cores=n_cores: n_cores)
        detector = LinearAutoencoderDetector((20, 101), row_error=rule, random_state=0)
        found.append(detector.fit(X))
    one, two = found
    np.testing.assert_array_equal(one.linear_components_, two.linear_components_)
    np.testing.assert_array_equal(one.baseline_components_, two.baseline_components_)
    np.testing.assert_allclose(one.offset_, two.offset_, rtol=1e-5)
