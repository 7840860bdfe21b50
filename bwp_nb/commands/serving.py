"""The command that serves the sandbox."""

import argparse

from bwp_nb.commands.result import Result, Status


def serve(given: argparse.Namespace) -> Result:
    """Serve a sandbox of the API on this machine.

    It is served until Ctrl-C. It accepts its own credentials only, and only programs of this machine can reach it. With
    --json it prints endpoint, token_endpoint, credentials, control and control_token, then serves.

    Exit statuses: 0 it was stopped; 1 the port cannot be used; 2 wrong usage.
    """
    from bwp_nb.sandbox.server import run

    try:
        run(given.port, given.host, given.json)
    except OSError as error:
        raise OSError(f"Cannot serve on {given.host} port {given.port}: {error}.") from None
    return Result(Status.OK)


def serving(command: argparse.ArgumentParser) -> None:
    """Add where to serve."""
    command.add_argument("--port", type=int, default=0, help="the port to listen on (default: any free one)")
    hosts = ("127.0.0.1", "::1")
    command.add_argument("--host", choices=hosts, default=hosts[0], help=f"where to listen (default: {hosts[0]})")
