# SPDX-License-Identifier: MIT
"""Faults of sensors over partitions are those that are found in memory."""

from itertools import pairwise

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tsanomaly
from tsanomaly.datasets import make_sensor_data
from tsanomaly.distributed import sensor_health

START, N_ROWS = 1000, 2000

# Borders in the middle of what starts at START, and partitions without rows.
CHUNKS = (0, 700, 1, 319, 0, 10, 0, 0, 969, 1, 0)


@pytest.fixture(autouse=True)
def in_this_process():
    with dask.config.set(scheduler="synchronous"):
        yield


def plant(n_rows=N_ROWS, seed=0):
    return make_sensor_data(n_rows, contamination=0, random_state=seed).frame


def partitioned(frame, chunks=CHUNKS):
    """A frame of unknown divisions, which may have empty partitions."""
    edges = np.cumsum((0, *chunks))
    assert edges[-1] == len(frame)
    pieces = [dask.delayed(frame.iloc[a:b]) for a, b in pairwise(edges)]
    return dd.from_delayed(pieces, meta=frame.iloc[:0])


def assert_as_in_memory(frame, collection, reference=None, references=(None,)):
    """Return the findings, which are the same to the last bit."""
    expected = tsanomaly.sensor_health(frame, reference)
    for other in references:
        found = sensor_health(collection, other)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    return expected


def put(fault, frame, channel="sensor_2"):
    """Put a fault into a channel, or into the index."""
    frame = frame.copy()
    readings = frame[channel].to_numpy(copy=True)
    scale, some = readings.std(), slice(START, START + 60)
    rng = np.random.default_rng(0)
    match fault:
        case "missing":
            readings[some] = np.nan
        case "outlier":
            readings[START] = -9999
        case "flatline":
            readings[some] = readings[START]
        case "stuck_at_zero":
            readings[some] = 0
        case "railed_high":
            readings[some] = readings.max() + scale
        case "step_change":
            readings[START:] -= 4 * scale
        case "noise_change":
            readings[START:] += rng.normal(0, scale, len(frame) - START)
        case "unpredictable":
            readings = rng.normal(readings.mean(), scale, len(frame))
        case "gap":
            frame.iloc[some] = np.nan
            return frame
        case "sampling_rate":
            late = np.maximum(np.arange(len(frame)) - START - 19, 0)
            return frame.set_axis(frame.index + pd.to_timedelta(late, unit="min"))
        case "clock":  # the step back is at a border
            late = pd.to_timedelta(1 * (np.arange(len(frame)) >= START + 20), unit="h")
            return frame.set_axis(frame.index - late)
    frame[channel] = readings
    return frame


FAULTS = (
    "missing",
    "outlier",
    "flatline",
    "stuck_at_zero",
    "railed_high",
    "step_change",
    "noise_change",
    "unpredictable",
    "gap",
    "sampling_rate",
    "clock",
)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_over_a_border(fault):
    frame = put(fault, plant())
    findings = assert_as_in_memory(frame, partitioned(frame))
    assert fault in set(findings["finding"])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_reference_in_partitions_or_in_memory(fault):
    both = plant(2 * N_ROWS)
    before, frame = both[:N_ROWS], put(fault, both[N_ROWS:])
    other_order = dd.from_pandas(before[before.columns[::-1]], npartitions=3)
    findings = assert_as_in_memory(
        frame, partitioned(frame), before, [before, partitioned(before), other_order]
    )
    assert fault in set(findings["finding"])


def test_known_divisions_and_rows_out_of_order():
    frame = put("step_change", put("flatline", plant(), "sensor_3"))
    assert_as_in_memory(frame, dd.from_pandas(frame, npartitions=4))
    mixed = pd.concat([frame[1500:], frame[:1500]])
    collection = dd.from_pandas(mixed, npartitions=4, sort=False)
    assert not collection.known_divisions
    findings = assert_as_in_memory(mixed, collection)
    assert "clock" in set(findings["finding"])


@pytest.mark.parametrize("n_channels", [1, 3])
def test_arrays(n_channels):
    X = put("flatline", put("missing", plant(), "sensor_3")).to_numpy()[
        :, 1 : 1 + n_channels
    ]
    before = plant(seed=1).to_numpy()[:, 1 : 1 + n_channels]
    in_partitions = da.from_array(before, chunks=((0, 1999, 1), (before.shape[1],)))
    unknown = dd.from_pandas(pd.DataFrame(X), npartitions=4).to_dask_array()
    for collection in (da.from_array(X, chunks=(700, 1)), unknown):
        assert len(assert_as_in_memory(X, collection))
        assert_as_in_memory(X, collection, before, [before, in_partitions])


