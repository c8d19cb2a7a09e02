# SPDX-License-Identifier: MIT
"""Run a command: its result, its messages and its exit status."""

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

# Errors that say what is wrong with what was given, and what else libraries raise then.
_FORESEEN = (OSError, ValueError, ImportError, MemoryError)
_OTHERS = (RuntimeError, KeyError)

# Status of a program that SIGPIPE ends, as shells give it.
_CLOSED_PIPE = 141


def run(argv, *, is_program):
    """Run what a command line says.

    Parameters
    ----------
    argv : list of str or None
        Arguments without the name of the program; None takes those of the process.
    is_program : bool
        Whether the process is that of the program, which may end it.

    Returns
    -------
    status : int
        As of :func:`tsanomaly._cli.main`.
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
        # As Python would show it, but for what a terminal obeys.
        show(traceback.format_exc().rstrip("\n"), messages)
        return 1


def _run(call, progress, is_program):
    # Imported when a command is run: the help needs no pandas.
    with leaving_at_once(is_program):
        from tsanomaly._cli import _commands
        from tsanomaly._saving._atomic_write import replacing_together

    with _compiling(call.compilation_cache), replacing_together():
        return getattr(_commands, call.command)(**call.keywords, progress=progress)


@contextmanager
def _compiling(folder):
    """Keep compiled networks in a folder, if there is one, as long as it runs."""
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
                "may write to, or leave it out.",
            ) from error
        yield


def _in_one_line(error, call):
    """What an error says, and where to look if that is not made for people."""
    text = one_line(_spelled(error, call))
    if isinstance(error, MemoryError):
        return text or "There is not enough memory. Pass fewer rows or columns"
    if isinstance(error, _FORESEEN):
        return text
    return f"{type(error).__name__}: {text}. Pass --verbose to see where it arose"


def _spelled(message, call):
    """Text of an error or a warning, parameters as the options of the command."""
    if hasattr(message, "spelled"):
        return message.spelled(call.as_option)
    return str(message)


def _print(text):
    """Print the result. What it tells of is done, whether it can be printed or not."""
    try:
        show(text, sys.stdout)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop(sys.stdout)
        raise OSError(
            error.errno,
            f"The command is done, and what it has to say cannot be written: "
            f"{error.strerror}. Its files are new",
        ) from error


@contextmanager
def _messages(call, progress, stream):
    """Warnings as lines for people; with -v what the library logs, too."""
    said = set()

    def say(message, *_, **__):
        text = one_line(_spelled(message, call))
        if text in said:  # of another picture, or another part of the model
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
            # Every step of a pipeline says so; here it is said once, with the names.
            warnings.filterwarnings("ignore", "X has feature names, but")
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Formatter(logging.Formatter):
    """One line for each record, with nothing in it that a terminal obeys."""

    def format(self, record):
        return visible(super().format(record))


def _as_json(result):
    # In ASCII, with escapes for all else: nothing is left that a terminal obeys.
    return json.dumps(result, indent=2, allow_nan=False)
