# SPDX-License-Identifier: MIT
"""Times in a format that the user gives."""

import pandas as pd

from tests.datasets.reading.helpers import column_of_times


def test_a_lost_zero_where_numbers_touch(read, fails):
    for number, date_format in [("1112024", "%d%m%Y"), ("111024", "%d%m%Y")]:
        text = column_of_times([number])
        fails(text, "line 2", "leading zero is missing", date_format=date_format)
    read(column_of_times(["01112024"]), date_format="%d%m%Y")
    read(column_of_times(["1.1.2024 1:05"]), date_format="%d.%m.%Y %H:%M")
    read(column_of_times(["1Jan2024"]), date_format="%d%b%Y")
    read(column_of_times(["100%20240102"]), date_format="100%%%Y%m%d")
    zoned = "%Y%m%d %H%M%S%f%z"
    read(column_of_times(["20240102 103000123+0100"]), date_format=zoned)
    fails(
        column_of_times(["20240102 93000123+0100"]), "leading zero", date_format=zoned
    )
    text = "Date,Time,a\n2024-01-01,{},1\n"
    options = {"date_format": "%Y-%m-%d %H%M%S"}
    fails(text.format("500"), "line 2", "leading zero", **options)
    assert read(text.format("000500"), **options).index[0].minute == 5


def test_date_format(read, fails):
    text = "when,a\n31.01.24 10:00,1\n31.01.24 10:01,2\n"
    index = read(text, date_format="%d.%m.%y %H:%M").index
    assert index[1] == pd.Timestamp("2024-01-31 10:01")
    fails(text, "line 2", "'when'", "two-digit")
    fails(text, "line 2", "'when'", "<date_format", date_format="%d.%m.%y %H:%M:%S")
    fails(text, "<date_format", date_format="%d.%d.%m.%y")
    zoned = "when,a\n31.01.24 10:00 +0200,1\n"
    index = read(zoned, timestamp="when", date_format="%d.%m.%y %H:%M %z").index
    assert index.tolist() == [pd.Timestamp("2024-01-31 10:00+02:00")]
    # Two words that no known format has.
    text = "a,when\n1,Jan 31 2024 at 10\n2,Jan 31 2024 at 11\n"
    assert read(text, date_format="%b %d %Y at %H").index.name == "when"
    headless = text.split("\n", 1)[1]
    options = {"date_format": "%b %d %Y at %H", "timestamp": "Jan 31 2024 at 10"}
    fails(headless, "line 1", "no header", **options)