def test_kinds_of_columns_and_of_the_index():
    frame = put("flatline", put("missing", plant(), "sensor_3"))
    frame["state"] = np.arange(N_ROWS) % 3 > 0
    frame["counts"] = pd.array(np.arange(N_ROWS) % 101, dtype="Int64")
    frame.loc[frame.index[990:1100], "counts"] = pd.NA
    frame["sensor_4"] = frame["sensor_4"].astype(np.float32)
    frame.iloc[5, 0], frame.iloc[6, 0] = np.inf, 1e200
    assert len(assert_as_in_memory(frame, partitioned(frame))) >= 3
    times = frame.index.tz_localize("UTC").as_unit("ms")
    missing = frame.index.where(np.arange(N_ROWS) % 500 > 0)
    texts = pd.Index([f"row {number}" for number in range(N_ROWS)])
    for index in (times, missing, texts, pd.RangeIndex(7, 7 + N_ROWS)):
        changed = frame.set_axis(index)
        assert len(assert_as_in_memory(changed, partitioned(changed)))


def test_files_in_columns(tmp_path):
    frame = put("step_change", put("missing", plant(), "sensor_3"))
    frame["state"] = 1.0  # which relations are not tested with
    for number, start in enumerate(range(0, N_ROWS, 300)):
        frame[start : start + 300].to_parquet(tmp_path / f"part.{number}.parquet")
    collection = dd.read_parquet(tmp_path)
    assert len(assert_as_in_memory(frame, collection)) == 2
    # Dask joins the partitions of some columns, because they are small.
    frame, collection = frame / 2, collection / 2
    assert len(collection[["sensor_1"]].to_delayed()) < len(collection.to_delayed())
    assert len(assert_as_in_memory(frame, collection)) == 2


def test_no_rows_and_no_columns():
    frame = plant(200)
    for part in (frame[:0], frame[[]]):
        collection = dd.from_pandas(part, npartitions=2)
        assert assert_as_in_memory(part, collection).empty


@settings(max_examples=20)
@given(
    borders=st.lists(st.integers(0, 900), max_size=8),
    start=st.integers(0, 880),
    length=st.integers(1, 200),
    faults=st.sets(st.sampled_from(["hold", "absent", "break", "step", "back"])),
)
def test_borders_and_faults_anywhere(borders, start, length, faults):
    frame = plant(900)
    rows = slice(start, start + length)
    if "hold" in faults:
        frame.iloc[rows, 0] = frame.iloc[start, 0]
    if "absent" in faults:
        frame.iloc[rows, 1] = np.nan
    if "step" in faults:
        frame.iloc[start:, 2] += 50
    if "break" in faults:
        frame.iloc[start + length : start + length + 3] = np.nan
    if "back" in faults:
        late = pd.to_timedelta(1 * (np.arange(900) >= start), unit="h")
        frame = frame.set_axis(frame.index - late)
    chunks = np.diff([0, *sorted(borders), 900])
    assert_as_in_memory(frame, partitioned(frame, chunks))


def fail():
    raise AssertionError("read")


def unread(sample):
    """A collection whose partitions must not be read."""
    return dd.from_delayed([dask.delayed(fail)()], meta=sample, verify_meta=False)


def test_what_is_refused_before_anything_is_read():
    frame = plant(100)
    collection = unread(frame[:0])
    for refused, text in (
        (frame, r"frame must be a Dask .*DataFrame\. .*call tsanomaly\.sensor_health"),
        (collection["sensor_1"], "frame must be a Dask"),
    ):
        with pytest.raises(TypeError, match=text):
            sensor_health(refused)
    with pytest.raises(ValueError, match=r"frame\.reshape\(-1, 1\)"):
        sensor_health(da.ones(9))
    times = frame.assign(time=frame.index)
    with pytest.raises(ValueError, match="Column 'time' is not numeric"):
        sensor_health(unread(times[:0]))
    for reference in (frame, collection):
        with pytest.raises(ValueError, match=r"lacks \['sensor_1'\]"):
            sensor_health(collection, reference[reference.columns[1:]])
        with pytest.raises(ValueError, match=r"has \['other'\] besides"):
            sensor_health(collection, reference.assign(other=1))
    for reference in (frame.to_numpy(), da.ones((9, 5))):
        with pytest.raises(TypeError, match="both be frames, or both arrays"):
            sensor_health(collection, reference)
    with pytest.raises(ValueError, match="reference has 4 channels, but frame has 3"):
        sensor_health(da.ones((9, 3)), da.ones((9, 4)))


def test_text_in_a_partition():
    frame = plant(100).astype({"sensor_2": object})
    frame.iloc[70, 1] = "broken"
    with dask.config.set({"dataframe.convert-string": False}):
        collection = partitioned(frame, (50, 50))
    with pytest.raises(ValueError, match="Column 'sensor_2' is not numeric"):
        sensor_health(collection)
