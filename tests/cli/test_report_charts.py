# SPDX-License-Identifier: MIT
"""Data of the charts in the report, and names in them."""

import json
import re
from base64 import b64decode

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline

from tests.cli.test_commands import Page
from tsanomaly import ReconstructionError, ReconstructionThreshold
from tsanomaly._attribution import expected_readings
from tsanomaly._cli import main
from tsanomaly._cli._models import run_model
from tsanomaly._cli._report._chart import chart_data, time_axis
from tsanomaly._cli._report._sketch import HEIGHT, WIDTH, draw_sketches


def make_series(n_rows, n_channels, seed=0):
    """Channels that go along with each other."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(n_rows)[:, None] / [50.0, 80.0])
    values = waves @ rng.normal(size=(2, n_channels))
    values += rng.normal(scale=0.05, size=values.shape)
    times = pd.date_range("2024-01-01", periods=n_rows, freq="1min")
    names = [f"tag {number}" for number in range(n_channels)]
    return pd.DataFrame(values, index=times, columns=names)


@pytest.fixture(scope="module")
def detector():
    threshold = ReconstructionThreshold(quantile=0.999)
    model = make_pipeline(ReconstructionError(PCA(2)), threshold)
    return model.fit(make_series(2000, 3))


def detect(detector, frame):
    return run_model(
        detector,
        frame,
        threshold=None,
        alarm_params={},
        n_channels=3,
        progress=lambda line: None,
    )


def numbers(packed):
    values = np.frombuffer(b64decode(packed["data"]), "<f4").astype(float)
    return packed["offset"] + packed["scale"] * values


def points(data):
    """Times, kinds and the readings of each channel."""
    times = np.frombuffer(b64decode(data["times"]), "<f8")
    kinds = np.frombuffer(b64decode(data["kinds"]), "u1")
    return times, kinds, [numbers(line["values"]) for line in data["channels"]]


def test_a_short_series_is_there_as_a_whole(detector):
    frame = make_series(500, 3)
    frame.iloc[100] = np.nan
    frame.iloc[300:310, 1] += 5
    found = detect(detector, frame)
    data = chart_data(detector, frame, found, None)
    times, kinds, lines = points(data)
    assert data["isTime"]
    assert times.tolist() == ((frame.index - pd.Timestamp(0)).total_seconds()).tolist()
    assert not kinds.any()
    for position, line in enumerate(lines):
        np.testing.assert_allclose(line, frame.iloc[:, position], atol=1e-6)
    expected = numbers(data["channels"][1]["expected"])
    assert np.flatnonzero(np.isnan(expected)).tolist() == [100]
    known = np.flatnonzero(~np.isnan(expected))
    reconstructed = expected_readings(detector, frame, known)[:, 1]
    np.testing.assert_allclose(expected[known], reconstructed, atol=1e-6)
    assert [alarm["begin"] for alarm in data["alarms"]] == [times[300]]
    named = [frame.columns[channel] for channel in data["alarms"][0]["channels"]]
    assert named == found.alarms["channels"][0]


def test_a_long_series_keeps_its_peaks_its_alarms_and_its_gaps(detector):
    frame = make_series(100_000, 3)
    frame.iloc[20_000] = np.nan
    frame.iloc[40_000, 0] = 1e3
    frame.iloc[70_000:70_040, 2] -= 4
    found = detect(detector, frame)
    data = chart_data(detector, frame, found, None)
    times, kinds, lines = points(data)
    assert len(times) < 25_000
    assert (np.diff(times) >= 0).all()
    seconds = (frame.index - pd.Timestamp(0)).total_seconds()
    assert (times[0], times[-1]) == (seconds[0], seconds[-1])
    for position, line in enumerate(lines):
        channel = frame.iloc[:, position]
        np.testing.assert_allclose(np.nanmax(line), channel.max(), rtol=1e-6)
        np.testing.assert_allclose(np.nanmin(line), channel.min(), rtol=1e-6)
        assert np.isnan(line[times == seconds[20_000]]).all()
    near = (times >= seconds[69_950]) & (times <= seconds[70_090])
    assert not kinds[near].any()
    assert near.sum() == 141
    # What was expected is there for the rows that are drawn as they are.
    assert len(numbers(data["channels"][0]["expected"])) == (kinds == 0).sum()


def test_many_channels_and_many_alarms_fit_into_a_page():
    frame = make_series(100_000, 45)
    threshold = ReconstructionThreshold(quantile=0.9999)
    model = make_pipeline(ReconstructionError(PCA(2)), threshold)
    model.fit(frame[:2000])
    for alarm in range(600):
        frame.iloc[3000 + 160 * alarm : 3010 + 160 * alarm, alarm % 45] += 3
    found = detect(model, frame)
    assert len(found.alarms) > 500
    labels = (np.arange(len(frame)) // 5 % 2).astype(int)
    data = chart_data(model, frame, found, labels)
    assert len(data["channels"]) == 40
    assert len(data["alarms"]) == 500
    assert len(data["labelled"]) == 2000
    assert len(json.dumps(data)) < 4e6


def test_a_model_that_expects_nothing_has_usual_readings():
    frame = make_series(600, 2)
    forest = IsolationForest(n_estimators=5, random_state=0).fit(frame[:400])
    found = detect(forest, frame)
    data = chart_data(forest, frame, found, None)
    for line, name in zip(data["channels"], frame, strict=True):
        assert "expected" not in line
        assert line["usual"] == pytest.approx(frame.loc[~found.flagged, name].median())
    sketch, nothing = draw_sketches(
        forest, frame, found, [(100, 120, ["tag 1"]), (100, 120, [])]
    )
    assert nothing is None
    assert sketch.caption.endswith("Dashed: usual reading.")


def test_a_sketch_stays_in_its_frame(detector):
    frame = make_series(4000, 3)
    frame.iloc[50] = np.nan
    frame.iloc[100:130, 0] += 8
    found = detect(detector, frame)
    (sketch,) = draw_sketches(detector, frame, found, [(100, 129, ["tag 0"])])
    lines = sketch.reading + sketch.expected
    assert len(sketch.reading) == len(sketch.expected) == 2  # with a gap
    places = np.array([pair.split(",") for line in lines for pair in line.split()])
    x, y = places.astype(float).T
    assert x.min() == 0
    assert x.max() == WIDTH
    assert y.min() >= 0
    assert y.max() <= HEIGHT
    left, width = sketch.band
    assert 0 < left < left + width < WIDTH
    assert sketch.caption.startswith("2024-01-01 00:00 to 04:09: up to 2 h before")


@pytest.mark.parametrize(
    ("index", "is_time"),
    [
        (pd.RangeIndex(4), False),
        (pd.Index(["a", "b", "a", "c"]), False),
        (pd.DatetimeIndex(["2024-01-02", "2024-01-01", "2024-01-03"]), False),
        (pd.date_range("2024-01-01", periods=3, tz="Asia/Tokyo"), True),
        # Clocks are set back, and what they show is there twice.
        (pd.date_range("2024-10-27", periods=5, freq="1h", tz="Europe/Paris"), True),
    ],
)
def test_axis_of_time(index, is_time):
    places, says = time_axis(index)
    assert says is is_time
    assert len(places) == len(index)
    assert (np.diff(places) >= 0).all()
    if not is_time:
        assert places.tolist() == list(range(len(index)))
    elif str(index.tz) == "Asia/Tokyo":
        assert places[0] == pd.Timestamp("2024-01-01").timestamp()


def test_names_that_a_browser_would_obey_are_text(results, folder):
    """In tables, in attributes, in what the charts draw, and in words."""
    names = [
        "</script><script>alert(1)</script>",
        "\" onclick='alert(1)' x=\"",
        "\u202eلغم",
        "{{ 7 * 7 }} <!-- $&",
    ]
    readings = pd.read_csv(results / "plant.csv")
    readings.columns = ["timestamp", *names, "anomaly"]
    readings.to_csv("named.csv", index=False)
    assert main(["train", "named.csv", "--detector", "pca", "--no-plots"]) == 0
    options = ["--quantile", "0.7", "--trigger", "0", "--off-delay", "5"]
    model = str(folder / "model.skops")
    assert main(["report", model, "named.csv", "--title", names[0], *options]) == 0
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.tags.count("script") == 2
    assert "onclick='" not in text
    assert "\u202e" not in text
    shown = [names[0], names[1], r"\u202eلغم", names[3]]
    assert page.cells["readings"][::6] == shown
    data = re.search('id="chart-data">(.*?)</script>', text, re.DOTALL)[1]
    assert [line["name"] for line in json.loads(data)["channels"]] == shown
    told = page.cells["alarms"]
    assert {name for name in shown if any(name in cell for cell in told)} == set(shown)
