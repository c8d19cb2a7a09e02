# SPDX-License-Identifier: MIT
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import genpareto
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags

from tests import reference
from tsanomaly import ReconstructionThreshold
from tsanomaly._calibration import midway_threshold

ERRORS = arrays(
    np.float64,
    st.tuples(st.integers(2, 60), st.integers(1, 3)),
    elements=st.floats(0, 1e6),
)
LEVELS = {"quantile": "quantile", "sigma": "k", "mad": "k", "pot": "quantile"}


@given(ERRORS, st.floats(0.01, 0.99))
def test_quantile_flags_the_stated_share(errors, quantile):
    flagged = ReconstructionThreshold(quantile=quantile).fit_predict(errors) == -1
    stated = int((1 - quantile) * len(errors) + 1e-9)
    means = errors.mean(axis=1)
    if len(np.unique(means)) == len(means):
        assert flagged.sum() == stated
    else:  # none of the errors that tie at the cut is flagged
        assert flagged.sum() <= stated


@given(ERRORS, st.floats(0, 0.9))
def test_midway_threshold_lies_between_neighbours(errors, share):
    errors = errors.ravel()
    threshold = midway_threshold(errors, share)
    below, above = errors[errors <= threshold], errors[errors > threshold]
    assert len(above) <= share * len(errors) + 1e-6
    if len(above):
        middle = below.max() + (above.min() - below.max()) / 2
        assert threshold == pytest.approx(middle, rel=1e-12)
    else:
        assert threshold > errors.max()


@pytest.mark.filterwarnings("ignore:method='mad' cannot estimate")
@pytest.mark.parametrize("channels", ["mean", "max", "each"])
@pytest.mark.parametrize("method", LEVELS)
@given(errors=ERRORS, data=st.data())
def test_threshold_is_monotone_in_its_level(channels, method, errors, data):
    if LEVELS[method] == "k":
        levels = st.floats(0, 10)
    elif method == "pot":
        levels = st.floats(0.981, 0.9999)
    else:
        levels = st.floats(0.01, 0.99)
    low, high = sorted([data.draw(levels), data.draw(levels)])
    lower, higher = (
        ReconstructionThreshold(method, channels=channels, **{LEVELS[method]: level})
        .fit(errors)
        .threshold_
        for level in (low, high)
    )
    assert np.all(lower <= higher * (1 + 1e-9) + 1e-300)


@pytest.mark.filterwarnings("ignore:method='mad' cannot estimate")
@pytest.mark.parametrize("channels", ["mean", "max", "each"])
@pytest.mark.parametrize("method", LEVELS)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 30), st.integers(1, 3)),
        elements=st.floats(-1e100, 1e100),
    )
)
def test_any_finite_input_gives_finite_scores(channels, method, X):
    X = np.abs(X) if channels == "each" else X
    threshold = ReconstructionThreshold(method, channels=channels).fit(X)
    assert np.isfinite(threshold.threshold_).all()
    assert np.isfinite(threshold.decision_function(X)).all()


def test_channels():
    errors = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]])
    half = {"quantile": 0.5}
    mean = ReconstructionThreshold(channels="mean", **half).fit(errors)
    assert mean.threshold_ == (11 + 16.5) / 2
    assert mean.offset_ == -mean.threshold_
    largest = ReconstructionThreshold(channels="max", **half).fit(errors)
    assert largest.threshold_ == 25
    each = ReconstructionThreshold(channels="each", **half).fit(errors)
    np.testing.assert_array_equal(each.threshold_, [2.5, 25])
    assert each.offset_ == -1
    np.testing.assert_array_equal(each.score_samples([[5.0, 5.0]]), [-2])
    np.testing.assert_array_equal(
        each.predict([[2.4, 24.0], [2.6, 0.0], [0.0, 26.0]]), [1, -1, -1]
    )


def test_each_with_a_channel_without_error():
    errors = np.column_stack([np.zeros(100), np.arange(100.0)])
    each = ReconstructionThreshold(channels="each").fit(errors)
    assert (each.threshold_ > 0).all()
    assert (each.predict(errors) == -1).sum() == 1
    np.testing.assert_array_equal(each.predict([[1e-3, 0.0], [0.0, 0.0]]), [-1, 1])
    assert np.isfinite(each.score_samples([[1e300, 0.0]])).all()


