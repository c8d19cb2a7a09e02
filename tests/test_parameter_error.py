# SPDX-License-Identifier: MIT
import copy
import pickle
import warnings

import pytest

from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning


def as_option(parameter):
    name = "--" + parameter.name.replace("_", "-")
    return f"{name} {parameter.value}" if parameter.has_value else name


@pytest.mark.parametrize(
    ("parameter", "in_python", "as_options"),
    [
        (Parameter("sep"), "sep", "--sep"),
        (Parameter("sep", ";"), "sep=';'", "--sep ;"),
        (Parameter("label", None), "label=None", "--label None"),
        (Parameter("skiprows", 0), "skiprows=0", "--skiprows 0"),
        (Parameter("date_format", "%Y"), "date_format='%Y'", "--date-format %Y"),
    ],
)
def test_spellings_of_a_parameter(parameter, in_python, as_options):
    error = ParameterError("pump sep=2.csv: pass ", parameter, ".")
    assert str(error) == f"pump sep=2.csv: pass {in_python}."
    assert error.spelled(as_option) == f"pump sep=2.csv: pass {as_options}."


@pytest.mark.parametrize("kind", [ParameterError, ParameterWarning])
def test_copies_keep_the_parts(kind):
    message = kind("Pass ", Parameter("sep"), " or ", Parameter("label", None), ".")
    for again in (copy.deepcopy(message), pickle.loads(pickle.dumps(message))):
        assert type(again) is kind
        assert str(again) == "Pass sep or label=None."
        assert again.spelled(as_option) == "Pass --sep or --label None."


def test_they_are_what_callers_expect():
    assert issubclass(ParameterError, ValueError)
    assert issubclass(ParameterWarning, UserWarning)
    assert str(ParameterError()) == ""
    assert str(ParameterError(Parameter("sep", ";"))) == "sep=';'"


def test_a_warning_keeps_its_parts_and_can_be_filtered():
    message = ParameterWarning("Confirm ", Parameter("decimal", "."), " please.")
    with pytest.warns(UserWarning, match=r"^Confirm decimal='\.' please\.$") as caught:
        warnings.warn(message, stacklevel=1)
    assert caught[0].message.spelled(as_option) == "Confirm --decimal . please."
    with warnings.catch_warnings():
        warnings.simplefilter("error", ParameterWarning)
        with pytest.raises(ParameterWarning) as raised:
            warnings.warn(message, stacklevel=1)
    assert raised.value is message
