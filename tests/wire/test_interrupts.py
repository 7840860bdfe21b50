"""An interrupt during a send is raised as itself, and leaves the client as if the send had not been."""

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from tests.servers import SUCCESS, Connection, serving

ROOT = Path(__file__).parents[2]


def _script(connection: Connection) -> None:
    """Give a token that is over at once, or say which event was accepted."""
    while request := connection.request():
        body = request.partition(b"\r\n\r\n")[2]
        if b"client_credentials" in body:
            connection.answer(b'{"access_token": "a", "expires_in": 0.001}')
        else:
            (event,) = json.loads(body)["variables"]["input"]["events"]
            connection.answer(json.dumps(SUCCESS | {"extensions": {"sandbox": [event["eventId"]]}}).encode())


@pytest.mark.parametrize("burst", [1, 3], ids=["alone", "in threes"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_send_after_an_interrupt_gets_its_own_response(scheme: str, burst: int, tmp_path: Path) -> None:
    """Of 1,500 interrupts in all four cases, none leaves a lock held or a response half read, and none is lost."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(_script, context if scheme == "https" else None) as server:
        command = [sys.executable, "-m", "tests.interrupting", server.endpoint, server.endpoint, "375", str(burst)]
        environment = os.environ | {"SSL_CERT_FILE": str(tmp_path / "authority.pem")}
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False
        )
    assert 0 == done.returncode, done.stderr
    seen = json.loads(done.stdout)
    assert (0, []) == (seen["wrong"], seen["errors"])
    assert 375 <= seen["interrupts"] <= burst * seen["raised"]
