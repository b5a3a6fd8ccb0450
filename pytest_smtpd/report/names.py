"""Safe names for files and folders, made from names that others chose.

Rule: a name made here is one path component on every file system, also on one that ignores case,
and nothing in it has to be quoted in a URL or refused by a CI artifact store.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

MAX_READABLE = 90  # characters; with the digest and a file in it, Windows' 260 are not used up
MAX_SHOWN = 120  # of a name offered for a download; file systems take 255 octets

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_DEVICES = re.compile(r"(?i:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?=[ .]|$)")

# A browser or desktop shows these without running anything in them.
_PASSIVE_SUFFIXES = """
    .bmp .csv .docx .gif .gz .ics .jpeg .jpg .json .log .md .odp .ods .odt .pdf .png .pptx .txt .vcf
    .webp .xlsx .zip
"""
_PASSIVE = frozenset(_PASSIVE_SUFFIXES.split())


def folder_name(nodeid: str) -> str:
    """A folder for a test: readable, and with a digest, so no two node ids share one."""
    readable = nodeid.replace("::", "--").replace("/", "-").replace("\\", "-")
    readable = _UNSAFE.sub("_", readable).strip("._-")
    if len(readable) > MAX_READABLE:
        readable = f"{readable[:30]}..{readable[-(MAX_READABLE - 32) :]}"
    if _DEVICES.match(readable):
        readable = f"_{readable}"
    digest = hashlib.sha256(nodeid.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable or 'test'}-{digest}"


def attachment_file(number: int, filename: str | None) -> str:
    """A file for an attachment: ``01-invoice.pdf.bin``.

    The number in front makes it unique and no device; the suffix keeps a browser from rendering it.
    """
    readable = _UNSAFE.sub("_", _last_component(filename or "")).strip("._-")
    if len(readable) > 60:
        readable = f"{readable[:40]}..{readable[-18:]}"
    return f"{number:02}-{readable or 'attachment'}.bin"


def download_name(filename: str | None) -> str:
    """The name that a browser is asked to save an attachment under.

    What a double click would run or render after that keeps the suffix ``.bin``.
    """
    name = _last_component(filename or "")
    # Format characters (RTL marks, zero widths) make a name look like another one
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
