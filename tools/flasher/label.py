"""A label to print: the tag's id as QR code and as text. Nothing on it is secret."""

import io
import pathlib

import segno

from tools.flasher.errors import FlashError

_SCALE = 4
_TEXT_PT = 9


def label(tag: str, path: str | pathlib.Path) -> pathlib.Path:
    """Write a label, .svg or .pdf by the name's end. FlashError: file."""
    target = pathlib.Path(path)
    # Upper case: a QR code holds capitals and digits in two thirds of the room.
    code = segno.make(tag.upper(), error="m", micro=False)
    try:
        if target.suffix == ".pdf":
            target.write_bytes(_pdf(code, tag))
        elif target.suffix == ".svg":
            target.write_text(_svg(code, tag))
        else:
            raise FlashError("file", path=target, text="a label is .svg or .pdf")
    except OSError as error:
        raise FlashError("file", path=target, text=error.strerror) from None
    return target


def _svg(code: segno.QRCode, tag: str) -> str:
    out = io.BytesIO()
    code.save(out, kind="svg", scale=_SCALE, border=4, xmldecl=False, svgns=False, nl=False)
    width, height = code.symbol_size(scale=_SCALE, border=4)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + 24}">'
        f'<rect width="100%" height="100%" fill="white"/>{out.getvalue().decode()}'
        f'<text x="{width // 2}" y="{height + 10}" font-family="monospace" font-size="11"'
        f' text-anchor="middle">{_spaced(tag)}</text></svg>\n'
    )


def _spaced(tag: str) -> str:
    return " ".join(tag[n : n + 4] for n in range(0, len(tag), 4))


def _pdf(code: segno.QRCode, tag: str) -> bytes:
    """One page as large as the label, 1 pt = 1/72 inch: PDF 1.4, uncompressed, with a font that every reader has."""
    rows = [list(row) for row in code.matrix_iter(border=4)]
    width, height = len(rows[0]) * _SCALE, len(rows) * _SCALE + 24
    squares = [
        f"{x * _SCALE} {height - (y + 1) * _SCALE} {_SCALE} {_SCALE} re"
        for y, row in enumerate(rows)
        for x, dark in enumerate(row)
        if dark
    ]
    text = _spaced(tag)
    # Courier is 0.6 of its size wide.
    left = (width - len(text) * 0.6 * _TEXT_PT) / 2
    said = f"BT /F1 {_TEXT_PT} Tf {left:.1f} 12 Td ({text}) Tj ET"
    stream = "\n".join([*squares, "f", said]).encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R" % (width, height)
        + b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>",
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        out += b"%010d 00000 n \n" % place
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)
