#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks at a run's report, its review and the server's page in a headless Chromium, by keyboard alone, with classes
and files whose names are markup, quotes, right-to-left, long, emoji or several lines.

    Tools/check_pages.py THAW [FOLDER]

THAW is the built command, with thaw-serve where it finds it; THAW_PRETRAINED holds EfficientNet-Lite0. Makes photos of
its own, trains a head on them and looks at each page 400 and 1400 pixels wide, light and dark; writes pictures of the
pages into FOLDER. Needs Python's standard library and chromium.
"""
import json, os, random, re, struct, subprocess, sys, tempfile, urllib.parse, zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from check_review import Browser, check, lines, start

NAMES = ["<img src=x onerror=alert(1)>", "\"quotes' & <b>bold", "שלום עולם", "long-" + "x" * 195, "🦋 butterfly",
         "two\nlines", "over\u202egnp.exe"]
COLOURS = [(200, 40, 40), (40, 180, 60), (50, 70, 210), (220, 200, 40), (160, 60, 190), (60, 200, 200), (240, 240, 240)]
LOOKS = [(width, scheme) for width in (400, 1400) for scheme in ("light", "dark")]


def png(path, colour, seed):
    """A noisy square of one colour."""
    draw = random.Random(seed)
    rows = b"".join(b"\0" + bytes(min(max(c + draw.randint(-40, 40), 0), 255) for _ in range(48) for c in colour)
                    for _ in range(48))
    part = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", 48, 48, 8, 2, 0, 0, 0))
                   + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b""))


def photos(root):
    """Fourteen photos a class, two of them of the next class's colour."""
    for place, name in enumerate(NAMES):
        folder = os.path.join(root, name)
        os.makedirs(folder)
        for number in range(14):
            colour = COLOURS[(place + (number < 2)) % len(NAMES)]
            png(os.path.join(folder, f"{number}-{name[:60]}.png"), colour, 100 * place + number)


