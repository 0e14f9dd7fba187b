"""Parser of `multipart/form-data` uploads, held whole in memory."""

from __future__ import annotations

from email.message import Message
from email.parser import HeaderParser

_headers = HeaderParser()


def parse_parts(content_type: str, body: bytes) -> dict[str, tuple[str, bytes]]:
    """
    Return file name and content of each part, by the part's name; empty if the body is no upload.

    Args:
        content_type: The header, which names the boundary.
        body: The body of the request.

    Returns:
        The file name is `""` if the part has none. The content is byte for byte that of the upload.
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
        # File names are UTF-8 (RFC 7578, section 5.1.1); the parser of bytes would read ASCII.
        headers = _headers.parsestr(head.removeprefix(b"\r\n").decode("utf-8", "replace") + "\r\n\r\n")
        name = headers.get_param("name", header="content-disposition")
        if isinstance(name, str):
            found[name] = (str(headers.get_filename() or ""), content)
    return found