@pytest.mark.parametrize("shift", [0.0, -0.5, -3.0, -10.0])
def test_each_takes_errors_below_zero(shift, rng):
    """Whatever the offset of a channel: the same rows lie beyond its threshold."""
    errors = rng.exponential(size=(500, 2)) + np.array([0.0, shift])
    each = ReconstructionThreshold(channels="each", quantile=0.9).fit(errors)
    beyond = (errors > each.threshold_).any(axis=1)
    assert 0.1 <= beyond.mean() <= 0.2
    np.testing.assert_array_equal(each.predict(errors) == -1, beyond)
    worse = each.threshold_[1] + np.linspace(0, 5, 50)
    scores = each.score_samples(np.column_stack([np.zeros(50), worse]))
    assert (np.diff(scores) < 0).all()


def test_each_leaves_small_channels_alone(rng):
    errors = rng.uniform(size=(1000, 2)) * [1e10, 1e-8]
    each = ReconstructionThreshold(channels="each").fit(errors)
    assert each.threshold_[1] == pytest.approx(1e-8, rel=0.05)
    assert each.predict([[0.0, 1e-7]]) == [-1]


def test_one_outlier_in_few_rows_does_not_disarm():
    errors = np.append(np.linspace(1, 2, 49), 1000.0).reshape(-1, 1)
    threshold = ReconstructionThreshold(quantile=0.99).fit(errors)
    assert 1000 < threshold.threshold_ < 1001
    tiny = ReconstructionThreshold(quantile=1e-12).fit(errors)
    assert (tiny.predict(errors) == -1).sum() == 49


def test_sigma_and_mad(rng):
    errors = rng.normal(10, 2, size=(100_000, 1))
    sigma = ReconstructionThreshold("sigma", k=2).fit(errors).threshold_
    mad = ReconstructionThreshold("mad", k=2).fit(errors).threshold_
    assert sigma == errors.mean() + 2 * errors.std()
    assert mad == pytest.approx(14, abs=0.1)
    errors[:5000] = 1e6
    assert ReconstructionThreshold("sigma", k=2).fit(errors).threshold_ > 1e5
    assert ReconstructionThreshold("mad", k=2).fit(errors).threshold_ < 15


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.3])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_pot_extrapolates_the_tail(shape, unit):
    errors = unit * genpareto.rvs(shape, size=(20_000, 1), random_state=0)
    threshold = ReconstructionThreshold("pot", quantile=0.9999).fit(errors).threshold_
    assert threshold == pytest.approx(unit * genpareto.ppf(0.9999, shape), rel=0.25)


@pytest.mark.parametrize("n", [100, 400, 1000])
def test_pot_is_sane_on_small_tails(n):
    """Exponential errors: the true quantile is 9.2."""
    rng = np.random.default_rng(n)
    thresholds = [
        ReconstructionThreshold("pot", quantile=0.9999)
        .fit(rng.exponential(size=(n, 1)))
        .threshold_
        for _ in range(200)
    ]
    assert np.median(thresholds) == pytest.approx(9.2, rel=0.3)
    assert np.max(thresholds) < 10 * 9.2
    assert np.min(thresholds) > 2.5


@pytest.mark.parametrize(("n", "quantile"), [(10_000, 0.999), (100_000, 0.9999)])
def test_pot_on_bounded_errors(n, quantile, rng):
    """Uniform errors: about as many of new rows are flagged as was asked for."""
    flagged = []
    for _ in range(50):
        threshold = ReconstructionThreshold("pot", quantile=quantile)
        threshold.fit(rng.uniform(size=(n, 1)))
        flagged.append(max(1 - threshold.threshold_, 0.0))
    assert np.mean(flagged) == pytest.approx(1 - quantile, rel=0.2)
    assert np.mean(np.array(flagged) > 0) > 0.95


