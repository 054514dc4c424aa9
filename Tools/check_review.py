#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives `thaw review` in a headless Chromium through its developer protocol.

    Tools/check_review.py THAW RUN [FOLDER]

THAW is the built command, RUN a trained run with photos to look at (a copy: decisions are made in it). Clicks, types
keys, reloads and compares what the page says with review.tsv; looks at the widths 400 and 1400, light and dark, for
anything that does not fit; writes pictures of the page into FOLDER. Needs Python's standard library and chromium.
"""
import base64, json, os, socket, struct, subprocess, sys, tempfile, time, urllib.parse, urllib.request


class Browser:
    """One page of a Chromium that is started for it."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
             "--user-data-dir=" + self.profile.name, "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        place = os.path.join(self.profile.name, "DevToolsActivePort")
        for _ in range(600):
            if os.path.exists(place) and open(place).read().count("\n"):
                break
            time.sleep(0.1)
        port = int(open(place).read().split("\n")[0])
        pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
        path = next(p for p in pages if p["type"] == "page")["webSocketDebuggerUrl"].split("/", 3)[3]
        self.socket = socket.create_connection(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                             "Sec-WebSocket-Version: 13\r\n\r\n").encode())
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.socket.recv(4096)
        self.rest = self.rest.split(b"\r\n\r\n", 1)[1]
        self.number = 0
        self.logs = []
        for domain in ("Page", "Runtime", "Log"):
            self(domain + ".enable")

    def _bytes(self, count):
        while len(self.rest) < count:
            self.rest += self.socket.recv(1 << 20)
        part, self.rest = self.rest[:count], self.rest[count:]
        return part

    def _message(self):
        text = b""
        while True:
            first, second = self._bytes(2)
            length = second & 127
            if length == 126:
                length = struct.unpack(">H", self._bytes(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self._bytes(8))[0]
            text += self._bytes(length)
            if first & 128:
                return json.loads(text)

    def __call__(self, method, **parameters):
        self.number += 1
        data = json.dumps({"id": self.number, "method": method, "params": parameters}).encode()
        mask = os.urandom(4)
        length = len(data)
        head = bytes([0x81]) + (bytes([0x80 | length]) if length < 126 else
                                bytes([0x80 | 126]) + struct.pack(">H", length) if length < 65536 else
                                bytes([0x80 | 127]) + struct.pack(">Q", length))
        self.socket.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))
        while True:
            message = self._message()
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.logs.append(json.dumps(message["params"]))
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(message["error"])
                return message["result"]

    def run(self, script):
        result = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"]))
        return result["result"].get("value")

    def until(self, script):
        for _ in range(300):
            try:
                if self.run(script):
                    return
            except RuntimeError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"never true in the page: {script}\n" + "\n".join(self.logs))

    def click(self, selector):
        x, y = self.run(f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
          e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();
          return [r.x + r.width / 2, r.y + r.height / 2]; }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, key):
        text = key if len(key) == 1 else ""
        code = {"ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Escape": 27, "Tab": 9}.get(key, ord(key.upper()[0]))
        self("Input.dispatchKeyEvent", type="keyDown", key=key, text="\r" if key == "Enter" else text,
             windowsVirtualKeyCode=code)
        self("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def picture(self, path):
        data = self("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        open(path, "wb").write(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.profile.cleanup()


def lines(run):
    text = open(os.path.join(run, "review.tsv"), encoding="utf-8").read()
    return [line.split("\t") for line in text.split("\n") if line and not line.startswith("#")]


def check(condition, what):
    print(("ok      " if condition else "FAILED  ") + what)
    if not condition:
        check.failed = True


check.failed = False


def start(thaw, run):
    process = subprocess.Popen([thaw, "review", "--run", run, "--json", "--quiet"], stdout=subprocess.PIPE, text=True)
    text = ""
    while True:
        line = process.stdout.readline()
        if not line:
            raise SystemExit("thaw review ended")
        text += line
        try:
            return process, json.loads(text)
        except json.JSONDecodeError:
            pass


def main():
    thaw, run = sys.argv[1:3]
    folder = sys.argv[3] if len(sys.argv) > 3 else None
    before = len(lines(run)) if os.path.exists(os.path.join(run, "review.tsv")) else 0
    process, opened = start(thaw, run)
    browser = Browser()
    made = lambda: lines(run)[before:]
    try:
        browser("Page.navigate", url=opened["address"])
        browser.until("!document.getElementById('card').hidden")
        path = lambda: browser.run("document.getElementById('where').textContent")
        decided = lambda: browser.run("document.getElementById('progress').textContent")
        until = lambda count: browser.until(
            f"document.getElementById('progress').textContent.startsWith('{count} of')")
        count = int(decided().split()[0])
        first = path()
        browser.click("#keep")
        until(count + 1)
        check(made()[-1][1] == "keep", "a click on Keep is in review.tsv")
        check(path() != first, "the next photo is shown")
        browser.key("d")
        until(count + 2)
        check(made()[-1][1] == "drop", "the key d drops")
        browser.key("u")
        until(count + 1)
        check(made()[-1][1] == "undo", "the key u takes it back")
        browser.key("r")
        check(browser.run("document.activeElement.id") == "choice", "the key r goes to the classes")
        names = browser.run("[...document.getElementById('choice').options].map(o => o.textContent)")
        own = browser.run("document.getElementById('label').textContent")
        other = next(name for name in names if name != own)
        browser.run("document.getElementById('choice').value = ':' + " + json.dumps(other))
        browser.click("#other button")
        until(count + 2)
        check(made()[-1][1] == "relabel" and urllib.parse.unquote(made()[-1][3]) == other,
              f"another class is chosen by hand: {other!r}")
        here = path()
        browser("Page.reload")
        browser.until("!document.getElementById('card').hidden")
        check(path() == here, "a reload comes back to the same photo")
        check(decided().startswith(f"{count + 2} of"), "and knows what was decided")
        browser.key("ArrowLeft")
        check(path() != here and browser.run("document.getElementById('decision').textContent") != "nothing yet",
              "the arrow goes back to a decided photo")
        browser.run("document.getElementById('open').click()")
        browser.until("document.getElementById('place').textContent.length > 0"
                      " || document.getElementById('card').hidden")
        check(browser.run("document.getElementById('card').hidden"
                          " || document.getElementById('decision').textContent === 'nothing yet'"),
              "the filter leaves undecided photos")
        browser.run("document.getElementById('open').click()")
        check(browser.run("document.querySelectorAll('main b, main i, main script').length") == 0,
              "names are text, whatever they hold")
        browser.click("#gain")
        browser.until("!document.getElementById('gain').disabled")
        said = browser.run("document.getElementById('gained').textContent")
        check("decided labels" in said or "change no photo" in said or "left" in said, "the gain: " + said)
        # Killed without a warning: what was decided is there.
        process.kill()
        process.wait()
        browser.key("d")
        browser.until("!document.getElementById('problem').hidden")
        check(len(made()) == 4, "after kill -9 all four lines are there, and the page says that nobody answers")
        process, opened = start(thaw, run)
        browser("Page.navigate", url=opened["address"])
        browser.until("!document.getElementById('card').hidden")
        check(decided().startswith(f"{count + 2} of"), "a new start knows them")
        for width in (400, 1400):
            for scheme in ("light", "dark"):
                browser("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                        mobile=False)
                browser("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
                browser.until("document.getElementById('photo').complete")
                wide = browser.run("document.documentElement.scrollWidth")
                check(wide <= width, f"{width} pixels, {scheme}: nothing is wider ({wide})")
                if folder:
                    os.makedirs(folder, exist_ok=True)
                    browser.picture(os.path.join(folder, f"review-{width}-{scheme}.png"))
        errors = [log for log in browser.logs if "ERR_CONNECTION_REFUSED" not in log and "favicon" not in log]
        check(not errors, "the page logs no error" + "".join("\n  " + log for log in errors))
    finally:
        browser.close()
        process.terminate()
        process.wait()
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
