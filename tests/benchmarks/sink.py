"""A server that answers everything with success after a delay, as cheaply as Python can: python -m … DELAY."""

import asyncio
import re
import sys

_ANSWERS = {
    b"POST /token ": b'{"access_token":"benchmark","expires_in":900}',
    b"POST /graphq": b'{"data":{"sendUserEvents":{"status":"successful"}}}',
}
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class Sink(asyncio.Protocol):
    """One connection: reads whole requests and answers each."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to answer."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole."""
        self._received += data
        while (head_ends := self._received.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._received, 0, head_ends + 2)
            ends = head_ends + 4 + (int(found[1]) if found else 0)
            if len(self._received) < ends:
                return
            content = _ANSWERS.get(bytes(self._received[:12]), b"{}")
            del self._received[:ends]
            asyncio.get_running_loop().call_later(self._delay, self._answer, _HEAD % (len(content), content))

    def _answer(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(delay: float) -> None:
    """Serve on a free port, and print it."""
    server = await asyncio.get_running_loop().create_server(lambda: Sink(delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
