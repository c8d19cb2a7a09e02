# SPDX-License-Identifier: MIT
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tsanomaly.datasets import load_ims_bearing

NAMES = ["2004.02.12.10.32.39", "2004.02.12.10.42.39", "2004.02.13.10.42.39"]


def write(folder, name, values):
    np.savetxt(folder / name, values, "%.3f", delimiter="\t")


@pytest.fixture
def folder(tmp_path, rng):
    """Three snapshots of four channels."""
    for name in reversed(NAMES):
        write(tmp_path, name, rng.normal(size=(50, 4)))
    return tmp_path


@pytest.mark.parametrize("n_channels", [4, 8])
def test_statistics(tmp_path, rng, n_channels):
    values = rng.normal(1, 2, size=(200, n_channels)).round(3)
    write(tmp_path, NAMES[0], values)
    frame = load_ims_bearing(tmp_path).frame
    assert frame.shape == (1, 4 * n_channels)
    rms = np.sqrt((values**2).mean(axis=0))
    expected = {
        "rms": rms,
        "mean_abs": np.abs(values).mean(axis=0),
        "kurtosis": stats.kurtosis(values, fisher=False),
        "crest_factor": np.abs(values).max(axis=0) / rms,
    }
    for statistic, of_channels in expected.items():
        columns = [f"channel_{i}_{statistic}" for i in range(1, n_channels + 1)]
        np.testing.assert_allclose(frame[columns].to_numpy()[0], of_channels)


def test_one_row_a_snapshot_in_time_order(folder):
    for other in (".DS_Store", "readme.txt"):
        (folder / other).write_text("not a snapshot")
    (folder / "2004.02.12.10.52.39").mkdir()
    data = load_ims_bearing(str(folder))
    assert data.frame.index.tolist() == [
        pd.Timestamp(time)
        for time in (
            "2004-02-12 10:32:39",
            "2004-02-12 10:42:39",
            "2004-02-13 10:42:39",
        )
    ]
    assert data.frame.columns[:4].tolist() == [
        "channel_1_rms",
        "channel_1_mean_abs",
        "channel_1_kurtosis",
        "channel_1_crest_factor",
    ]
    assert data.frame.columns[-1] == "channel_4_crest_factor"
    assert data.target is data.events is data.train_mask is None
    assert "NASA" in data.DESCR


@pytest.mark.filterwarnings("error")
def test_a_channel_that_stands_still(tmp_path):
    write(tmp_path, NAMES[0], np.tile([0.0, 0.1, -2.0, 1.0], (50, 1)))
    row = load_ims_bearing(tmp_path).frame.iloc[0]
    assert row.filter(like="kurtosis").tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(row.filter(like="crest_factor"), [0, 1, 1, 1])
    np.testing.assert_allclose(row.filter(like="rms"), [0, 0.1, 2, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: "\n".join(text.split("\n")[:20]),
            "has (20|50) rows .*has (20|50)",
        ),
        (
            lambda text: text.rpartition("\t")[0],
            "has a value that is not finite in data row 49",
        ),
        (lambda text: text + "0.1\t" * 4 + "0.1\n", "cannot be read"),
        (lambda text: text.replace("\t", " "), "has 1 columns|contains text"),
        (lambda text: text.replace("\t", "\t1\t\t", 1), "not finite in data row 0"),
        (lambda text: "volt" + text, "contains text among its numbers"),
        (lambda text: "inf" + text[text.index("\t") :], "not finite in data row 0"),
        (lambda text: "", "cannot be read"),
    ],
)
@pytest.mark.parametrize("name", NAMES[:2])
def test_a_snapshot_that_is_damaged(folder, name, change, message):
    file = folder / name
    file.write_text(change(file.read_text()))
    with pytest.raises(ValueError, match=message) as raised:
        load_ims_bearing(folder)
    assert name in str(raised.value)


def test_another_number_of_channels(folder):
    write(folder, NAMES[1], np.zeros((50, 8)))
    with pytest.raises(ValueError, match=r"50 rows and 8 columns, but .* 50 and 4"):
        load_ims_bearing(folder)
    write(folder, NAMES[0], np.zeros((50, 3)))
    with pytest.raises(ValueError, match=r"has 3 columns; a snapshot has 4 or 8"):
        load_ims_bearing(folder)


@pytest.mark.parametrize("name", [f"{NAMES[0]} (1)", "2004.13.12.10.32.39"])
def test_a_name_that_is_no_time(folder, name):
    write(folder, name, np.zeros((50, 4)))
    with pytest.raises(ValueError, match="its name is not a time") as raised:
        load_ims_bearing(folder)
    assert name in str(raised.value)


def test_no_snapshots(tmp_path):
    (tmp_path / "2nd_test").mkdir()
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(FileNotFoundError, match=r"There is no snapshot.*unpacked"):
            load_ims_bearing(path)
