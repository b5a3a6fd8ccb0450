"""Safe names for files and folders, made from node ids and from file names in mail.

Rule: a name made here is one path component on every file system, also on one that ignores case. No
character in it needs quoting in a URL or is refused by the artifact store of a CI.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

MAX_READABLE = 90  # characters of a folder's name; the path of a file has 260 on Windows
MAX_SHOWN = 120  # octets of a name offered for a download; file systems take 255

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_DEVICES = re.compile(r"(?i:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?=[ .]|$)")

# A browser or desktop shows these without running anything in them.
_PASSIVE_SUFFIXES = """
    .bmp .csv .docx .gif .gz .ics .jpeg .jpg .json .log .md .odp .ods .odt .pdf .png .pptx .txt .vcf
    .webp .xlsx .zip
"""
_PASSIVE = frozenset(_PASSIVE_SUFFIXES.split())


def folder_name(nodeid: str) -> str:
    """The name of a test's folder: readable, with a digest that keeps two node ids apart."""
    readable = nodeid.replace("::", "--").replace("/", "-").replace("\\", "-")
    readable = _UNSAFE.sub("_", readable).strip("._-")
    if len(readable) > MAX_READABLE:
        readable = f"{readable[:30]}..{readable[-(MAX_READABLE - 32) :]}"
    if _DEVICES.match(readable):
        readable = f"_{readable}"
    digest = hashlib.sha256(nodeid.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable or 'test'}-{digest}"


def attachment_file(number: int, filename: str | None) -> str:
    """The name of an attachment's file: ``01-invoice.pdf.bin``.

    The number makes the name unique, and different from the names of Windows' devices. The suffix
    keeps a browser from rendering the file.
    """
    readable = _UNSAFE.sub("_", _last_component(filename or "")).strip("._-")
    if len(readable) > 60:
        readable = f"{readable[:40]}..{readable[-18:]}"
    return f"{number:02}-{readable or 'attachment'}.bin"


def download_name(filename: str | None) -> str:
    """The name that the page suggests for saving an attachment.

    It ends in ``.bin`` if a double click on the saved file could run or render it.
    """
    name = _last_component(filename or "")
    # Format characters (direction marks, zero widths) make a name look like another name
    unseen = {char for char in name if unicodedata.category(char)[0] in "CZ"} - {" "}
    name = "".join("_" if char in unseen else char for char in name)
    name = re.sub(r'[<>:"|?*%]', "_", name).strip("._ ")
    dot = name.rfind(".")
    suffix = name[dot:] if dot > 0 and len(name) - dot <= 10 else ""
    name = name[: len(name) - len(suffix)][: MAX_SHOWN - len(suffix)] + suffix
    while len(name.encode()) > MAX_SHOWN:
        name = name[: len(name) - len(suffix) - 1] + suffix
    if _DEVICES.match(name):
        name = f"_{name}"
    if suffix.lower() not in _PASSIVE:
        name += ".bin"
    return name if name != ".bin" else "attachment.bin"


def _last_component(name: str) -> str:
    name = name[:1000] + name[-1000:] if len(name) > 2000 else name
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1]
