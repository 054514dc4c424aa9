# SPDX-License-Identifier: Apache-2.0
"""Usage: serve_load.py PORT PHOTOS RATE SECONDS

Posts photos at a steady rate, whether answers come or not, and prints the 50th and 99th percentile of the
milliseconds from when a photo was due to its answer. PHOTOS is a file with a path a line. Needs only Python.
"""

import asyncio
import sys
import time


async def post(connections, port, photo):
    """One request on a connection that is free, or on a new one."""
    reader, writer = connections.pop() if connections else await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        % len(photo) + photo)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 200"):
        sys.exit(f"error: {head.splitlines()[0].decode()}")
    connections.append((reader, writer))


async def main(port, photos, rate, seconds):
    connections, times = [], []

    async def timed(photo, due):
        await asyncio.sleep(max(due - time.monotonic(), 0))
        await post(connections, port, photo)
        times.append(time.monotonic() - due)

    start = time.monotonic() + 0.2
    await asyncio.gather(*(
        timed(photos[number % len(photos)], start + number / rate) for number in range(int(rate * seconds))))
    times.sort()
    print(f"{1000 * times[len(times) // 2]:.2f} {1000 * times[int(len(times) * 0.99)]:.2f}")


with open(sys.argv[2]) as names:
    files = [open(name.rstrip("\n"), "rb").read() for name in names]
asyncio.run(main(int(sys.argv[1]), files, float(sys.argv[3]), float(sys.argv[4])))
