# SPDX-License-Identifier: MIT
"""Run a command, and print its result and messages."""

import json
import logging
import sys
import traceback
import warnings
from contextlib import contextmanager

from tsanomaly._cli._parser import ALARM_STATUS, parse
from tsanomaly._cli._process import Messages, drop, ending_in_order, leaving_at_once
from tsanomaly._cli._terminal import Progress
from tsanomaly._cli._text import one_line, show, visible
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._progress import listening

__all__ = ["run"]

# Errors about the input, raised by this library and by others.
_FORESEEN = (OSError, ValueError, ImportError, MemoryError)
_OTHERS = (RuntimeError, KeyError)

# Exit code after SIGPIPE, as in shells.
_CLOSED_PIPE = 141


def run(argv, *, is_program):
    """Run a command line.

    Parameters
    ----------
    argv : list of str or None
        Arguments without the name of the program; None takes those of the process.
    is_program : bool
        Whether the process belongs to the program, which may then end it.

    Returns
    -------
    status : int
        Exit code, as of :func:`tsanomaly._cli.main`.
    """
    call = parse(argv)
    messages = Messages(sys.stderr)
    output = None if call.as_json else sys.stdout
    try:
        with (
            ending_in_order(),
            Progress(messages, output) as progress,
            _messages(call, progress, messages),
            listening(progress.advance),
        ):
            result, text = _run(call, progress, is_program)
        if call.as_json or text is not None:
            _print(_as_json(result) if call.as_json else text)
        return ALARM_STATUS if call.fail_on_alarm and result["alarms"] else 0
    except BrokenPipeError:
        drop(sys.stdout)
        return _CLOSED_PIPE
    except KeyboardInterrupt:
        return messages.interrupted()
    except (*_FORESEEN, *_OTHERS) as error:
        if call.verbose:
            show(traceback.format_exc().rstrip("\n"), messages)
        text = _in_one_line(error, call)
        show(f"tsanomaly {call.command}: error: {text}", messages)
        return 1
    except Exception:
        if not is_program:
            raise
        # The traceback, with control characters escaped.
        show(traceback.format_exc().rstrip("\n"), messages)
        return 1


def _run(call, progress, is_program):
    # Imported only when a command runs, because the help needs no pandas.
    with leaving_at_once(is_program):
        from tsanomaly._cli import _commands
        from tsanomaly._saving._atomic_write import replacing_together

    with _compiling(call.compilation_cache), replacing_together():
        return getattr(_commands, call.command)(**call.keywords, progress=progress)


@contextmanager
def _compiling(folder):
    """Use a compilation cache, if one is given, while the command runs."""
    if folder is None:
        yield
        return
    from tsanomaly._backend import preserve_compilation_cache, set_compilation_cache

    with preserve_compilation_cache():
        try:
            set_compilation_cache(folder)
        except OSError as error:
            raise ParameterError(
                Parameter("compilation_cache", folder),
                f" cannot be used: {error.__cause__.strerror}. Name a folder that you "
                "can write to, or leave the option out.",
            ) from error
        yield


def _in_one_line(error, call):
    """Put an error on one line; for unexpected errors, mention --verbose."""
    text = one_line(_spelled(error, call))
    if isinstance(error, MemoryError):
        return text or "There is not enough memory. Pass fewer rows or columns"
    if isinstance(error, _FORESEEN):
        return text
    return f"{type(error).__name__}: {text}. Pass --verbose for the traceback"


def _spelled(message, call):
    """Return the text of an error or a warning, with parameters as options."""
    if hasattr(message, "spelled"):
        return message.spelled(call.as_option)
    return str(message)


def _print(text):
    """Print the result. Its files are written even if printing fails."""
    try:
        show(text, sys.stdout)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop(sys.stdout)
        raise OSError(
            error.errno,
            "The command is done and its files are written, but its result cannot be "
            f"printed: {error.strerror}",
        ) from error


@contextmanager
def _messages(call, progress, stream):
    """Print warnings as single lines, and with -v the log of the library."""
    said = set()

    def say(message, *_, **__):
        text = one_line(_spelled(message, call))
        if text in said:  # the same warning from another plot or model part
            return
        said.add(text)
        progress.print(f"tsanomaly {call.command}: warning: {text}", stream)

    handler, logger = logging.StreamHandler(stream), logging.getLogger("tsanomaly")
    handler.setFormatter(_Formatter())
    level = logger.level
    if call.verbose:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = say
            # Each step of a pipeline warns; the command warns once, with the names.
            warnings.filterwarnings("ignore", "X has feature names, but")
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Formatter(logging.Formatter):
    """Formats each record as one line, with control characters escaped."""

    def format(self, record):
        return visible(super().format(record))


def _as_json(result):
    # ASCII with escapes holds no control characters.
    return json.dumps(result, indent=2, allow_nan=False)
