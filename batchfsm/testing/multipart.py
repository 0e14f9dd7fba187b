"""The parts of an upload, as HTTP clients write it: `multipart/form-data`, whole in memory."""

from __future__ import annotations

from email.message import Message
from email.parser import BytesHeaderParser

_headers = BytesHeaderParser()


def parts(content_type: str, body: bytes) -> dict[str, tuple[str, bytes]]:
    """
    Take an upload apart.

    Args:
        content_type: The header, which names the boundary.
        body: What was sent.

    Returns:
        File name and content of each part, by its name; empty if it is no upload. The
        file name is `""` where there is none. Content is kept byte by byte.
    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        return {}
    found: dict[str, tuple[str, bytes]] = {}
    # Each part begins after a boundary with its line end; the line end before the next one is the boundary's.
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"))[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        named = _headers.parsebytes(head.removeprefix(b"\r\n") + b"\r\n\r\n")
        name = named.get_param("name", header="content-disposition")
        if isinstance(name, str):
            found[name] = (str(named.get_filename() or ""), content)
    return found
