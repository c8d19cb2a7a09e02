# SPDX-License-Identifier: MIT
"""Reading files of sensor readings, without guesses."""

from tsanomaly.datasets._reading._csv import read_sensor_csv

__all__ = ["read_sensor_csv"]
