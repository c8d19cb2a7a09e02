# SPDX-License-Identifier: MIT
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests import reference
from tests.helpers import tiny_detector, wave
from tsanomaly import _linear_map, _threads
from tsanomaly._linear_map import LinearMap
from tsanomaly._windows import TrailingWindows


def test_the_linear_map_is_the_best_of_all_for_noisy_windows():
    """Wiener's filter, by hand: C (C + noise)^-1, with C the windows' covariance."""
    X = np.cumsum(np.random.default_rng(0).normal(size=(300, 2)), axis=0)
    detector = tiny_detector(linear_variance=0.7).fit(X)
    windows = reference.flat_windows(X, 5)
    covariance = np.cov(windows.T)
    variance = np.trace(covariance)

    def filtered(noise):
        return covariance @ np.linalg.inv(covariance + noise * np.eye(10))

    low, high = 1e-9, 1e9
    for _ in range(200):
        noise = np.sqrt(low * high)
        share = np.trace(filtered(noise) @ covariance) / variance
        low, high = (noise, high) if share > 0.7 else (low, noise)
    components, gains = detector.linear_components_, detector.linear_gains_
    np.testing.assert_allclose(
        components.T * gains @ components, filtered(noise), atol=1e-3
    )


def test_the_linear_map_of_wide_windows_is_found_by_a_random_projection(monkeypatch):
    rng = np.random.default_rng(0)
    X = wave(700, 3) @ rng.normal(size=(3, 20)) + 0.3 * rng.normal(size=(700, 20))
    filters, components = [], []
    for widest, seed in ((100, 0), (100, 1), (99, 0), (99, 1)):
        monkeypatch.setattr(_linear_map, "_WIDEST_EXACT", widest)
        detector = tiny_detector(random_state=seed).fit(X)
        directions, gains = detector.linear_components_, detector.linear_gains_
        components.append(directions)
        filters.append(directions.T * gains @ directions)
    assert (components[0] == components[1]).all()
    assert (components[2] != components[3]).any()
    for projected in filters[2:]:
        np.testing.assert_allclose(projected, filters[0], atol=0.004)


@pytest.mark.parametrize("widest", [640, 0])
def test_the_linear_map_is_the_same_with_any_number_of_threads(widest, monkeypatch):
    """In its last digits too, from which training would go elsewhere."""
    monkeypatch.setattr(_linear_map, "_WIDEST_EXACT", widest)
    windows = TrailingWindows(
        wave(2000, 4).astype(np.float32), 80, np.zeros(2000, bool)
    )
    maps = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            maps.append(LinearMap.fit(windows, windows.rows, 0.8, seed=0))
    one, two = maps
    assert (one.components == two.components).all()
    assert (one.gains == two.gains).all()


def test_threads_that_fit_at_the_same_time_limit_linear_algebra_together():
    inside = threading.Event()

    def limits():
        pools = _threads._thread_pools().select(user_api="blas").info()
        return {found["num_threads"] for found in pools}

    def stay(seconds):
        with _threads.in_one_thread():
            inside.set()
            time.sleep(seconds)
            return limits()

    before = limits()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(stay, 0.05)
        assert inside.wait(10)
        second = pool.submit(stay, 0.1)  # would outlast the first
        assert first.result() | second.result() <= {1}  # empty where none is known
    assert limits() == before


@pytest.mark.filterwarnings("ignore:.*Scale the series:UserWarning")
def test_the_linear_map_does_not_depend_on_offset_and_unit():
    X = np.cumsum(np.random.default_rng(0).normal(size=(2000, 2)), axis=0)
    gains = tiny_detector().fit(X).linear_gains_
    for other in (X + 1000, X + 1e9, X * 1e-25):
        np.testing.assert_allclose(
            tiny_detector().fit(other).linear_gains_, gains, rtol=0.01
        )


def test_the_linear_map_learns_from_all_windows_but_those_held_out():
    X = wave(200)
    components = []
    for first in (155, 165):  # of 160 that are learned from
        spoilt = X.copy()
        spoilt[first:] = spoilt[first:, ::-1] * 3
        detector = tiny_detector(validation_fraction=0.2).fit(spoilt)
        components.append(detector.linear_components_)
    expected = tiny_detector().fit(X[:160]).linear_components_
    np.testing.assert_array_equal(components[1], expected)
    assert not np.allclose(components[0], expected, atol=1e-3)


@pytest.mark.filterwarnings("ignore:.*cannot be predicted:UserWarning")
def test_the_linear_map_keeps_few_components():
    X = np.random.default_rng(0).normal(size=(400, 20))
    detector = tiny_detector().fit(X)
    assert detector.linear_components_.shape == (64, 100)
    assert ((detector.linear_gains_ >= 0) & (detector.linear_gains_ <= 1)).all()
    detector.set_params(linear_variance=0).fit(X)
    for name in ("linear_components_", "relation_gain_", "predictable_"):
        assert not hasattr(detector, name)
    assert np.isfinite(detector.score_samples(X)).all()
