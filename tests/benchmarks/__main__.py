"""Measure what design and README promise, in one run: python -m tests.benchmarks [ROWS].

Ratios are of processor time, to `httpx.Client.post` of the same bodies, ready made, to a sink in a process of its own.
All cases take turns, five times, and the medians count.
"""

import sys

from tests.benchmarks.cases import measure

if __name__ == "__main__":
    for line in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000):
        print(line, flush=True)
