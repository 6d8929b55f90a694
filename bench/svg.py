"""Small pictures: SVG with an element on each line, coordinates in points, the texts as texts."""

from collections.abc import Callable, Iterable
from html import escape
from math import log10
from pathlib import Path

FONT = "DejaVu Sans, Verdana, Helvetica, sans-serif"
DARK, GREY, FAINT, GRID = "#20252b", "#40464e", "#6a7078", "#e8eaed"

Scale = Callable[[float], float]


def number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


class Picture:
    """A white ground, for a README is read on a white page and on a black one, and what is drawn on it."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.elements: list[str] = []

    def _add(self, name: str, content: str = "", **attributes: float | str) -> None:
        # A number in a name is none of Python's: x1, and stroke_width for stroke-width.
        told = " ".join(
            f'{key.replace("_", "-")}="{value if isinstance(value, str) else number(value)}"'
            for key, value in attributes.items()
        )
        self.elements.append(f"<{name} {told}>{content}</{name}>" if content else f"<{name} {told}/>")

    def bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        self._add("rect", x=min(x, x + width), y=y, width=abs(width), height=height, fill=colour)

    def line(self, points: Iterable[tuple[float, float]], colour: str, width: float = 1, dash: str = "none") -> None:
        told = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self._add("polyline", points=told, fill="none", stroke=colour, stroke_width=width, stroke_dasharray=dash)

    def dot(self, x: float, y: float, radius: float, colour: str, fill: str | None = None) -> None:
        self._add("circle", cx=x, cy=y, r=radius, stroke=colour, fill=fill or colour)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 9,
        colour: str = GREY,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """Its middle is at the height *y*."""
        weight = "bold" if bold else "normal"
        place = {"x": x, "y": y + 0.36 * size, "text_anchor": anchor}
        self._add("text", escape(text), **place, font_size=size, font_weight=weight, fill=colour)

    def save(self, file: Path) -> None:
        width, height = number(self.width), number(self.height)
        size = f'width="{width}pt" height="{height}pt" viewBox="0 0 {width} {height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}">'
        ground = f'<rect width="{width}" height="{height}" fill="white"/>'
        file.write_text("\n".join([head, ground, *self.elements, "</svg>"]) + "\n", encoding="utf-8")


def scale(least: float, most: float, begin: float, end: float, logarithmic: bool = False) -> Scale:
    """Where in the picture, from *begin* to *end*, a value from *least* to *most* lies."""
    low, high = (log10(least), log10(most)) if logarithmic else (least, most)

    def place(value: float) -> float:
        return begin + ((log10(value) if logarithmic else value) - low) / (high - low) * (end - begin)

    return place
