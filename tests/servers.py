"""Real servers on this machine that misbehave, for tests of what a client makes of it."""

import json
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: What a script does with a connection whose request has been read: it answers, or not, and may read on.
Script = Callable[["Connection"], None]

SUCCESS: dict[str, Any] = {"data": {"sendUserEvents": {"status": "successful"}}}


class Connection:
    """The server's end of one connection."""

    def __init__(self, server: "Server", sock: socket.socket) -> None:
        self._server = server
        self._sock = sock
        self._buffer = b""

    def request(self, after_head: Callable[[], None] = lambda: None) -> bytes:
        """Read one request, head and body, and do something between the two; nothing if the client has gone."""
        while b"\r\n\r\n" not in self._buffer:
            if not (received := self._sock.recv(65_536)):
                return b""
            self._buffer += received
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        names = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(names.get(b"content-length", b"0"))
        after_head()
        while len(rest) < length:
            rest += self._sock.recv(65_536)
        self._buffer = rest[length:]
        self._server.requests.append((head.decode("latin-1"), rest[:length]))
        return head + b"\r\n\r\n" + rest[:length]

    @property
    def number(self) -> int:
        """How many requests the server has read, on all connections."""
        return len(self._server.requests)

    def look(self) -> bytes:
        """Return what one read finds."""
        return self._sock.recv(65_536)

    def drain(self) -> None:
        """Read until the client closes the connection."""
        while self.look():
            pass

    def send(self, text: bytes) -> None:
        """Write some bytes."""
        self._sock.sendall(text)

    def answer(self, body: bytes, status: str = "200 OK", *headers: str) -> None:
        """Write a whole answer, which leaves the connection open."""
        head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
        self.send("\r\n".join([*head, "", ""]).encode() + body)

    def succeed(self) -> None:
        """Answer that the events were accepted."""
        self.answer(json.dumps(SUCCESS).encode())

    def pass_on(self, other: socket.socket) -> None:
        """Pass on what either end sends, until one has closed its connection or the server is stopped.

        In one thread: a TLS connection must not be read and written at the same time.
        """
        with suppress(OSError):
            while not self.is_stopped:
                is_pending = isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0
                ready = [self._sock] if is_pending else select.select([self._sock, other], [], [], 0.1)[0]
                for source in ready:
                    if not (data := source.recv(65_536)):
                        return
                    (other if source is self._sock else self._sock).sendall(data)

    def trickle(self, text: bytes, seconds: float = 0.4) -> None:
        """Write a byte every so often, until the server is stopped."""
        for byte in text:
            self.send(bytes([byte]))
            if self._server.stopped.wait(seconds):
                return

    @property
    def is_stopped(self) -> bool:
        """Whether the server is to end."""
        return self._server.stopped.is_set()

    def wait(self) -> None:
        """Do nothing, until the server is stopped."""
        self._server.stopped.wait(30)

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close(self) -> None:
        """End the connection in good order."""
        self._sock.close()


class Server:
    """A TCP server: each connection gets a thread that runs the script; it keeps every request's head and body."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.connections = 0
        self.stopped = threading.Event()
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def endpoint(self) -> str:
        """Where the API is."""
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}/graphql"

    def stop(self) -> None:
        """End the script of every connection."""
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(5)
        try:
            with self._context.wrap_socket(sock, server_side=True) if self._context else sock as secured:
                self._script(Connection(self, secured))
        except OSError:
            sock.close()


@contextmanager
def serving(script: Script, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run a server for a while."""
    server = Server(script, context)
    try:
        yield server
    finally:
        server.stop()


def succeed_always(connection: Connection) -> None:
    """Answer every request of a connection that the events were accepted."""
    while connection.request():
        connection.succeed()


def once(act: Callable[[Connection], None]) -> Script:
    """Return the script that reads one request and does something."""

    def script(connection: Connection) -> None:
        connection.request()
        act(connection)

    return script
