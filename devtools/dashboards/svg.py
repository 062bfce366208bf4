"""Writes SVG: rectangles, lines, areas and texts, with coordinates of one decimal place."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

CHARACTER, CAPITAL = 0.6, 0.72  # average widths of characters, as a share of the size of their font
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"

Coordinates = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; the top left corner of the drawing is 0, 0."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height


class Drawing:
    """An SVG document of `width` times `height` pixels. Later shapes cover earlier ones."""

    def __init__(self, width: float, height: float, background: str) -> None:
        size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}">',
            f'<rect width="100%" height="100%" fill="{background}"/>',
        ]

    def render(self) -> str:
        return "\n".join([*self._parts, "</svg>", ""])

    def open_group(self, title: str) -> None:
        self._parts.append(f"<g><title>{title}</title>")

    def close_group(self) -> None:
        self._parts.append("</g>")

    def rectangle(self, box: Box, *, fill: str, stroke: str = "none", radius: float = 0, opacity: float = 1) -> None:
        style = f'fill="{fill}"' + (f' stroke="{stroke}"' if stroke != "none" else "")
        style += (f' rx="{radius}"' if radius else "") + (f' fill-opacity="{opacity}"' if opacity < 1 else "")
        size = f'x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
        self._parts.append(f"<rect {size} {style}/>")

    def line(self, points: Coordinates, *, stroke: str, width: float = 1.0, dash: str = "") -> None:
        style = f'fill="none" stroke="{stroke}" stroke-width="{width:g}" stroke-linejoin="round"'
        style += f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(f'<path d="{_path(points)}" {style}/>')

    def area(self, points: Coordinates, *, fill: str, opacity: float) -> None:
        """Fill the area within `points`."""
        self._parts.append(f'<path d="{_path(points)}Z" fill="{fill}" fill-opacity="{opacity:g}"/>')

    def diamond(self, x: float, y: float, *, fill: str) -> None:
        self._parts.append(
            f'<path d="M{x:.1f} {y - 3.5:.1f}l3.5 3.5-3.5 3.5-3.5-3.5z" fill="{fill}" fill-opacity="0.7"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        content: str,
        *,
        size: float,
        fill: str,
        anchor: str = "start",
        weight: int = 400,
        width: float = 0,
    ) -> None:
        """Write one line, shortened to about `width`."""
        longest = int(width / (size * CHARACTER)) if width else len(content)
        shown = content if len(content) <= longest else content[: max(1, longest - 1)] + "…"
        style = f'font-size="{size:g}" fill="{fill}"' + (f' font-weight="{weight}"' if weight != 400 else "")
        style += f' text-anchor="{anchor}"' if anchor != "start" else ""
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(shown, quote=False)}</text>')


def text_width(content: str, size: float) -> float:
    """Return about the width of a text in pixels."""
    return size * sum(CAPITAL if character.isupper() else CHARACTER for character in content)


def _path(points: Coordinates) -> str:
    """Return the commands of a path, without points in the middle of a level line."""
    rounded = [(f"{x:.1f}", f"{y:.1f}") for x, y in points]
    kept = [
        point
        for number, point in enumerate(rounded)
        if not 0 < number < len(rounded) - 1 or not rounded[number - 1][1] == point[1] == rounded[number + 1][1]
    ]
    return "M" + "L".join(f"{x} {y}" for x, y in kept)
