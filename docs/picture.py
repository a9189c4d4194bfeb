#!/usr/bin/env python3
"""Draws what a traced second becomes: the messages of each event over time.

    docs/picture.py CAPTURE > docs/one-second.svg

CAPTURE is replayed with `ftrace-live replay --print` (FTRACE_LIVE names another program than target/release/ftrace-live).
Each event has a lane: its height is the rate, on a square-root scale; what is rare is drawn as single strokes.
Needs nothing but Python.
"""

import math
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from xml.sax.saxutils import escape

LANES = 18  # the events with the most messages
WIDTH, LEFT, RIGHT, TOP, LANE, BOTTOM = 1000, 220, 70, 74, 34, 44
BINS = 260
STROKES_BELOW = 60  # messages: fewer are drawn one by one

# One colour for each system, in the order in which they first appear from the top.
COLOURS = ["#f2b134", "#5ab1bb", "#ed553b", "#a5c882", "#c78dd6", "#7d9df0", "#e58fb1", "#b8b8b8"]


def messages(capture):
    """(seconds, address) of every message that replaying `capture` sends."""
    program = os.environ.get("FTRACE_LIVE") or Path(__file__).parent.parent / "target/release/ftrace-live"
    command = [program, "replay", capture, "--raw", "--print", "--speed", "max", "--max-rate", "0"]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in printed.splitlines():
        time, address, _ = line.split(" ", 2)
        yield float(time), address


def binned(times, begin, length):
    """How many of `times` lie in each of the picture's columns."""
    counts = [0] * BINS
    for time in times:
        counts[min(BINS - 1, int((time - begin) / length * BINS))] += 1
    return counts


def smoothed(counts):
    """Each bin with a share of its neighbours', so that the eye sees a curve."""
    weights = [0.06, 0.24, 0.4, 0.24, 0.06]
    at = lambda k: counts[k] if 0 <= k < len(counts) else 0
    return [sum(w * at(k + d - 2) for d, w in enumerate(weights)) for k in range(len(counts))]


def lane(times, begin, length, top, colour, highest):
    """The drawing of one event's lane, as SVG."""
    x = lambda time: LEFT + (time - begin) / length * (WIDTH - LEFT - RIGHT)
    base = top + LANE - 4
    if len(times) < STROKES_BELOW:
        strokes = "".join(f"M{x(t):.1f} {base}v-{LANE * 0.55:.0f}" for t in times)
        return f'<path d="{strokes}" stroke="{colour}" stroke-width="1.6" stroke-opacity="0.85"/>'
    step = (WIDTH - LEFT - RIGHT) / BINS
    points = [f"{LEFT},{base}"]
    for k, count in enumerate(smoothed(binned(times, begin, length))):
        points.append(f"{LEFT + (k + 0.5) * step:.1f},{base - math.sqrt(count / highest) * (LANE + 2):.1f}")
    points.append(f"{WIDTH - RIGHT},{base}")
    return f'<polygon points="{" ".join(points)}" fill="{colour}" fill-opacity="0.8"/>'


def picture(capture):
    """The whole SVG."""
    by_event = defaultdict(list)
    for time, address in messages(capture):
        by_event[address].append(time)
    everything = [time for times in by_event.values() for time in times]
    begin, length = min(everything), max(max(everything) - min(everything), 1e-6)
    shown = [address for address, _ in Counter({a: len(t) for a, t in by_event.items()}).most_common(LANES)]
    # Neighbours in the picture are of one system, the busiest system first.
    busy = Counter()
    for address in shown:
        busy[address.split("/")[-2]] += len(by_event[address])
    systems = [system for system, _ in busy.most_common()]
    shown.sort(key=lambda a: (systems.index(a.split("/")[-2]), -len(by_event[a])))
    highest = max(max(smoothed(binned(by_event[a], begin, length))) for a in shown)
    height = TOP + LANE * len(shown) + BOTTOM
    rest = len(by_event) - len(shown)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#14181d"/>',
        f'<text x="24" y="32" font-size="18" fill="#f4f4f4">{length:.2f} seconds of a Linux kernel, as ftrace-live sends them</text>',
        f'<text x="24" y="53" font-size="12" fill="#9aa4ae">{len(everything)} OSC messages of {len(by_event)} events'
        + (f", the {len(shown)} most frequent shown" if rest else "")
        + "; height: messages a second, square root</text>",
    ]
    step = 10 ** math.floor(math.log10(length * 1000 / 2))  # ms: 1, 10, 100 …
    for k in range(math.floor(length * 1000 / step) + 1):
        x = LEFT + (WIDTH - LEFT - RIGHT) * k * step / (length * 1000)
        out.append(f'<path d="M{x:.1f} {TOP}V{height - BOTTOM + 6}" stroke="#2a3038"/>')
        out.append(
            f'<text x="{x:.1f}" y="{height - 18}" font-size="11" fill="#9aa4ae" text-anchor="middle">{k * step:g} ms</text>'
        )
    for k, address in enumerate(shown):
        *_, system, event = address.split("/")
        top, colour = TOP + LANE * k, COLOURS[systems.index(system) % len(COLOURS)]
        out.append(lane(by_event[address], begin, length, top, colour, highest))
        out.append(f'<text x="24" y="{top + 17}" font-size="13" fill="#f4f4f4">{escape(event)}</text>')
        out.append(f'<text x="24" y="{top + 29}" font-size="9" fill="{colour}">{escape(system)}</text>')
        out.append(
            f'<text x="{WIDTH - 18}" y="{top + 25}" font-size="12" fill="#9aa4ae" text-anchor="end">'
            f"{len(by_event[address])}</text>"
        )
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.stdout.write(picture(sys.argv[1]))
