# SPDX-License-Identifier: MIT
"""Errors and warnings that can be reworded for the command line.

A function refers to ``sep=';'``, and the command line to ``--sep ';'``. Messages are
stored in parts, so that parameters do not have to be searched for in text that may also
contain file names and cells.
"""

__all__ = ["Parameter", "ParameterError", "ParameterWarning"]

_NO_VALUE = object()


class Parameter:
    """A parameter in a message.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object, default=no value
        Current or suggested value. Without a value, the message refers to the parameter
        in general.
    """

    def __init__(self, name, value=_NO_VALUE):
        self.name = name
        self.value = value

    @property
    def has_value(self):
        """Whether the message includes a value."""
        return self.value is not _NO_VALUE

    def __str__(self):
        return f"{self.name}={self.value!r}" if self.has_value else self.name

    def __reduce__(self):
        return type(self), (self.name, self.value) if self.has_value else (self.name,)


class _MessageInParts:
    """Base class of errors and warnings whose parts are in ``args``."""

    def spelled(self, spell):
        """Return the message with parameters formatted for another interface.

        Parameters
        ----------
        spell : callable
            Maps a Parameter to text.

        Returns
        -------
        message : str
        """
        return "".join(
            spell(part) if isinstance(part, Parameter) else part for part in self.args
        )

    def __str__(self):
        return self.spelled(str)


class ParameterError(_MessageInParts, ValueError):
    """ValueError about parameters, which can be formatted for several interfaces.

    Parameters
    ----------
    *parts : str or Parameter
        Consecutive parts of the message.

    Examples
    --------
    >>> from tsanomaly._parameter_error import Parameter, ParameterError
    >>> error = ParameterError("No fields. Pass ", Parameter("sep", ";"), ".")
    >>> str(error)
    "No fields. Pass sep=';'."
    >>> error.spelled(lambda parameter: f"--{parameter.name} {parameter.value}")
    'No fields. Pass --sep ;.'
    """


class ParameterWarning(_MessageInParts, UserWarning):
    """UserWarning about parameters, which can be formatted for several interfaces.

    Parameters
    ----------
    *parts : str or Parameter
        Consecutive parts of the message.
    """
