"""Text on pictures: Pillow's own font at a size, and text cut to the room that there is.

The font has Latin letters, and no Greek ones, × or ≤.
"""

from __future__ import annotations

from functools import cache

from PIL import ImageFont

__all__ = ["Font", "cut", "font"]

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def font(size: int) -> Font:
    """Pillow's own font, `size` pixels high."""
    return ImageFont.load_default(size)


def cut(text: str, room: float, size: int) -> str:
    """The text, ending in … where it would be wider than `room` pixels."""
    while len(text) > 1 and font(size).getlength(text) > room:
        text = text.removesuffix("…")[:-1] + "…"
    return text
