# SPDX-License-Identifier: MIT
"""Data sets, simulated plants, and readers of sensor files."""

from tsanomaly.datasets._breaks import insert_breaks
from tsanomaly.datasets._fetch import fetch_nab, fetch_skab, fetch_smd
from tsanomaly.datasets._ims_bearing import load_ims_bearing
from tsanomaly.datasets._inject import inject_anomalies
from tsanomaly.datasets._nab import load_nab
from tsanomaly.datasets._plant import load_sample_plant
from tsanomaly.datasets._reading import read_sensor_csv, read_sensor_file
from tsanomaly.datasets._regularize import regularize
from tsanomaly.datasets._simulate import make_sensor_data
from tsanomaly.datasets._skab import load_skab
from tsanomaly.datasets._smd import load_smd

__all__ = [
    "fetch_nab",
    "fetch_skab",
    "fetch_smd",
    "inject_anomalies",
    "insert_breaks",
    "load_ims_bearing",
    "load_nab",
    "load_sample_plant",
    "load_skab",
    "load_smd",
    "make_sensor_data",
    "read_sensor_csv",
    "read_sensor_file",
    "regularize",
]
