# SPDX-License-Identifier: MIT
"""Serve an application, and take readings of a source beside it."""

import socket
import threading

__all__ = ["serve"]

_INSTALL = "'pip install \".[serve]\"' in a checkout of tsanomaly"

# Connections at once, at most: each may hold a body.
_MOST_CONNECTIONS = 200


def serve(application, host, port, background=None):
    """Serve until the process is asked to end.

    Parameters
    ----------
    application : Application
    host : str
    port : int
        0 takes one that is free.
    background : callable or None, default=None
        Called without arguments in a thread beside the server, which ends if it fails.

    Raises
    ------
    ImportError
        If uvicorn is not installed.
    OSError
        If the address cannot be taken.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise ImportError(
            f"Taking readings over HTTP needs uvicorn: {_INSTALL}."
        ) from error
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(
            error.errno,
            f"Port {port} of {host} cannot be taken: {error.strerror}. Choose another",
        ) from error
    config = uvicorn.Config(
        application,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    failures = []
    if background is not None:

        def run():
            try:
                background()
            except Exception as error:
                failures.append(error)
                server.should_exit = True

        threading.Thread(target=run, daemon=True).start()
    with listening:
        server.run(sockets=[listening])
    if failures:
        raise failures[0]
