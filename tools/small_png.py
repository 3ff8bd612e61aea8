"""Makes screenshots small: the 256 most frequent colours of a picture, and each other one as the nearest of them."""

import struct
import zlib
from collections import Counter
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"

Colour = tuple[int, int, int]


def shrink(path: Path) -> None:
    """Rewrite an RGB picture, as browsers make them, as one with a palette."""
    width, height, pixels = _read(path.read_bytes())
    counted = Counter(pixels)
    palette = [colour for colour, _ in counted.most_common(256)]
    index = {colour: _nearest(colour, palette) for colour in counted} | {c: n for n, c in enumerate(palette)}
    rows = (bytes(index[pixel] for pixel in pixels[y * width : (y + 1) * width]) for y in range(height))
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    colours = bytes(part for colour in palette for part in colour)
    chunks = ((b"IHDR", header), (b"PLTE", colours), (b"IDAT", data), (b"IEND", b""))
    path.write_bytes(SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks))


def _nearest(colour: Colour, palette: list[Colour]) -> int:
    distances = [sum((a - b) ** 2 for a, b in zip(colour, other, strict=True)) for other in palette]
    return distances.index(min(distances))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _read(data: bytes) -> tuple[int, int, list[Colour]]:
    """Width, height and pixels of an RGB picture of 8 bits (PNG specification, section 9: filtering)."""
    at, packed, width, height = len(SIGNATURE), b"", 0, 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert (depth, colour) == (8, 2), "expected RGB of 8 bits"
        elif kind == b"IDAT":
            packed += body
    raw = zlib.decompress(packed)
    span = 3 * width
    before, pixels = bytearray(span), list[Colour]()
    for y in range(height):
        start = y * (span + 1)
        row = _unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + span]), before)
        pixels += zip(row[0::3], row[1::3], row[2::3], strict=True)
        before = row
    return width, height, pixels


def _unfiltered(kind: int, row: bytearray, before: bytearray) -> bytearray:
    for x, value in enumerate(row):
        left = row[x - 3] if x >= 3 else 0
        above, corner = before[x], before[x - 3] if x >= 3 else 0
        guess = (0, left, above, (left + above) // 2, _paeth(left, above, corner))[kind] if kind else 0
        row[x] = (value + guess) & 255
    return row


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))