def each_look(browser, folder, page):
    for width, scheme in LOOKS:
        browser("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        browser("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        wide = browser.run("document.documentElement.scrollWidth")
        check(wide <= width, f"{page}, {width} pixels, {scheme}: nothing is wider ({wide})")
        faint = browser.run(FAINT)
        check(not faint, f"{page}, {width} pixels, {scheme}: text stands out from its ground {faint}")
        if folder:
            browser.picture(os.path.join(folder, f"{page}-{width}-{scheme}.png"))


# Texts whose contrast with the nearest ground is below 4.5, as WCAG 2 counts it.
FAINT = r"""(() => {
  const numbers = text => (text.match(/[\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c; } return matchMedia('(prefers-color-scheme:dark)').matches ? [18, 18, 18] : [255, 255, 255]; };
  const found = new Set();
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('svg') || e.disabled || !e.checkVisibility() || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(numbers(getComputedStyle(e).color)), light(ground(e))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) found.add(e.tagName + '.' + e.className + ' ' + contrast.toFixed(2));
  }
  return [...found].slice(0, 5);
})()"""


def no_markup(browser, page):
    made = browser.run("document.querySelectorAll('img[src=x], img[onerror], main b b, bdi b').length")
    check(made == 0, f"{page}: names are text, whatever they hold")


def tab_to(browser, condition, most=400):
    """How many times the tab key was pressed until the focus was where it should be; None for never."""
    for count in range(1, most):
        browser.key("Tab")
        if browser.run(f"(() => {{ const e = document.activeElement; return {condition}; }})()"):
            return count
    return None


SHOWN = """[...document.querySelectorAll('.map .shot')].filter(s => getComputedStyle(s).display !== 'none').map(s => {
  const r = s.getBoundingClientRect();
  return {inside: r.left >= 0 && r.right <= innerWidth, name: s.querySelector('b').textContent,
    own: s.parentElement.contains(document.activeElement), place: s.querySelector('i').style.backgroundPosition}; })"""


def look_at_report(browser, run, folder):
    browser("Page.navigate", url="file://" + urllib.parse.quote(os.path.join(run, "report.html")))
    browser.until("document.readyState === 'complete' && !!document.getElementById('map')")
    each_look(browser, folder, "report")
    no_markup(browser, "report")
    browser("Emulation.setDeviceMetricsOverride", width=400, height=900, deviceScaleFactor=1, mobile=False)
    check(tab_to(browser, "e.name === 'map'"), "report: the tab key comes to the map")
    first = browser.run(SHOWN)
    check(len(first) == 1 and first[0]["own"], f"report: the photo that the tab key came to is shown {first}")
    seen, wrong = set(), []
    for _ in range(browser.run("document.querySelectorAll('.map input').length")):
        browser.key("ArrowRight")
        shown = browser.run(SHOWN)
        if len(shown) != 1 or not shown[0]["own"] or not shown[0]["inside"]:
            wrong.append(shown)
        seen.add(shown[0]["place"] if shown else None)
    count = browser.run("document.querySelectorAll('.map input').length")
    check(not wrong and len(seen) == count, f"report: the arrow goes through all {count} photos {wrong[:2]}")
    check(tab_to(browser, "e.name !== 'map'", 3) == 1, "report: the next tab leaves the map")
    x, y = browser.run("""(() => { const e = document.querySelectorAll('.map label')[5];
      e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); return [r.x + 8, r.y + 8]; })()""")
    browser("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    hovered = browser.run(SHOWN)
    browser("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
    browser("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)
    check(len(hovered) == 1 and [s["place"] for s in browser.run(SHOWN)] == [hovered[0]["place"]],
          "report: a photo is shown under the pointer, and still when it is clicked")
    browser("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    check([s["place"] for s in browser.run(SHOWN)] == [hovered[0]["place"]], "report: and when the pointer has gone")


def look_at_review(browser, thaw, run, folder):
    process, opened = start(thaw, run)
    try:
        browser("Page.navigate", url=opened["address"])
        browser.until("!document.getElementById('card').hidden")
        browser.until("document.getElementById('photo').complete")
        each_look(browser, folder, "review")
        no_markup(browser, "review")
        decided = lambda count: browser.until(
            f"document.getElementById('progress').textContent.startsWith('{count} of')")
        browser.key("k")
        decided(1)
        labels = browser.run("[...document.getElementById('choice').options].map(o => o.value.slice(1))")
        for count, letter in enumerate(["🦋", "<", "\"", "t"], 2):
            own = browser.run("document.getElementById('label').textContent")
            wanted = next(name for name in labels if name.startswith(letter))
            browser.key("r")
            browser.run("document.getElementById('choice').value = " + json.dumps(":" + wanted))
            browser.key("Enter")
            decided(count)
            line = lines(run)[-1]
            check(own == wanted and line[1] == "keep" or urllib.parse.unquote(line[3]) == wanted,
                  f"review: {wanted!r} is written down")
        browser.key("k")
        decided(6)
        check(True, "review: after a list the page's keys work")
        browser.key("r")
        browser.key("Escape")
        browser.key("u")
        decided(5)
        check(lines(run)[-1][1] == "undo", "review: Esc leaves a list")
        for wanted in ("reason", "keep", "choice", "gain"):
            check(tab_to(browser, f"e.id === '{wanted}'", 40), f"review: the tab key comes to {wanted!r}")
    finally:
        process.terminate()
        process.wait()


def look_at_server(browser, thaw, run, root, folder):
    process = subprocess.Popen([thaw, "serve", os.path.join(run, "model.safetensors"), "--port", "0", "--json", "--quiet",
                                "--similar", root], stdout=subprocess.PIPE, text=True)
    try:
        text = ""
        while "}" not in text:
            line = process.stdout.readline()
            if not line:
                raise SystemExit("thaw serve ended")
            text += line
        browser("Page.navigate", url=json.loads(text)["address"])
        browser.until("document.readyState === 'complete' && !!document.getElementById('file')")
        check(tab_to(browser, "e.id === 'file'", 10), "server: the tab key comes to the file")
        browser("DOM.enable")
        node = browser("DOM.querySelector", nodeId=browser("DOM.getDocument")["root"]["nodeId"], selector="#file")
        photo = os.path.join(root, NAMES[0], f"5-{NAMES[0][:60]}.png")
        browser("DOM.setFileInputFiles", nodeId=node["nodeId"], files=[photo])
        browser.until("!document.getElementById('result').hidden")
        browser.until("[...document.querySelectorAll('#similar-photos img')].every(i => i.src && i.complete)")
        each_look(browser, folder, "server")
        no_markup(browser, "server")
        check(NAMES[0] in browser.run("document.getElementById('answer').textContent"), "server: the answer is the name")
        second = "e === document.querySelectorAll('#top button')[1]"
        check(tab_to(browser, second, 20), "server: the tab key comes to the second class")
        wanted = browser.run("document.activeElement.textContent")
        browser.key("Enter")
        browser.until(f"document.getElementById('heat-text').textContent.includes({json.dumps(wanted)})")
        check(browser.run("document.activeElement.textContent") == wanted
              and browser.run("document.activeElement.getAttribute('aria-pressed')") == "true",
              "server: the focus stays on the class that was chosen")
    finally:
        process.terminate()
        process.wait()


def main():
    thaw = os.path.abspath(sys.argv[1])
    folder = sys.argv[2] if len(sys.argv) > 2 else None
    if folder:
        os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        root, run = os.path.join(place, "photos"), os.path.join(place, "run")
        photos(root)
        subprocess.run([thaw, "fit", root, "--run", run, "--no-fine-tune", "--size", "96", "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        browser = Browser()
        try:
            look_at_report(browser, run, folder)
            look_at_review(browser, thaw, run, folder)
            look_at_server(browser, thaw, run, root, folder)
            errors = [log for log in browser.logs if "favicon" not in log]
            check(not errors, "no page logs an error" + "".join("\n  " + log for log in errors))
        finally:
            browser.close()
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
