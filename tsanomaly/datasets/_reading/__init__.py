# SPDX-License-Identifier: MIT
"""Reading files of sensor readings, without guesses."""

from tsanomaly.datasets._reading._bytes import GZIP, most_unpacked, unpack
from tsanomaly.datasets._reading._csv import read_sensor_csv

__all__ = ["GZIP", "most_unpacked", "read_sensor_csv", "unpack"]