@pytest.mark.parametrize("power", [0.5, 1, 1.5])
def test_a_bounded_tail_ends_beyond_the_largest_error(power, rng):
    errors = 1 - rng.uniform(size=(500, 1)) ** (1 / power)
    ends = [
        ReconstructionThreshold("pot", quantile=quantile).fit(errors).threshold_
        for quantile in (1 - 1e-9, 1 - 1e-12, 1 - 1e-15)
    ]
    assert ends[0] <= ends[1] <= ends[2]
    assert errors.max() < ends[2] < 1.5


def test_pot_reaches_beyond_the_training_errors(rng):
    errors = rng.exponential(size=(2000, 1))
    threshold = ReconstructionThreshold("pot", quantile=1 - 1e-6).fit(errors)
    assert threshold.threshold_ > 1.1 * errors.max()
    assert threshold.threshold_ == pytest.approx(-np.log(1e-6), rel=0.3)


@given(
    arrays(np.float64, st.integers(2, 30), elements=st.integers(0, 8)),
    st.data(),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_f_score_finds_the_best_threshold(errors, data, beta):
    y = data.draw(arrays(bool, len(errors)))
    assume(y.any())
    threshold = ReconstructionThreshold("f_score", beta=beta)
    flagged = threshold.fit_predict(errors.reshape(-1, 1), y.astype(int)) == -1
    found = (flagged & y).sum()
    score = (1 + beta**2) * found / (beta**2 * y.sum() + flagged.sum())
    assert score == pytest.approx(reference.best_f_score(errors, y, beta))


def test_mad_warns_where_it_cannot_tell():
    errors = np.append(np.zeros(70), np.arange(1.0, 31)).reshape(-1, 1)
    with pytest.warns(UserWarning, match="half"):
        ReconstructionThreshold("mad").fit(errors)


def test_f_score_may_flag_everything():
    errors = np.array([[1.0], [2.0]])
    threshold = ReconstructionThreshold("f_score").fit(errors, [1, 1])
    assert (threshold.predict(errors * (1 - 1e-9)) == -1).all()


def test_channels_changed_after_fit_are_refused():
    threshold = ReconstructionThreshold().fit([[1.0], [2.0]]).set_params(channels="max")
    with pytest.raises(ValueError, match="'mean' to 'max'"):
        threshold.predict([[1.0]])


def test_f_score_threshold_lies_midway():
    threshold = ReconstructionThreshold("f_score").fit(
        [[1.0], [2.0], [4.0], [5.0]], [0, 0, 1, 1]
    )
    assert threshold.threshold_ == 3


@pytest.mark.parametrize("channels", ["mean", "max", "each"])
def test_breaks_are_not_used_and_not_flagged(channels):
    errors = np.arange(100.0).reshape(-1, 1)
    with_break = np.insert(errors, 50, np.nan, axis=0)
    threshold = ReconstructionThreshold(channels=channels).fit(with_break)
    expected = ReconstructionThreshold(channels=channels).fit(errors)
    assert threshold.threshold_ == expected.threshold_
    assert threshold.predict(with_break)[50] == 1
    assert np.isnan(threshold.score_samples(with_break)[50])
    y = np.insert((errors[:, 0] > 89).astype(int), 50, 1)
    assert ReconstructionThreshold("f_score").fit(with_break, y).threshold_ == 89.5


def test_y_is_ignored_by_the_other_methods():
    errors = np.arange(100.0).reshape(-1, 1)
    expected = ReconstructionThreshold().fit(errors).threshold_
    assert ReconstructionThreshold().fit(errors, ["a"] * 100).threshold_ == expected
    assert not get_tags(ReconstructionThreshold()).target_tags.required
    assert get_tags(ReconstructionThreshold("f_score")).target_tags.required


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        ({"method": "f_score"}, None, "requires y to be passed"),
        ({"method": "f_score"}, [0] * 4, "at least one anomaly"),
        ({"method": "f_score"}, [1, -1, 1, 1], r"y = \(y == -1\).astype\(int\)"),
        ({"method": "f_score"}, [0, 1, 2, 0], "must contain 0 .* and 1"),
        ({"method": "f_score"}, [0, 1], "one label for each of the 4 rows"),
        ({"method": "f_score", "channels": "each"}, [0, 0, 0, 1], "channels='each'"),
        ({"method": "pot", "quantile": 0.9}, None, "quantile above 0.98"),
        ({"method": "top"}, None, "'method' parameter"),
        ({"quantile": 1.0}, None, "'quantile' parameter"),
        ({"k": -1}, None, "'k' parameter"),
    ],
)
def test_refuses(parameters, y, message):
    threshold = ReconstructionThreshold(**parameters)
    with pytest.raises(ValueError, match=message):
        threshold.fit(np.arange(4.0).reshape(-1, 1), y)
    with pytest.raises(NotFittedError):
        threshold.predict([[1.0]])


