#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes a chart out of a report, as an SVG file that stands alone (for Documentation/).

  Tools/report_chart.py REPORT.html "Loss when layers use batch statistics" OUTPUT.svg

The page's style sheet goes with it; light or dark follows the reader.
"""
import re
import sys


def element(page, title):
    """The <svg> whose label is `title`, with everything inside it."""
    label = page.find(f'aria-label="{title}"')
    if label < 0:
        known = re.findall(r'<svg viewBox="[^"]*" role="img" aria-label="([^"]*)"', page)
        sys.exit(f"no chart is called '{title}'; there are: " + "; ".join(known))
    start = page.rfind("<svg", 0, label)
    depth = 0
    for tag in re.finditer(r"<svg|</svg>", page[start:]):
        depth += 1 if tag.group() == "<svg" else -1
        if depth == 0:
            return page[start:start + tag.end()]
    sys.exit("the chart does not end; is the report complete?")


def legend(page, title):
    """Names of the series, in the order of the legend before the chart."""
    figure = page.rfind('<figure class="chart">', 0, page.find(f'aria-label="{title}"'))
    caption = re.search(r"<figcaption.*?</figcaption>", page[figure:page.find("</figure>", figure)])
    if not caption:
        return []
    return re.findall(r'<path class="([^"]*)"[^>]*/></svg>([^<]*)</span>', caption.group())


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    page = open(sys.argv[1], encoding="utf-8").read()
    chart = element(page, sys.argv[2])
    style = "".join(re.findall(r"<style>(.*?)</style>", page, re.S))
    _, _, width, height = re.search(r'viewBox="([^"]*)"', chart).group(1).split()
    keys, x = "", 8
    for css, name in legend(page, sys.argv[2]):
        keys += f'<path class="{css}" d="M{x} 12h26"/><text x="{x + 32}" y="16">{name}</text>'
        x += 48 + 7 * len(name)
    total = float(height) + 24
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total:g}" width="{width}" '
        f'height="{total:g}" class="chart"><style>{style}\n'
        ".chart{font:12px sans-serif;background:var(--bg)}</style>"
        f'<rect width="100%" height="100%" style="fill:var(--bg)"/><g class="chart">{keys}</g>'
        f'<svg y="24" width="{width}" height="{height}" class="chart">{chart}</svg></svg>\n')
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        file.write(text)


main()
