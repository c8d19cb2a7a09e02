# SPDX-License-Identifier: MIT
"""Serve an application, and process a source in the background."""

import socket
import threading

__all__ = ["serve"]

_INSTALL = "'pip install \".[serve]\"' in a checkout of tsanomaly"

# Maximum number of connections; each may hold a body.
_MOST_CONNECTIONS = 200

# A connection is closed if no request arrives within this many seconds, or twice as
# many at most. Otherwise idle connections would block all others.
_PATIENCE = 15


def serve(application, host, port, background=None):
    """Serve until the process is told to end.

    Parameters
    ----------
    application : Application
    host : str
    port : int
        0 picks a free port.
    background : callable or None, default=None
        Called without arguments in a thread; if it fails, the server ends.

    Raises
    ------
    ImportError
        If uvicorn is not installed.
    OSError
        If the address cannot be used.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise ImportError(
            f"Receiving readings over HTTP needs uvicorn: {_INSTALL}."
        ) from error
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(
            error.errno,
            f"Port {port} of {host} cannot be used: {error.strerror}. Choose another "
            "port",
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
    """Return a protocol for uvicorn that closes connections without requests."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        """Checks periodically whether a new request has arrived."""

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
