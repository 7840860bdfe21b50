"""What `serve` prints first: how to use the server."""

import json
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bwp_nb.sandbox.server import Server


def described(server: "Server") -> str:
    """Return the addresses and the credentials as JSON."""
    sandbox = server.sandbox
    credentials = {name: getattr(sandbox, name) for name in ("client_id", "client_secret", "target_id")}
    addresses = {name: getattr(server, name) for name in ("endpoint", "token_endpoint", "control", "control_token")}
    return json.dumps({**addresses, "credentials": credentials}) + "\n"


def welcome(server: "Server") -> str:
    """Return what a person needs to start: the address, the credentials, and commands to paste into a shell."""
    from bwp_nb.contract import documented

    sandbox = server.sandbox
    form = f"-d grant_type=client_credentials -d client_id={sandbox.client_id} -d client_secret={sandbox.client_secret}"
    body = shlex.quote(json.dumps({"query": documented.PAGE_LOAD.request}))
    return f"""\
{server.address} is a sandbox of the Buy with Prime API. Press Ctrl-C to stop it.

It keeps the last {sandbox.keep} requests and events of each kind; the last {sandbox.keep_tokens} tokens are valid.
It accepts only these credentials; never send it live ones.

  client id      {sandbox.client_id}
  client secret  {sandbox.client_secret}
  target id      {sandbox.target_id}

Get a token, which is valid for 15 minutes, and send the documented event:

export BWP_TARGET_ID={sandbox.target_id}
export BWP_ACCESS_TOKEN=$(curl -s {server.token_endpoint} {form} | cut -d '"' -f 4)
curl {server.endpoint} -H "Authorization: Bearer $BWP_ACCESS_TOKEN" -H "x-api-target-id: $BWP_TARGET_ID" \
  -H 'Content-Type: application/json' --data-raw {body}

See what arrived (also rejected, duplicates, requests; POST to reset or faults):

curl {server.control}/accepted -H 'Authorization: Bearer {server.control_token}'
"""
