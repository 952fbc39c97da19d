"""Line charts as SVG text: axes with ticks, bands, lines and a legend; nothing else."""

from collections.abc import Sequence
from html import escape
from math import floor, log10

import numpy as np

from bms.estimate.log_table import Floats

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 40, 46
INK, FAINT = "#24292f", "#d0d7de"
INSIDE = 'clip-path="url(#plot)"'


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round values within low..high, `about` as many."""
    rough = (high - low) / about
    power = 10.0 ** floor(log10(rough))
    step = next(unit * power for unit in (1, 2, 2.5, 5, 10) if unit * power >= rough * 0.999)
    first = int(np.ceil(low / step - 1e-9))
    return [round(k * step, 10) for k in range(first, int(np.floor(high / step + 1e-9)) + 1)]


class Chart:
    """A chart in data coordinates; what lies outside `y` is cut off. `text` gives the document."""

    def __init__(self, title: str, x_label: str, y_label: str, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y
        self._parts = [_text(LEFT, 18, title, "start", 14, "bold")]
        self._legend_x = float(LEFT)
        self._axes(x_label, y_label)

    def _axes(self, x_label: str, y_label: str) -> None:
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        for tick in ticks(*self._y):
            at = self._at_y(tick)
            self._parts.append(_line([(LEFT, at), (right, at)], INK if tick == 0 else FAINT, 1))
            self._parts.append(_text(LEFT - 7, at + 4, f"{tick:g}", "end"))
        for tick in ticks(*self._x, 8):
            at = self._at_x(tick)
            self._parts.append(_line([(at, bottom), (at, bottom + 5)], INK, 1))
            self._parts.append(_text(at, bottom + 18, f"{tick:g}", "middle"))
        self._parts.append(_line([(LEFT, TOP), (LEFT, bottom), (right, bottom)], INK, 1))
        self._parts.append(_text((LEFT + right) / 2, HEIGHT - 8, x_label, "middle"))
        middle = (TOP + bottom) / 2
        turned = f'transform="rotate(-90 16 {middle:g})"'
        self._parts.append(_text(16, middle, y_label, "middle", attributes=turned))

    def band(self, x: Floats, low: Floats, high: Floats, colour: str, name: str) -> None:
        points = [*self._points(x, high), *reversed(self._points(x, low))]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        self._parts.append(f'<polygon points="{path}" fill="{colour}" fill-opacity="0.18" {INSIDE}/>')
        self._name(name, colour, 9, 0.3)

    def line(self, x: Floats, y: Floats, colour: str, name: str, width: float = 1.5) -> None:
        self._parts.append(_line(self._points(x, y), colour, width, INSIDE))
        self._name(name, colour, 3, 1.0)

    def text(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'font-family="sans-serif" font-size="12" fill="{INK}">'
        )
        area = f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"/>'
        white = f'<clipPath id="plot">{area}</clipPath><rect width="100%" height="100%" fill="#ffffff"/>'
        return "\n".join([head, white, *self._parts, "</svg>"]) + "\n"

    def _name(self, name: str, colour: str, thick: int, opacity: float) -> None:
        if not name:
            return
        swatch = f'x="{self._legend_x:g}" y="{TOP - 9 - thick / 2:g}" width="18" height="{thick}"'
        self._parts.append(f'<rect {swatch} fill="{colour}" fill-opacity="{opacity:g}"/>')
        self._parts.append(_text(self._legend_x + 23, TOP - 5, name, "start"))
        self._legend_x += 23 + 7.0 * len(name) + 16

    def _points(self, x: Floats, y: Floats) -> list[tuple[float, float]]:
        return [(self._at_x(a), self._at_y(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True) if b == b]

    def _at_x(self, value: float) -> float:
        low, high = self._x
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def _at_y(self, value: float) -> float:
        low, high = self._y
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _line(points: Sequence[tuple[float, float]], colour: str, width: float, attributes: str = "") -> str:
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" {attributes}/>'


def _text(
    x: float, y: float, text: str, anchor: str, size: int = 12, weight: str = "normal", attributes: str = ""
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"'
    return f"<text {place} {attributes}>{escape(text)}</text>"
