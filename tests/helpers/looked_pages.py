"""What a page holds, without a browser."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


class Page(HTMLParser):
    """The images, links, headings and words of a page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.html = file.read_text(encoding="utf-8")
        self.images: list[dict[str, str | None]] = []
        self.labels: list[str | None] = []
        self.addresses: list[str] = []
        self.anchors: list[str | None] = []
        self.ids: list[str | None] = []
        self._text: list[str] = []
        self._inside: list[str] = []
        self.feed(self.html)
        self.text = re.sub(r"[ \n]+", " ", " ".join(self._text))
        data = re.search(r'id="data">(.*?)</script>', self.html, re.S)
        assert data is not None
        self.data: dict[str, Any] = json.loads(data[1])
        self.addresses += re.findall(r"url\((.*?)\)", self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._inside.append(tag)
        if tag == "img":
            self.images.append(found)
        if tag == "svg":
            self.labels.append(found.get("aria-label"))
        if tag == "a":
            self.anchors.append(found.get("href"))
        elif found.get("href"):
            self.addresses.append(str(found["href"]))
        if found.get("src"):
            self.addresses.append(str(found["src"]))
        if found.get("id"):
            self.ids.append(found["id"])

    def handle_data(self, data: str) -> None:
        if self._inside and self._inside[-1] not in ("script", "style"):
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass
