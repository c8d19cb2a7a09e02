# SPDX-License-Identifier: MIT
"""Run a command: its result, its messages and its exit status."""

import json
import logging
import os
import sys
import traceback
import warnings
from contextlib import contextmanager, suppress

from tsanomaly._cli._parser import parse
from tsanomaly._cli._terminal import Progress
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._progress import listening

__all__ = ["main"]

# Errors that say what is wrong with what was given, and what else libraries raise then.
_FORESEEN = (OSError, ValueError, ImportError, MemoryError)
_OTHERS = (RuntimeError, KeyError)

# Status of a program that SIGPIPE ends, as shells give it.
_CLOSED_PIPE = 141


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str or None, default=None
        Arguments without the name of the program; None takes those of the process.

    Returns
    -------
    status : int
        0 for success, 1 for failure, 130 if interrupted, 141 if nobody reads on, as of
        other programs in a pipe. Wrong usage exits with 2.
    """
    call = parse(argv)
    output = None if call.as_json else sys.stdout
    try:
        with (
            Progress(sys.stderr, output) as progress,
            _messages(call, progress),
            listening(progress.advance),
        ):
            result, text = _run(call, progress)
        print(_as_json(result) if call.as_json else text, flush=True)
        return 0
    except BrokenPipeError:
        _drop_output()
        return _CLOSED_PIPE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (*_FORESEEN, *_OTHERS) as error:
        if call.verbose:
            traceback.print_exc()
        text = _in_one_line(error, call)
        print(f"tsanomaly {call.command}: error: {text}", file=sys.stderr)
        return 1


def _run(call, progress):
    # Imported when a command is run: the help needs no pandas.
    from tsanomaly._cli import _commands

    with _compiling(call.compilation_cache):
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
    text = " ".join(_spelled(error, call).split())
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


def _drop_output():
    """Nobody reads on, as in ``tsanomaly … | head -1``: Python need not try at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _messages(call, progress):
    """Warnings as lines for people; with -v what the library logs, too."""

    def show(message, *_, **__):
        text = f"tsanomaly {call.command}: warning: {_spelled(message, call)}"
        progress.print(text, sys.stderr)

    handler, logger = logging.StreamHandler(sys.stderr), logging.getLogger("tsanomaly")
    level = logger.level
    if call.verbose:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _as_json(result):
    return json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
