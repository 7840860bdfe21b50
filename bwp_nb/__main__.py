"""The command line: `python -m bwp_nb serve`."""

import argparse

from bwp_nb.sandbox.server import HOSTS, run

parser = argparse.ArgumentParser(prog="python -m bwp_nb")
serve = parser.add_subparsers(required=True).add_parser("serve", help=run.__doc__, description=run.__doc__)
serve.add_argument("--port", type=int, default=0, help="a port of this machine; 0 means any free port")
serve.add_argument("--host", choices=HOSTS, default="127.0.0.1", help="a loopback address")
given = parser.parse_args()
run(given.port, given.host)
