# SPDX-License-Identifier: MIT
"""Errors and warnings that know which parameters they speak of.

A function says ``sep=';'``, the command line calls the same thing ``--sep ';'``. So
that nobody has to look for parameters in a text that also holds names of files and
cells, a message is kept in parts.
"""

__all__ = ["Parameter", "ParameterError", "ParameterWarning"]

_NO_VALUE = object()


class Parameter:
    """A parameter that a message speaks of.

    Parameters
    ----------
    name : str
        Its name.
    value : object, default=no value
        What it is set to, or could be set to. Without one, the message speaks of the
        parameter as such.
    """

    def __init__(self, name, value=_NO_VALUE):
        self.name = name
        self.value = value

    @property
    def has_value(self):
        """Whether the message says what it is set to."""
        return self.value is not _NO_VALUE

    def __str__(self):
        return f"{self.name}={self.value!r}" if self.has_value else self.name

    def __reduce__(self):
        return type(self), (self.name, self.value) if self.has_value else (self.name,)


class _MessageInParts:
    """What the error and the warning have in common; the parts are in ``args``."""

    def spelled(self, spell):
        """Return the message, with parameters as another interface calls them.

        Parameters
        ----------
        spell : callable
            From a Parameter to text.

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
    """A ValueError about parameters, which can be spelled in more ways than one.

    Parameters
    ----------
    *parts : str or Parameter
        The message, one after the other.

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
    """A UserWarning about parameters, which can be spelled in more ways than one.

    Parameters
    ----------
    *parts : str or Parameter
        The message, one after the other.
    """
