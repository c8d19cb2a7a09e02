# SPDX-License-Identifier: MIT
"""The code of the guide to fleets and clusters runs, and does what it says."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from tsanomaly import AlarmFilter, sensor_health

GUIDE = Path(__file__).parents[1] / "docs" / "fleets_and_clusters.md"


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the code of the guide leaves, run in a folder of its own."""
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("guide"))
        for block in blocks:
            if "spark." in block:
                continue
            if "tcp://" in block:  # of no cluster that there is
                block = re.sub('"tcp://.*?"', "cluster.scheduler_address", block)
            exec(compile(block, "fleets_and_clusters.md", "exec"), names)
        yield names
    names["client"].close()
    names["cluster"].close()


def test_fleets(names):
    frame = names["frame"]
    assert np.isfinite(frame["score"]).all()
    assert len(names["scores"].compute()) == 2000
    assert names["fleet"].groups_.tolist() == ["pump 1", "pump 2", "pump 3"]
    assert "sentence" in names["events"]
    assert len(names["joined"]) == len(frame) + 2
    assert len(names["rows"]) == len(frame)


def test_clusters(names):
    detector, rows = names["detector"], names["machines"]["pump 1"]
    assert isinstance(names["client"], Client)
    np.testing.assert_allclose(
        names["scores"].compute(), detector.score_samples(rows), rtol=1e-6, atol=1e-6
    )
    expected = AlarmFilter().alarms(
        -detector.score_samples(rows),
        threshold=-detector[-1].offset_,
        median_error=detector[-1].median_error_,
        index=rows.index,
    )
    pd.testing.assert_frame_equal(names["alarms"], expected, rtol=1e-6)
    assert names["drifted"] is False
    pd.testing.assert_frame_equal(names["findings"], sensor_health(rows))
    np.testing.assert_array_equal(
        names["scores_of_fleet"].compute(),
        names["fleet"].score_samples(names["frame"].drop(columns="score")),
    )
    assert names["search"].best_params_["windowtransformer__window_size"] in (5, 20)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_the_function_for_spark(size, names, monkeypatch):
    rows = pd.concat(
        [
            names["machines"][name][:50].rename_axis("time").assign(machine_id=name)
            for name in ("pump 1", "pump 2")
        ]
    ).reset_index()
    batches = [
        rows[start : start + size].reset_index(drop=True)
        for start in range(0, len(rows), size)
    ]
    scored = pd.concat(names["score"](iter(batches)), ignore_index=True)
    assert scored.columns.tolist() == ["machine_id", "time", "score", "anomaly"]
    channels = rows.set_index("time")
    expected = [
        names["detector"].score_samples(part.drop(columns="machine_id"))
        for _, part in channels.groupby("machine_id")
    ]
    np.testing.assert_allclose(scored["score"], np.concatenate(expected), rtol=1e-5)
    assert scored["anomaly"].dtype == bool
