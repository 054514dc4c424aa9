# SPDX-License-Identifier: Apache-2.0
"""Usage: serve_soak.py PID PORT PHOTOS SECONDS

Asks the server PID at PORT from sixteen clients: eight send good requests, eight send what hostile or broken ones do.
Every good request must be answered, and the same question always by the same bytes; every 15 seconds a line has the
memory, the open files and the threads of the server. PHOTOS is a file with a path a line. Needs only Python.
"""

import collections
import http.client
import os
import random
import socket
import sys
import threading
import time

pid, port, names, seconds = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
photos = [open(name.rstrip("\n"), "rb").read() for name in open(names)]
end = time.monotonic() + seconds
lock = threading.Lock()
answers, counts, wrong = {}, collections.Counter(), []
QUESTIONS = ["/predict", "/predict?heat_map=map&top=1", "/predict?logits=1"]
HOST = b"Host: localhost\r\n"


def good():
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while time.monotonic() < end:
        question = random.choice(QUESTIONS), random.randrange(len(photos))
        try:
            connection.request("POST", question[0], photos[question[1]])
            response = connection.getresponse()
            body = response.read()
        except OSError as error:
            wrong.append(repr(error))
            return
        with lock:
            if response.status != 200 or answers.setdefault(question, body) != body:
                wrong.append((question, response.status, body[:100]))
            counts["good"] += 1


def post(path, length, body):
    return b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n" % (path, HOST, length) + body


def nasty():
    """Bytes that nobody should send."""
    photo = random.choice(photos)
    damaged = bytearray(photo)
    for _ in range(50):
        damaged[random.randrange(len(damaged))] = random.randrange(256)
    return random.choice([
        os.urandom(2000),
        post(b"/predict", len(photo), photo[:random.randrange(len(photo))]),
        post(b"/predict", 99999999999, photo),
        post(b"/predict?heat_map=overlay", len(damaged), bytes(damaged)),
        post(b"/predict", len(photo), photo),
        post(b"/v2/models/any/infer", 200000, b"[" * 200000),
        b"POST /predict HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n10000\r\n" + b"x" * 0x10000,
        b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 60000 + b"\r\n\r\n",
        b"GET /..%2f..%2fetc/passwd HTTP/1.1\r\n" + HOST + b"\r\n",
        b"",
    ])


def bad():
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.sendall(nasty())
                if random.random() < 0.5:
                    client.shutdown(socket.SHUT_WR)
                if random.random() < 0.8:
                    client.recv(100)
        except OSError:
            pass
        counts["bad"] += 1


threads = [threading.Thread(target=target) for target in (good, bad) for _ in range(8)]
for thread in threads:
    thread.start()
start = time.monotonic()
while time.monotonic() < end and not wrong:
    time.sleep(15)
    memory = int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20
    files, tasks = len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))
    print(f"{time.monotonic() - start:.0f} s: {memory} MiB, {files} files, {tasks} threads,"
          f" {counts['good']} good and {counts['bad']} bad requests", flush=True)
for thread in threads:
    thread.join()
if wrong:
    sys.exit(f"error: {len(wrong)} answers were wrong: {wrong[:3]}")
