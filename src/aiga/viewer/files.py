"""The files that the page is made of."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json"}
IMPORTS = '{"imports": {"aiga/": "/static/"}}'  # the modules name each other as aiga/NAME.js
ROOT = Path(str(resources.files("aiga.viewer")))


@cache
def static_files() -> dict[str, bytes]:
    """What is below static/, by path."""
    root = ROOT / "static"
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.suffix in TYPES and path.is_file()
    }


def index_page(
    imports: str = IMPORTS,
    style: str = '<link rel="stylesheet" href="/static/style.css">',
    data: str = "",
    start: str = '<script type="module" src="/static/main.js"></script>',
    policy: str = "",
) -> str:
    """The page's HTML, its parts in their places."""
    text = (ROOT / "index.html").read_text()
    parts = {"imports": imports, "style": style, "data": data, "start": start, "policy": policy}
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return text
