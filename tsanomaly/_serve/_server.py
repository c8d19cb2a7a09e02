# SPDX-License-Identifier: MIT
"""Serve an application, and take readings of a source beside it."""

import socket
import threading

__all__ = ["serve"]

_INSTALL = "'pip install \".[serve]\"' in a checkout of tsanomaly"

# Connections at once, at most: each may hold a body.
_MOST_CONNECTIONS = 200

# Seconds in which the head of a request has to arrive, at least, and twice as many at
# most. Otherwise connections that ask for nothing would keep all others out.
_PATIENCE = 15


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
        http=_impatient(),
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


def _impatient():
    """Uvicorn's protocol, which closes connections on which no request comes."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        """Looks from time to time whether there is another request than before."""

        def connection_made(self, transport):
            super().connection_made(transport)
            self._look(None)

        def _look(self, before):
            if self.transport.is_closing():
                return
            waits = self.cycle is None or self.cycle.response_complete
            if waits and before is not None and before is (self.cycle or self):
                self.transport.close()
                return
            self.loop.call_later(_PATIENCE, self._look, self.cycle or self)

    return Impatient