def test_refuses_what_cannot_be_computed():
    with pytest.raises(ValueError, match="NaN"):
        ReconstructionThreshold().fit(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="too large for"):
        ReconstructionThreshold("sigma").fit([[1e308], [1e308], [0.0]])
    frame = pd.DataFrame({"flow": [1.0, 2.0], "pressure": [np.nan, np.nan]})
    with pytest.raises(ValueError, match="'pressure'"):
        ReconstructionThreshold(channels="each").fit(frame)


@pytest.mark.parametrize("channels", ["mean", "max", "each"])
def test_channels_without_an_error(channels):
    """A row goes by the channels that have one."""
    errors = np.array([[1.0, np.nan], [np.nan, 4.0], [3.0, 2.0], [np.nan, np.nan]])
    threshold = ReconstructionThreshold(channels=channels, quantile=0.5).fit(errors)
    expected = {"mean": [1, 4, 2.5], "max": [1, 4, 3], "each": [0.5, 4 / 3, 1.5]}
    scores = threshold.score_samples(errors)
    assert_allclose(-scores[:3], expected[channels])
    assert np.isnan(scores[3])
    assert threshold.predict(errors)[3] == 1
    if channels == "each":
        assert_allclose(threshold.threshold_, [2, 3])


@pytest.mark.parametrize("channels", ["mean", "max", "each"])
@pytest.mark.parametrize("wanted", [{"quantile": 0.9}, {"k": 2.0}])
def test_another_threshold_is_that_of_another_fit(channels, wanted, rng):
    errors = rng.gamma(1, size=(200, 3)).round(1)  # some tie
    errors[:, 2] *= channels != "each"  # without error, and so with the floor
    errors[7] = np.nan  # a break
    fitted = ReconstructionThreshold("mad", channels=channels).fit(errors)
    before = fitted.threshold_
    other = fitted.with_threshold(**wanted)
    method = "quantile" if "quantile" in wanted else "sigma"
    again = clone(fitted).set_params(method=method, **wanted).fit(errors)
    assert other.get_params() == again.get_params()
    assert_array_equal(other.threshold_, again.threshold_)
    assert_array_equal(other.predict(errors), again.predict(errors))
    assert fitted.method == "mad"
    assert_array_equal(fitted.threshold_, before)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.9999999])
def test_another_quantile_of_many_rows(quantile, rng):
    """The share of larger errors is off by two hundredths at most."""
    errors = rng.pareto(2, size=(100_000, 1))
    fitted = ReconstructionThreshold(quantile=0.3).fit(errors)
    threshold = fitted.with_threshold(quantile=quantile).threshold_
    wanted = np.floor((1 - quantile) * len(errors) + 1e-9)
    assert (errors > threshold).sum() == pytest.approx(wanted, rel=0.02, abs=0.5)
    sigma = fitted.with_threshold(k=3).threshold_
    assert sigma == errors.mean() + 3 * errors.std()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({}, "either quantile or k"),
        ({"quantile": 0.9, "k": 3}, "either quantile or k"),
        ({"quantile": 1.0}, "'quantile' parameter"),
        ({"k": -1}, "'k' parameter"),
    ],
)
def test_no_other_threshold(wanted, message):
    fitted = ReconstructionThreshold().fit(np.arange(4.0).reshape(-1, 1))
    with pytest.raises(ValueError, match=message):
        fitted.with_threshold(**wanted)
    with pytest.raises(NotFittedError):
        ReconstructionThreshold().with_threshold(k=3)
