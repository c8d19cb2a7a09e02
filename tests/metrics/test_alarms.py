# SPDX-License-Identifier: MIT
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import SHARED_DATA, needs_shared_data
from tests.metrics import slow_reference as slow
from tsanomaly import ReconstructionError
from tsanomaly.datasets import load_smd
from tsanomaly.metrics import (
    channel_hit_rate,
    detection_delay,
    event_precision_recall_fscore,
    false_alarms_per_day,
)

Y_TRUE = np.array([0, 1, 1, 1, 0, 0, 1, 1, 0, 1])
Y_PRED = np.array([1, 0, 0, 1, 0, 1, 1, 0, 1, 0])


def quietly(metric, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return metric(*args, **kwargs)


def minutes(n_rows=10, **parameters):
    return pd.date_range("2024-01-01", periods=n_rows, freq="5min", **parameters)


class TestDetectionDelay:
    def test_in_rows(self):
        delay = detection_delay(Y_TRUE, Y_PRED)
        np.testing.assert_array_equal(delay.per_event, [2, 0, np.nan])
        assert (delay.mean, delay.median) == (1.0, 1.0)
        assert delay.found == pytest.approx(2 / 3)
        assert all(isinstance(delay[name], float) for name in ("mean", "median"))

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    @pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
    def test_in_time(self, unit, tz):
        times = minutes(tz=tz).as_unit(unit)
        delay = detection_delay(Y_TRUE, Y_PRED, times=times)
        assert delay.per_event.dtype == "timedelta64[ns]"
        expected = pd.to_timedelta(["10min", "0min", None]).as_unit("ns")
        assert expected.equals(pd.Index(delay.per_event))
        assert delay.mean == delay.median == pd.Timedelta("5min")

    @pytest.mark.parametrize("kind", [np.asarray, pd.Series, list])
    def test_kinds_of_times(self, kind):
        delay = detection_delay(Y_TRUE, Y_PRED, times=kind(minutes()))
        assert delay.mean == pd.Timedelta("5min")

    def test_a_mean_between_two_ticks(self):
        times = pd.date_range("2024-01-01", periods=4, freq="s").as_unit("s")
        delay = detection_delay([1, 0, 1, 1], [1, 0, 0, 1], times=times)
        assert delay.mean == delay.median == pd.Timedelta("500ms")

    def test_a_gap_counts(self):
        times = minutes(3).delete(1)
        assert detection_delay([1, 1], [0, 1], times=times).mean == pd.Timedelta(
            "10min"
        )

    def test_a_change_of_the_clock_does_not(self):
        times = pd.date_range("2024-03-31 01:30", periods=2, freq="h", tz="CET")
        assert times[1].hour == 3
        delay = detection_delay([1, 1], [0, 1], times=times)
        assert delay.mean == pd.Timedelta("1h")

    @given(label_pair=slow.label_pairs())
    def test_as_with_loops(self, label_pair):
        delay = quietly(detection_delay, *label_pair)
        expected = np.array(slow.delays(*label_pair), dtype=float)
        np.testing.assert_array_equal(delay.per_event, expected)
        found = expected[~np.isnan(expected)]
        assert delay.found == quietly(event_precision_recall_fscore, *label_pair)[1]
        if len(found):
            assert delay.mean == pytest.approx(found.mean())
            assert delay.median == pytest.approx(np.median(found))
        else:
            assert np.isnan([delay.mean, delay.median]).all()
        times = minutes(len(label_pair[0]))
        timed = quietly(detection_delay, *label_pair, times=times)
        in_rows = timed.per_event / pd.Timedelta("5min").to_timedelta64()
        np.testing.assert_allclose(in_rows, expected)

    @given(label_pair=slow.label_pairs(), n_rows=st.integers(1, 5))
    def test_where_the_series_starts_does_not_matter(self, label_pair, n_rows):
        later = [np.concatenate((np.zeros(n_rows, dtype=int), y)) for y in label_pair]
        np.testing.assert_array_equal(
            quietly(detection_delay, *label_pair).per_event,
            quietly(detection_delay, *later).per_event,
        )

    def test_perfect_predictions(self):
        delay = detection_delay(Y_TRUE, Y_TRUE)
        assert (delay.mean, delay.median, delay.found) == (0, 0, 1)

    def test_nothing_found(self):
        with pytest.warns(UndefinedMetricWarning, match="no event is det") as caught:
            delay = detection_delay(Y_TRUE, 0 * Y_TRUE)
        assert caught[0].filename == __file__
        assert np.isnan(delay.mean)
        assert delay.found == 0
        with pytest.warns(UndefinedMetricWarning, match="Returning NaT"):
            delay = detection_delay(Y_TRUE, 0 * Y_TRUE, times=minutes())
        assert delay.mean is pd.NaT
        assert delay.median is pd.NaT
        assert np.isnat(delay.per_event).all()

    @pytest.mark.parametrize("times", [None, minutes()])
    @pytest.mark.parametrize("flag", [0, 1])
    def test_no_event(self, times, flag):
        with pytest.warns(UndefinedMetricWarning, match="y_true contains no anomaly"):
            delay = detection_delay(0 * Y_TRUE, 0 * Y_TRUE + flag, times=times)
        assert pd.isna([delay.mean, delay.median]).all()
        assert delay.found == 0
        assert delay.per_event.shape == (0,)


class TestFalseAlarmsPerDay:
    def test_by_hand(self):
        # Rows 0 and 8 are in vain; row 5 belongs to the alarm that finds an event.
        rate = false_alarms_per_day(Y_TRUE, Y_PRED, freq="6h")
        assert rate == pytest.approx(2 / 2.5)
        times = pd.date_range("2024-01-01", periods=10, freq="6h")
        assert false_alarms_per_day(Y_TRUE, Y_PRED, times=times) == rate

    @pytest.mark.parametrize(
        "freq",
        [
            "1h",
            "h",
            "60min",
            pd.Timedelta("1h"),
            pd.Timedelta("1h").to_pytimedelta(),
            pd.offsets.Hour(),
            np.timedelta64(1, "h"),
        ],
    )
    def test_kinds_of_freq(self, freq):
        y_true, y_pred = np.zeros((2, 48), dtype=int)
        y_pred[[1, 5, 6, 7, 47]] = 1
        assert false_alarms_per_day(y_true, y_pred, freq=freq) == 1.5

    @given(label_pair=slow.label_pairs(), hours=st.integers(1, 48))
    def test_as_with_loops(self, label_pair, hours):
        expected = slow.false_alarms(*label_pair) * 24 / hours / len(label_pair[0])
        rate = false_alarms_per_day(*label_pair, freq=f"{hours}h")
        assert rate == pytest.approx(expected)
        if len(label_pair[0]) > 1:
            times = pd.date_range(
                "2024-01-01", periods=len(label_pair[0]), freq=f"{hours}h"
            )
            timed = false_alarms_per_day(*label_pair, times=times)
            assert timed == pytest.approx(expected)

    @given(label_pair=slow.label_pairs())
    def test_perfect_predictions(self, label_pair):
        y = label_pair[0]
        assert false_alarms_per_day(y, y, freq="1min") == 0

    def test_gaps(self):
        times = pd.date_range("2024-01-01", periods=48, freq="h")
        times = times.delete(range(12, 36))
        y_true, y_pred = np.zeros((2, 24), dtype=int)
        y_pred[3] = 1
        assert false_alarms_per_day(y_true, y_pred, times=times) == 0.5
        assert false_alarms_per_day(y_true, y_pred, freq="h") == 1.0

    def test_repeated_times(self):
        times = pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-02"])
        rate = false_alarms_per_day([0, 0, 0], [0, 1, 0], times=times)
        assert rate == pytest.approx(1 / 1.5)

    def test_no_duration(self):
        for n_rows in (1, 3):
            times = pd.DatetimeIndex(["2024-01-01"] * n_rows)
            zeros = [0] * n_rows
            with pytest.warns(UndefinedMetricWarning, match="same time") as caught:
                assert np.isnan(false_alarms_per_day(zeros, zeros, times=times))
            assert caught[0].filename == __file__

    def test_everything_anomalous_or_flagged(self):
        ones = np.ones_like(Y_TRUE)
        assert false_alarms_per_day(ones, ones, freq="D") == 0
        assert false_alarms_per_day(Y_TRUE, ones, freq="D") == 0
        assert false_alarms_per_day(0 * ones, ones, freq="D") == 0.1
        assert false_alarms_per_day(0 * ones, 0 * ones, freq="D") == 0

    @pytest.mark.parametrize("freq", ["B", "soon", "MS", 5.5])
    def test_no_fixed_duration(self, freq):
        with pytest.raises(ValueError, match="'5min'"):
            false_alarms_per_day(Y_TRUE, Y_PRED, freq=freq)

    @pytest.mark.parametrize("freq", ["0min", "-5min"])
    def test_no_positive_duration(self, freq):
        with pytest.raises(ValueError, match=r"freq.*positive"):
            false_alarms_per_day(Y_TRUE, Y_PRED, freq=freq)

    @pytest.mark.parametrize(
        ("given", "named"),
        [({}, "none"), ({"times": minutes(), "freq": "5min"}, "both")],
    )
    def test_times_or_freq(self, given, named):
        with pytest.raises(ValueError, match=named):
            false_alarms_per_day(Y_TRUE, Y_PRED, **given)


@pytest.mark.parametrize("metric", [detection_delay, false_alarms_per_day])
class TestBadInput:
    @pytest.mark.parametrize(
        ("y_true", "y_pred", "named"),
        [
            (Y_TRUE, Y_PRED[1:], r"10 .*y_pred has 9"),
            (Y_TRUE, 1 - 2 * Y_PRED, "== -1"),
            (np.where(Y_TRUE, 1, np.nan), Y_PRED, "^y_true"),
        ],
    )
    def test_labels(self, metric, y_true, y_pred, named):
        with pytest.raises(ValueError, match=named):
            metric(y_true, y_pred, times=minutes())

    @pytest.mark.parametrize(
        ("times", "message"),
        [
            (minutes(9), "10 rows, but times has 9"),
            (minutes()[::-1], "they decrease after row 0"),
            (minutes().insert(0, pd.NaT)[:10], "got NaT"),
            (range(10), "with pandas.to_datetime"),
            (["2024-01-01"] * 10, "with pandas.to_datetime"),
        ],
    )
    def test_times(self, metric, times, message):
        with pytest.raises(ValueError, match=message):
            metric(Y_TRUE, Y_PRED, times=times)


ERRORS = np.array([[5.0, 3.0, 2.0, 1.0], [0.5, 4.0, 0.1, 0.2]])


def hit_rates(data):
    """Of PCA at 100 % and at 150 %, and of chance."""
    detector = make_pipeline(StandardScaler(), ReconstructionError(PCA(0.9)))
    detector.set_output(transform="pandas").fit(data.frame[data.train_mask])
    rows = detector.transform(data.frame)
    errors = pd.DataFrame(
        [rows.loc[event.start : event.end].mean() for event in data.events.itertuples()]
    )
    causes = data.events["channels"]
    return (
        channel_hit_rate(causes, errors),
        channel_hit_rate(causes, errors, at=1.5),
        channel_hit_rate(causes, 0 * errors),
    )


class TestChannelHitRate:
    def test_by_hand(self):
        channels = [[0, 2], [1]]
        assert channel_hit_rate(channels, ERRORS) == (1 / 2 + 1) / 2
        assert channel_hit_rate(channels, ERRORS, at=1.5) == 1
        assert channel_hit_rate(channels, ERRORS, at=0.5) == (1 / 2 + 0) / 2
        assert channel_hit_rate([[3, 2], [2]], ERRORS) == 0

    def test_kinds_of_channels(self):
        flags = np.array([[True, False, True, False], [False, True, False, False]])
        names = ["a", "b", "c", "d"]
        frame = pd.DataFrame(ERRORS, columns=names)
        for channels, errors in (
            (flags, ERRORS),
            (flags.tolist(), ERRORS),
            (pd.DataFrame(flags, columns=names), frame),
            ([(2, 0), {1}], ERRORS),
            ([np.array([0, 2]), np.array([1])], ERRORS.tolist()),
            ([["a", "c"], ["b"]], frame),
            (pd.Series([["a", "c"], ["b"]], index=[7, 3]), frame),
            # Columns go by name, and not by place.
            (pd.DataFrame(flags, columns=names)[names[::-1]], frame),
            (pd.DataFrame(flags, columns=names), ERRORS),
        ):
            assert channel_hit_rate(channels, errors) == 0.75

    def test_ties_are_left_to_chance(self):
        equal = np.ones((1, 4))
        assert channel_hit_rate([[0]], equal) == channel_hit_rate([[3]], equal) == 0.25
        assert channel_hit_rate([[0, 1, 2]], equal) == 0.75
        assert channel_hit_rate([[0, 1]], [[1.0, 2.0, 1.0, 0.0]]) == 0.75

    def test_the_number_of_channels_does_not_suffer_from_rounding(self):
        assert 0.29 * 100 < 29
        errors = np.arange(200.0, 0, -1)[None]
        assert channel_hit_rate([range(100)], errors, at=0.29) == pytest.approx(0.29)

    def test_more_than_all_channels(self):
        assert channel_hit_rate([[0, 1, 2], [3]], ERRORS, at=1e9) == 1

    @given(data=st.data())
    def test_as_with_loops(self, data):
        n_channels = data.draw(st.integers(1, 5))
        event = st.sets(st.integers(0, n_channels - 1))
        channels = data.draw(st.lists(event, min_size=1, max_size=4).filter(any))
        value = st.integers(0, 3)
        row = st.lists(value, min_size=n_channels, max_size=n_channels)
        n_events = len(channels)
        errors = data.draw(st.lists(row, min_size=n_events, max_size=n_events))
        at = data.draw(st.sampled_from([0.5, 1, 1.5, 2]))
        rate = channel_hit_rate(channels, errors, at=at)
        expected = slow.hit_rate(channels, errors, at)
        assert rate == pytest.approx(expected, abs=1e-12)
        assert 0 <= rate <= 1
        order = np.random.default_rng(0).permutation(n_channels)
        moved = [{int(np.flatnonzero(order == c)[0]) for c in e} for e in channels]
        permuted = channel_hit_rate(moved, np.array(errors)[:, order], at=at)
        assert permuted == pytest.approx(rate)

    def test_perfect_errors(self, rng):
        flags = rng.random((20, 6)) < 0.4
        errors = flags + rng.random((20, 6)) / 2
        assert channel_hit_rate(flags, errors) == 1
        assert channel_hit_rate(flags, -errors) < 1

    def test_events_of_a_data_set(self):
        rate, more, chance = hit_rates(load_smd())
        assert chance + 0.1 < rate < more < 1

    @needs_shared_data
    def test_machines_whose_causes_are_known(self, rng):
        rates = []
        for name in ("machine-1-6", "machine-1-7", "machine-2-1"):
            data = load_smd(name, path=SHARED_DATA / "smd")
            rates.append(hit_rates(data))
            errors = pd.DataFrame(
                rng.random((2000, data.frame.shape[1])), columns=data.frame.columns
            )
            causes = data.events["channels"].sample(2000, replace=True, random_state=0)
            assert channel_hit_rate(causes, errors) == pytest.approx(
                rates[-1][-1], abs=0.03
            )
        # The last row of the table in docs/evaluation.md
        assert np.mean(rates, axis=0) == pytest.approx([0.46, 0.60, 0.23], abs=0.01)

    def test_events_without_a_known_channel_are_left_out(self):
        assert channel_hit_rate([[0, 2], []], ERRORS) == 0.5
        for channels, errors in (([[], []], ERRORS), ([], ERRORS[:0])):
            with pytest.warns(UndefinedMetricWarning, match="known channel") as caught:
                assert np.isnan(channel_hit_rate(channels, errors))
            assert caught[0].filename == __file__

    @pytest.mark.parametrize(
        ("channels", "message"),
        [
            ([[0, 2]], "channels has 1 events, but errors has 2"),
            ([[0, 4], [1]], "Channel 4 of event 0 is unknown"),
            ([[0], [-1]], "Channel -1 of event 1 is unknown"),
            (["ab", [1]], "Channel 'a' of event 0 is unknown"),
            ([[0, 0, 1, 0], [1, 0, 0, 0]], "array of bool"),
            ([[True, False], [False, True]], r"channels has \[2\] bools per event"),
            ([0, 1], "channels must contain, for each event"),
            (3, "channels must contain, for each event"),
        ],
    )
    def test_bad_channels(self, channels, message):
        with pytest.raises(ValueError, match=message):
            channel_hit_rate(channels, ERRORS)

    def test_unknown_name(self):
        frame = pd.DataFrame(ERRORS, columns=list("abcd"))
        flags = pd.DataFrame(ERRORS > 3, columns=list("abce"))
        for channels, errors, named in (
            (flags, frame, "columns"),
            ([["a"], ["b"]], ERRORS, "DataFrame"),
            ([["a"], ["e"]], frame, "'a', 'b', 'c', 'd'"),
        ):
            with pytest.raises(ValueError, match=named):
                channel_hit_rate(channels, errors)

    @pytest.mark.parametrize(
        ("errors", "message"),
        [
            (ERRORS[0], "a number for each event and channel"),
            (ERRORS.astype(str), "a number for each event and channel"),
            (np.where(ERRORS == 3, np.nan, ERRORS), "first in channel 1 of event 0"),
        ],
    )
    def test_bad_errors(self, errors, message):
        with pytest.raises(ValueError, match=message):
            channel_hit_rate([[0], [1]], errors)

    def test_bad_share(self):
        with pytest.raises(ValueError, match="The 'at' parameter"):
            channel_hit_rate([[0], [1]], ERRORS, at=0)
