# SPDX-License-Identifier: MIT
"""What a machine's screen says: pictures to text, and pictures to PNG.

The kernel draws with one font on a grid that begins in the upper left corner, so its text is read
back exactly: a cell of two colours is looked up among the font's glyphs. A cell that is none of
them (GRUB's menu, a firmware's logo) reads as "?". VGA text needs no reading: the characters are in
the machine's memory.
"""
import gzip
import struct
import zlib
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

FONT = Path("/usr/share/consolefonts/Lat15-Terminus16.psf.gz")
WIDTH, HEIGHT = 8, 16
TEXT_COLUMNS, TEXT_ROWS = 80, 25
LARGE_WIDTH = 2560  # as in kernel/hal/framebuffer.c
UNKNOWN = "?"


class Picture(NamedTuple):
    """Pixels of three bytes, row by row."""
    width: int
    height: int
    pixels: bytes


def read_ppm(data: bytes) -> Picture:
    """A portable pixmap, as QEMU's screendump writes it."""
    magic, size, depth, pixels = data.split(b"\n", 3)
    if magic != b"P6" or depth != b"255":
        raise ValueError("not a screendump")
    width, height = map(int, size.split())
    return Picture(width, height, pixels)


def write_png(path: Path, picture: Picture) -> None:
    """A PNG, with a palette where the picture has few colours: screens of text are tiny then."""
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(
            ">I", zlib.crc32(kind + body))
    stride = 3 * picture.width
    rows = [picture.pixels[at:at + stride] for at in range(0, stride * picture.height, stride)]
    palette = colours(picture, 16)
    kind, head = 2, b""
    if palette:
        kind, head = 3, chunk(b"PLTE", b"".join(palette))
        index = {colour: number for number, colour in enumerate(palette)}
        rows = [pack_row(row, index) for row in rows]
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 4 if palette else 8, kind,
                         0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + head + chunk(b"IDAT", body) +
                     chunk(b"IEND", b""))


def colours(picture: Picture, most: int) -> Optional[List[bytes]]:
    """The picture's colours, None if there are more than `most`."""
    found = set()
    for at in range(0, len(picture.pixels), 3):
        found.add(picture.pixels[at:at + 3])
        if len(found) > most:
            return None
    return sorted(found)


def pack_row(row: bytes, index: Dict[bytes, int]) -> bytes:
    """Two pixels a byte."""
    numbers = [index[row[at:at + 3]] for at in range(0, len(row), 3)] + [0]
    return bytes(numbers[at] << 4 | numbers[at + 1] for at in range(0, len(numbers) - 1, 2))


def load_glyphs(path: Path = FONT) -> Dict[bytes, str]:
    """Printable ASCII by the rows of its glyph, from a PSF 1 file."""
    data = gzip.decompress(path.read_bytes())
    if data[:2] != b"\x36\x04" or data[3] != HEIGHT:
        raise ValueError("%s is no 8x16 PSF 1 font" % path)
    return {data[4 + HEIGHT * code:4 + HEIGHT * (code + 1)]: chr(code) for code in range(32, 127)}


def halve(picture: Picture) -> Picture:
    """Every other pixel of every other row: the kernel doubles its font on large screens."""
    stride, rows = 3 * picture.width, []
    for top in range(0, picture.height - 1, 2):
        row = picture.pixels[top * stride:(top + 1) * stride]
        half = bytearray(stride // 2)
        for colour in range(3):
            half[colour::3] = row[colour::6]
        rows.append(bytes(half))
    return Picture(picture.width // 2, picture.height // 2, b"".join(rows))


class Reader:
    """Reads text off pictures. Cells are remembered: a screen has few different ones."""

    def __init__(self, font: Path = FONT):
        self._glyphs = load_glyphs(font)
        self._known: Dict[bytes, str] = {}

    def read(self, picture: Picture) -> List[str]:
        """The picture's rows of text, without blanks at their ends."""
        if picture.width >= LARGE_WIDTH:
            picture = halve(picture)
        return [self._row(picture, top).rstrip()
                for top in range(0, picture.height - HEIGHT + 1, HEIGHT)]

    def _row(self, picture: Picture, top: int) -> str:
        stride, cell = 3 * picture.width, 3 * WIDTH
        lines = [picture.pixels[at:at + stride]
                 for at in range(top * stride, (top + HEIGHT) * stride, stride)]
        return "".join(self._cell(b"".join(line[left:left + cell] for line in lines))
                       for left in range(0, picture.width // WIDTH * cell, cell))

    def _cell(self, pixels: bytes) -> str:
        if pixels not in self._known:
            self._known[pixels] = self._recognise(pixels)
        return self._known[pixels]

    def _recognise(self, pixels: bytes) -> str:
        dots = [pixels[at:at + 3] for at in range(0, len(pixels), 3)]
        tones = sorted(set(dots))
        if len(tones) == 1:
            return " "
        if len(tones) > 2:
            return UNKNOWN
        for ink in tones:  # either may be the ink: the cursor is drawn inverted
            rows = [[dot == ink for dot in dots[at:at + WIDTH]]
                    for at in range(0, len(dots), WIDTH)]
            glyph = bytes(sum(bit << (7 - x) for x, bit in enumerate(row)) for row in rows)
            if glyph in self._glyphs:
                return self._glyphs[glyph]
        return UNKNOWN


def is_vga_text(picture: Picture) -> bool:
    """Whether the picture is that of 80 x 25 characters in VGA's own font."""
    return (picture.width, picture.height) in ((720, 400), (640, 400))


def read_vga_text(memory: bytes) -> List[str]:
    """Text memory as rows, without blanks at their ends."""
    cells = memory[:2 * TEXT_COLUMNS * TEXT_ROWS:2].replace(b"\0", b" ").decode("cp437")
    return [cells[at:at + TEXT_COLUMNS].rstrip()
            for at in range(0, TEXT_COLUMNS * TEXT_ROWS, TEXT_COLUMNS)]


def grid(picture: Picture) -> Tuple[int, int]:
    """Columns and rows of text that a picture has room for."""
    return picture.width // WIDTH, picture.height // HEIGHT
