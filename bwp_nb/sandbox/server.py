"""The sandbox on a port of this machine, for cURL, Postman and every other client.

It listens on loopback only, and limits the connections.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl
import threading
from collections.abc import Collection
from typing import Any

from bwp_nb.displays.short_errors import InvalidArgument, extra
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.wire.platform import Clock, refuse_in_browser

refuse_in_browser("serve")
with extra("server"):
    from tornado.httpserver import HTTPServer
    from tornado.web import Application

    from bwp_nb.sandbox.addresses import Handler, Site, check_origin

#: The most connections at a time.
MAX_CONNECTIONS = 256

#: The most bytes of a request's head.
MAX_HEAD = 16_384

#: The most requests, and events of each kind, that a new sandbox keeps.
KEEP = 10_000

#: The addresses that can be served on, and the host names that a client may use for each.
HOSTS = {"127.0.0.1": ("127.0.0.1", "localhost"), "::1": ("[::1]", "localhost")}

_log = logging.getLogger("bwp_nb.sandbox.server")


def serve(
    sandbox: Sandbox | None = None,
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    deadline: float = 60.0,
    ssl_context: ssl.SSLContext | None = None,
    allow_origins: Collection[str] = (),
) -> "Server":
    """Serve a sandbox on this machine, for cURL and any GraphQL client, until the returned server is closed.

    It accepts only the sandbox's own credentials, and listens where other machines cannot reach it.

    Parameters
    ----------
    sandbox : Sandbox, optional
        The sandbox to serve. Default: a new one with the system clock and no latency, which keeps the last 10,000
        requests, and events of each kind.
    port : int, default 0
        The port; 0 means any free one.
    host : str, default "127.0.0.1"
        The address to listen on: one of this machine.
    deadline : float, default 60.0
        The most seconds that a client has to send a request and to read its response. A simulated timeout lasts as
        long.
    ssl_context : ssl.SSLContext, optional
        Serve https with it. Default: http.
    allow_origins : collection of str, default ()
        The origins whose web pages may use `/graphql` and `/token`, such as `http://localhost:3000`. Default: none, so
        that only programs can use them.

    Returns
    -------
    Server
        Close it, or use it in a `with` statement. `endpoint` and `token_endpoint` are its addresses; `environment` has
        the settings that make `connect` in any process of this machine its client; `sandbox` has what arrived, and so
        has the address `control`, for the bearer token `control_token`.

    Raises
    ------
    ValueError
        For a host that other machines can reach, or an origin that is not one.
    OSError
        If the port is in use.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> with bwp.serve() as server:
    ...     server.endpoint.endswith("/graphql")
    True
    """
    for origin in allow_origins:
        check_origin(origin)
    listening = _listening(host, port)
    site = Site(
        sandbox or Sandbox(clock=Clock(), latency=0.0, keep=KEEP),
        scheme="https" if ssl_context else "http",
        hosts=[f"{name}:{listening.getsockname()[1]}" for name in HOSTS[host]],
        control_token=secrets.token_urlsafe(24),
        deadline=deadline,
        origins=frozenset(map(str.lower, allow_origins)),
    )
    return Server(site, listening, ssl_context)


class Server(contextlib.AbstractContextManager["Server"]):
    """A sandbox that is being served; close it, or use it in a `with` statement.

    `endpoint` and `token_endpoint` work like the live API's. `control` is the address that shows what arrived, to
    requests with `control_token` as the bearer token. `environment` has the settings of a live client for this server.
    """

    def __init__(self, site: Site, listening: socket.socket, ssl_context: ssl.SSLContext | None) -> None:
        self.sandbox = site.sandbox
        self.port: int = listening.getsockname()[1]
        self.control_token = site.control_token
        self.address = f"{site.scheme}://{site.hosts[0]}"
        self.endpoint = f"{self.address}/graphql"
        self.token_endpoint = f"{self.address}/token"
        self.control = f"{self.address}/control"
        self._running = threading.Event()
        serving = self._serve(listening, site, ssl_context)
        self._thread = threading.Thread(target=asyncio.run, args=(serving,), name=repr(self), daemon=True)
        self._thread.start()
        self._running.wait()

    def __repr__(self) -> str:
        return f"Server({self.address})"

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def environment(self) -> dict[str, str]:
        """The settings that make `connect`, in any process of this machine, a client of this server."""
        return {
            "BWP_MODE": "live",
            "BWP_CONFIRM": "no",
            "BWP_ENDPOINT": self.endpoint,
            "BWP_TOKEN_ENDPOINT": self.token_endpoint,
            "BWP_CLIENT_ID": self.sandbox.client_id,
            "BWP_CLIENT_SECRET": self.sandbox.client_secret,
            "BWP_TARGET_ID": self.sandbox.target_id,
        }

    def close(self) -> None:
        """Stop listening, and close every connection."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closed.set)
            self._thread.join()

    async def _serve(self, listening: socket.socket, site: Site, ssl_context: ssl.SSLContext | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        listener = Listener(
            Application([(".*", Handler, {"site": site})], log_function=Handler.log_line),
            ssl_options=ssl_context,
            max_header_size=MAX_HEAD,
            max_body_size=2**63,  # a longer body than MAX_BODY is read and dropped, so that its sender gets a response
            idle_connection_timeout=site.deadline,
            body_timeout=site.deadline,
        )
        listener.add_socket(listening)
        self._running.set()
        await self._closed.wait()
        listener.stop()
        await listener.close_all_connections()


class Listener(HTTPServer):
    """An HTTP server with a limit on its connections."""

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        """Serve a connection, or close it if there are too many, or if its client has reset it (TLS would raise)."""
        try:
            if len(self._connections) >= MAX_CONNECTIONS:
                _log.warning("port %s: closed, because %s connections are open, the limit", address[1], MAX_CONNECTIONS)
                connection.close()
            else:
                connection.getpeername()
                super()._handle_connection(connection, address)
        except OSError:
            _log.info("port %s: left before it sent a request", address[1])
            connection.close()


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens on loopback, or raise `ValueError`."""
    if host not in HOSTS:
        raise InvalidArgument(f"host: expected {' or '.join(HOSTS)}, which no other machine can reach, got {host!r}")
    if port not in range(65_536):
        raise InvalidArgument(f"port: expected a number from 0 to 65535, got {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # without the address, which is repeated there
        raise OSError(f"Cannot serve on {host} port {port}: {reason}. Choose another port.") from None
    listening.setblocking(False)
    return listening
