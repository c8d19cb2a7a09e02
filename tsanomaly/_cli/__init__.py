# SPDX-License-Identifier: MIT
"""The command line: parse, call the commands, print what they return.

Nothing is imported before `main` is called, which handles Ctrl-C from then on.
"""

__all__ = ["main"]


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str or None, default=None
        Arguments without the name of the program. None uses those of the process, which
        Ctrl-C then ends while modules are imported.

    Returns
    -------
    status : int
        0 for success, 1 for failure, 130 if interrupted, 141 if the reader of a pipe
        closed it. Wrong usage exits with 2, SIGTERM with 143, and SIGHUP, when the
        terminal is closed, with 129.
    """
    is_program = argv is None
    try:
        from tsanomaly._cli._process import leaving_at_once, open_missing_streams

        open_missing_streams()
        with leaving_at_once(is_program):
            from tsanomaly._cli._main import run
        return run(argv, is_program=is_program)
    except KeyboardInterrupt:
        import sys

        from tsanomaly._cli._process import Messages

        return Messages(sys.stderr).interrupted()
