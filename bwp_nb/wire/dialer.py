"""Opens connections: to a server or through a proxy, over TLS, with what the environment says of both."""

import base64
import ipaddress
import os
import socket
import ssl
from contextlib import suppress
from urllib.request import getproxies, proxy_bypass

import h11
import httpcore
import httpx

from bwp_nb.errors import InvalidSettings
from bwp_nb.wire.http11 import Connection, Headers, TimeLimit

_PORTS = {"http": 80, "https": 443}


def ssl_context() -> ssl.SSLContext:
    """Return the TLS settings of httpx; raise `InvalidSettings` if the environment names a file that is unusable."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        name = "SSLKEYLOGFILE" if error.filename else "SSL_CERT_FILE"
        if name not in os.environ:
            raise
        message = f"{name}={os.environ[name]!r} cannot be used: {error.strerror}. Correct or unset it."
        raise InvalidSettings([message]) from None


def connect(url: httpx.URL, context: ssl.SSLContext, limit: TimeLimit) -> Connection:
    """Open a connection; if that fails, the request was not sent, and the error is one of connecting."""
    proxy = _proxy(url)
    stream = _open(proxy.url if proxy else url, limit)
    try:
        if proxy and proxy.url.scheme == "https":
            stream = _secure(stream, proxy.url, context, limit)
        if proxy and url.scheme == "https":
            _tunnel(stream, url, proxy, limit)
        if url.scheme == "https":
            stream = _secure(stream, url, context, limit)
        connection = Connection(stream, _authorization(proxy) if proxy and url.scheme == "http" else None)
        if not connection.is_usable():
            raise httpcore.ConnectError("The server sent data or closed the connection before it got a request")
    except BaseException:
        stream.close()
        raise
    return connection


def _proxy(url: httpx.URL) -> httpx.Proxy | None:
    """Return the proxy that the environment names for an address; this machine is reached without one."""
    if _is_loopback(url.host):
        return None
    name = next((name for name in (url.scheme, "all") if getproxies().get(name)), None)
    if name is None or proxy_bypass(url.netloc.decode("ascii")):
        return None
    with suppress(ValueError, httpx.InvalidURL):
        proxy = _named(name)
        if proxy.url.scheme in _PORTS:
            return proxy
    # Without the value, which may contain a password.
    raise InvalidSettings([f"{name.upper()}_PROXY: expected the http or https address of a proxy."])


def _named(name: str) -> httpx.Proxy:
    address = getproxies()[name]
    return httpx.Proxy(address if "://" in address else f"http://{address}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _open(url: httpx.URL, limit: TimeLimit) -> httpcore.NetworkStream:
    """Connect to the first address of a host that accepts; each is given its share of the time that is left."""
    if url.scheme not in _PORTS:
        raise httpcore.UnsupportedProtocol(f"Expected an http or https address, got {url.scheme!r}")
    port = url.port or _PORTS[url.scheme]
    try:
        found = socket.getaddrinfo(url.raw_host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from error
    addresses = [str(address[0]) for *_, address in found]
    backend = httpcore.SyncBackend()
    for shares, address in zip(range(len(addresses), 1, -1), addresses, strict=False):
        with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
            return backend.connect_tcp(address, port, limit.left("connect", shares))
    return backend.connect_tcp(addresses[-1], port, limit.left("connect"))


def _secure(
    stream: httpcore.NetworkStream, url: httpx.URL, context: ssl.SSLContext, limit: TimeLimit
) -> httpcore.NetworkStream:
    return stream.start_tls(context, url.raw_host.decode("ascii"), limit.left("connect"))


def _tunnel(stream: httpcore.NetworkStream, url: httpx.URL, proxy: httpx.Proxy, limit: TimeLimit) -> None:
    """Make a proxy connect to the server."""
    host = f"[{url.host}]" if ":" in url.host else url.raw_host.decode("ascii")
    target = f"{host}:{url.port or _PORTS[url.scheme]}".encode()
    headers = [(b"Host", target), *_authorization(proxy)]
    request = httpx.Request("CONNECT", url, headers=headers, extensions={"target": target})
    try:
        status_code = Connection(stream).send(request, limit).status_code
    except httpcore.TimeoutException as error:
        raise httpcore.ConnectTimeout("The proxy did not respond in time") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, h11.ProtocolError) as error:
        raise httpcore.ConnectError(f"The proxy failed: {error}") from error
    if status_code >= 300:
        raise httpcore.ConnectError(f"The proxy refused to connect: HTTP {status_code}")


def _authorization(proxy: httpx.Proxy) -> Headers:
    """Return the headers that a proxy wants."""
    if proxy.raw_auth is None:
        return proxy.headers.raw
    return [*proxy.headers.raw, (b"Proxy-Authorization", b"Basic " + base64.b64encode(b":".join(proxy.raw_auth)))]
