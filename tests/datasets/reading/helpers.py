# SPDX-License-Identifier: MIT
"""Files for the tests of the reader."""

from tsanomaly._parameter_error import ParameterError, ParameterWarning


def column_of_times(times, name="time"):
    return "\n".join(
        [f"{name};a", *(f"{time};{row}" for row, time in enumerate(times))]
    )


def marked(message):
    """Format an error or a warning, with its parameters in angle brackets."""
    if isinstance(message, (ParameterError, ParameterWarning)):
        return message.spelled(lambda parameter: f"<{parameter}>")
    return str(message)
