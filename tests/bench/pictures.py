"""The pictures of tests/bench/run as SVG: bars of ratios with their spread, and curves of latency by percentile."""

import math
from xml.sax.saxutils import escape

OURS, THEIRS, INK, GRID = "#0b6e4f", "#9aa5b1", "#1f2933", "#d9dee3"
COLOURS = ["#9aa5b1", "#0b6e4f", "#d1495b", "#30638e", "#edae49", "#8a5a9e", "#5b8c2a", "#b0562b", "#4a4a4a", "#00798c"]
WIDTH, LEFT, RIGHT, TOP, ROW = 820, 230, 120, 56, 26


def text(x, y, words, anchor="start", size=13, colour=INK):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(words)}</text>'


def line(x1, y1, x2, y2, colour, width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def page(height, title, parts):
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="system-ui, sans-serif"><rect width="100%" height="100%" fill="#ffffff"/>')
    return "\n".join([head, text(16, 30, title, size=16), *parts, "</svg>\n"])


def bars(title, rows):
    """Rows of name, spread and whether it is ours; a line stands at 1."""
    most = max(max(spread.most for _, spread, _ in rows), 1.0) * 1.05
    place = lambda value: LEFT + (WIDTH - LEFT - RIGHT) * value / most
    bottom = TOP + ROW * len(rows)
    parts = []
    for at, (name, spread, is_ours) in enumerate(rows):
        y = TOP + ROW * at
        middle = y + ROW / 2
        parts.append(text(LEFT - 10, middle + 4, name, "end"))
        parts.append(f'<rect x="{LEFT}" y="{y + 4}" width="{place(spread.median) - LEFT:.1f}" height="{ROW - 8}" fill="{OURS if is_ours else THEIRS}"/>')
        parts.append(line(place(spread.least), middle, place(spread.most), middle, INK, 2))
        parts.append(text(place(spread.most) + 8, middle + 4, f"{spread.median:.2f}"))
    parts.append(line(place(1), TOP - 6, place(1), bottom + 4, INK))
    parts.append(text(place(1), bottom + 22, "nginx = 1", "middle", 12))
    return page(bottom + 36, title, parts)


def curves(title, rows):
    """Rows of name and points (percentile, milliseconds). Both axes are logarithmic: the tail is what matters."""
    left, right, top, height = 60, 200, 56, 320
    shown = [50, 75, 90, 99, 99.9, 99.99]
    rows = [(name, [(p, ms) for p, ms in points if p in shown and ms > 0]) for name, points in rows]
    values = [ms for _, points in rows for _, ms in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    depth = lambda p: -math.log10(1 - p / 100)
    start, end = depth(shown[0]), depth(shown[-1])
    x = lambda p: left + (WIDTH - left - right) * (depth(p) - start) / (end - start)
    y = lambda ms: top + height * (high - math.log10(ms)) / max(high - low, 1)
    parts = []
    for power in range(low, high + 1):
        parts += [line(left, y(10**power), WIDTH - right, y(10**power), GRID), text(left - 8, y(10**power) + 4, f"{10.0**power:g}", "end", 12)]
    for p in shown:
        parts += [line(x(p), top, x(p), top + height, GRID), text(x(p), top + height + 20, f"p{p:g}", "middle", 12)]
    # Names stand at the ends of their curves, moved apart where they would overlap.
    ends = sorted((y(points[-1][1]), at) for at, (_, points) in enumerate(rows))
    at_height, last = {}, -math.inf
    for wanted, at in ends:
        last = at_height[at] = max(wanted, last + 15)
    for at, (name, points) in enumerate(rows):
        colour = COLOURS[at % len(COLOURS)]
        path = " ".join(f"{x(p):.1f},{y(ms):.1f}" for p, ms in points)
        dashes = "" if name.endswith("gateway") else ' stroke-dasharray="5 4"'
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        parts.append(text(x(points[-1][0]) + 10, at_height[at] + 4, name, size=12, colour=colour))
    return page(top + height + 40, title, parts)
