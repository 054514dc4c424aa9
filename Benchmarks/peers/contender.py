# SPDX-License-Identifier: Apache-2.0
"""One side of a benchmark as a process of its own, driven line by line.

The driver writes one command a line to standard input and reads one JSON line for each:

    (start)        {"ready": true, "description": "..."} once set up and warmed up
    round          {"seconds": 1.2, "images": 128, "peak_rss_bytes": 5e8} after one timed round
    output PATH    {"written": PATH, "count": n}; the result as raw little-endian Float32
    quit           the process ends

Whatever else a library prints goes to standard error.
"""

import argparse
import json
import os
import sys
import time


def options():
    """The options every contender takes; the driver passes all of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", required=True, help="folder with weights and pixels")
    parser.add_argument("--photos", help="folder of photos")
    parser.add_argument("--network", default="efficientnet_lite0")
    parser.add_argument("--variant", default="frozen-bn", help="what trains (training only)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--images", type=int, default=128, help="images a round")
    return parser.parse_args()


def peak_rss_bytes():
    """The largest resident size this process ever had, as the kernel counts it (VmHWM)."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def serve(description, run_round, output=None):
    """Warms up with one round, says that it is ready, and answers until told to quit.

    `run_round()` does one round and returns the number of images in it; `output()` returns a
    NumPy array to compare with the other contenders' arrays.
    """
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(**fields):
        replies.write(json.dumps(fields) + "\n")
        replies.flush()

    if "MALLOC_MMAP_MAX_" in os.environ:
        description += ", allocator keeps its memory"
    run_round()
    reply(ready=True, description=description)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "round":
            start = time.perf_counter()
            images = run_round()
            seconds = time.perf_counter() - start
            reply(seconds=seconds, images=images, peak_rss_bytes=peak_rss_bytes())
        elif command == "output" and output is not None:
            values = output().astype("<f4")
            values.tofile(argument)
            reply(written=argument, count=int(values.size))
        elif command == "quit":
            return
        else:
            reply(error=f"unknown command '{command}'")
