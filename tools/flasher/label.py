"""A label to print: the tag's id as QR code and as text. Nothing on it is secret."""

import io
import pathlib

import segno

from tools.flasher.errors import FlashError

_SCALE = 4


def label(tag: str, path: str | pathlib.Path) -> pathlib.Path:
    """Write a label, .svg or .pdf by the name's end. FlashError: file."""
    target = pathlib.Path(path)
    # Upper case: a QR code holds capitals and digits in two thirds of the room.
    code = segno.make(tag.upper(), error="m", micro=False)
    try:
        if target.suffix == ".pdf":
            code.save(str(target), scale=_SCALE, border=4)
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
    text = " ".join(tag[n : n + 4] for n in range(0, len(tag), 4))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + 24}">'
        f'<rect width="100%" height="100%" fill="white"/>{out.getvalue().decode()}'
        f'<text x="{width // 2}" y="{height + 10}" font-family="monospace" font-size="11"'
        f' text-anchor="middle">{text}</text></svg>\n'
    )
