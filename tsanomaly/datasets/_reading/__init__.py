# SPDX-License-Identifier: MIT
"""Read files of sensor readings without guessing."""

from tsanomaly.datasets._reading._bytes import most_unpacked, unpack
from tsanomaly.datasets._reading._csv import read_sensor_csv
from tsanomaly.datasets._reading._file import read_sensor_file
from tsanomaly.datasets._reading._kinds import GZIP

__all__ = ["GZIP", "most_unpacked", "read_sensor_csv", "read_sensor_file", "unpack"]
