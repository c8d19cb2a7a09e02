# SPDX-License-Identifier: MIT
"""The function of the guide on a real local Spark, where pyspark and Java are."""

import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from tests.test_fleets_guide import GUIDE

pytestmark = pytest.mark.slow

# The model, the function and its use on Spark, as in the guide.
FIRST, LAST = "import tsanomaly\n\ntsanomaly.save(", "(\n    spark.read.parquet"


@pytest.fixture(scope="module")
def spark():
    sql = pytest.importorskip("pyspark.sql")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java: apt-get install default-jre-headless")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    session = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "3")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "150")
        .getOrCreate()
    )
    yield session
    session.stop()
    monkeypatch.undo()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_machines_are_scored_as_in_memory(spark, tmp_path, monkeypatch):
    """By machine, in time order, in batches that end within a machine."""
    import tsanomaly
    from tsanomaly.datasets import make_sensor_data

    monkeypatch.chdir(tmp_path)
    blocks = GUIDE.read_text().split("```python\n")[1:]
    blocks = [block.split("```")[0] for block in blocks]
    (function,) = [block for block in blocks if block.startswith(FIRST)]
    (use,) = [block for block in blocks if block.startswith(LAST)]
    detector = next(block for block in blocks if "make_pipeline(" in block)
    machines = {
        name: make_sensor_data(400, random_state=seed).frame
        for seed, name in enumerate(["pump 1", "pump 2", "pump 3"])
    }
    names = {"spark": spark, "machines": machines}
    imports, _, rest = detector.partition("machines = {")
    fleet = rest.partition("detector = ")[2].partition("fleet = ")[0]
    exec(imports + "detector = " + fleet, names)
    function = function.replace('"model.skops"', repr(str(tmp_path / "model.skops")))
    exec(function, names)
    rows = pd.concat(
        [
            part.rename_axis("time").assign(machine_id=name)
            for name, part in machines.items()
        ]
    ).reset_index()
    shuffled = rows.sample(frac=1, random_state=0)
    shuffled["time"] = shuffled["time"].astype("datetime64[us]")
    shuffled.to_parquet("readings", index=False)
    for folder in ("readings", "scores"):  # of Java, which was started elsewhere
        use = use.replace(f'"{folder}"', repr(str(tmp_path / folder)))
    exec(use, names)
    scored = pd.read_parquet("scores").sort_values(["machine_id", "time"])
    model = tsanomaly.load("model.skops")
    expected = np.concatenate([model.score_samples(part) for part in machines.values()])
    assert len(scored) == 1200
    np.testing.assert_allclose(scored["score"], expected, rtol=1e-6, atol=1e-6)
    assert scored["anomaly"].tolist() == (expected < model[-1].offset_).tolist()
