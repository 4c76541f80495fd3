"""Words of people and models as plain text, where Streamlit would read Markdown."""

import re

# Square brackets make links, images and coloured text; a colon makes icons and bare links.
_MARKS = re.compile(r"([\\`*_\[\]<>$~|]|:(?=[A-Za-z/+-]))")
_LINE_START = re.compile(r"^(\s*)([#>+=-]|\d+(?=[.)]\s))", re.MULTILINE)


def plain(text: str) -> str:
    """The text escaped so that Markdown shows it as it is, on one line."""
    flat = " ".join(text.split())
    return _LINE_START.sub(_escape_start, _MARKS.sub(r"\\\1", flat))


def _escape_start(match: re.Match[str]) -> str:
    mark = match[2]
    # A digit cannot be escaped, its full stop can; an invisible joiner would do harm in copies.
    return f"{match[1]}\\{mark}" if not mark.isdigit() else f"{match[1]}&#{ord(mark[0])};{mark[1:]}"
