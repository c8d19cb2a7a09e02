# SPDX-License-Identifier: MIT
import numpy as np
import pandas as pd
import pytest

from tests.helpers import SHARED_DATA, needs_shared_data
from tsanomaly.datasets import load_nab, load_smd

PACKAGED = {
    # name: rows, label windows, duplicate times
    "ec2_cpu_utilization_24ae8d": (4032, 2, 0),
    "ec2_cpu_utilization_c6585a": (4032, 0, 0),
    "ec2_network_in_5abac7": (4730, 2, 11),
    "rds_cpu_utilization_cc0c53": (4032, 2, 0),
}


@pytest.mark.parametrize("name", PACKAGED)
def test_nab(name):
    n_rows, n_events, n_duplicates = PACKAGED[name]
    data = load_nab(f"realAWSCloudwatch/{name}")
    assert data.frame.shape == (n_rows, 1)
    assert isinstance(data.frame.index, pd.DatetimeIndex)
    assert data.frame.index.duplicated().sum() == n_duplicates
    assert data.target.shape == data.train_mask.shape == (n_rows,)
    assert data.train_mask.sum() == int(0.15 * n_rows)
    assert not data.target[data.train_mask].any()
    assert len(data.events) == n_events
    assert data.events.dtypes.map(lambda t: t.kind).tolist() == ["M", "M"]
    for start, end in data.events.itertuples(index=False):
        inside = (data.frame.index >= start) & (data.frame.index <= end)
        assert data.target[inside].all()
        assert data.frame.index[inside][[0, -1]].tolist() == [start, end]
    assert "MIT" in data.DESCR


def test_smd():
    data = load_smd()
    assert data.frame.shape == (47387, 38)
    assert data.frame.columns[[0, -1]].tolist() == ["ch_01", "ch_38"]
    assert data.train_mask.sum() == 23693
    assert not data.target[data.train_mask].any()
    assert data.target.sum() == 1170
    covered = np.zeros(len(data.frame), dtype=int)
    for event in data.events.itertuples():
        covered[event.start : event.end + 1] = 1
        assert set(event.channels) <= set(data.frame.columns)
        assert event.channels
    np.testing.assert_array_equal(covered, data.target)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"ec2_cpu_utilization_24ae8d.*path="):
        load_nab("realAWSCloudwatch/nothing")
    with pytest.raises(FileNotFoundError, match=r"machine-2-1.*path="):
        load_smd("machine-9-9")
    with pytest.raises(FileNotFoundError, match="folder that the loader"):
        load_nab(path=tmp_path)
    with pytest.raises(FileNotFoundError, match="folder that the loader"):
        load_smd(path=str(tmp_path))


@needs_shared_data
def test_roots_of_the_full_sets():
    full = load_nab(path=SHARED_DATA / "nab")
    pd.testing.assert_frame_equal(full.frame, load_nab().frame)
    assert (
        len(
            load_nab(
                "realAWSCloudwatch/grok_asg_anomaly", path=SHARED_DATA / "nab"
            ).events
        )
        == 3
    )
    machine = load_smd("machine-1-6", path=SHARED_DATA / "smd")
    assert machine.target.mean() * 2 == pytest.approx(0.1565, abs=1e-3)
    assert len(machine.events) == 30
