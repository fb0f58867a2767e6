"""The docs as a site: built strictly, every link followed, no word to the internet."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("mkdocs", reason="the site needs pip install 'df-heads[docs]'")

ROOT = Path(__file__).parents[2]
MODULES = {
    "df_heads.heads": ["TransformerProjectionHead", "FeedForwardProjectionHead"],
    "df_heads.presets": ["HEAD_PRESETS", "build_head"],
    "df_heads.fusion": ["measure_fusion", "record_attention", "same_class_mass"],
    "df_heads.integrations.callbacks": ["CollapseMonitor", "FusionMonitor", "OnlineKNN"],
    "df_heads.integrations.simclr": ["SimCLR"],
}


class Page(HTMLParser):
    """What a page loads, links to and can be linked to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        if "id" in found:
            self.ids.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") != "canonical":
            self.loaded.append(found["href"])
        if "src" in found:
            self.loaded.append(found["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html") if file.name != "404.html"}


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page]) -> None:
    assert len(pages) > 40
    for file, page in pages.items():
        assert page.loaded, file
        outside = [address for address in page.loaded if re.match(r"(https?:)?//", address)]
        assert outside == [], file


@pytest.mark.slow
def test_every_link_and_picture_leads_somewhere(pages: dict[Path, Page]) -> None:
    followed = 0
    for file, page in pages.items():
        for address in [*page.links, *page.loaded]:
            if re.match(r"[a-z]+:", address):
                continue
            path, _, anchor = unquote(address).partition("#")
            target = (file.parent / path).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), (file.name, address)
            if anchor and target in pages:
                assert anchor in pages[target].ids, (file.name, address)
            followed += 1
    assert followed > 1000


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_the_api_says_what_is_there(pages: dict[Path, Page], site: Path, module: str) -> None:
    page = pages[site / "api" / f"{module}.html"]
    assert {f"{module}.{name}" for name in MODULES[module]} <= page.ids


@pytest.mark.slow
def test_the_api_has_every_public_module(pages: dict[Path, Page], site: Path) -> None:
    for package, folder in (
        ("df_heads", ROOT / "df_heads"),
        ("df_heads.integrations", ROOT / "integrations"),
    ):
        for entry in folder.glob("[!_]*"):
            if entry.suffix == ".py" or (entry / "__init__.py").is_file():
                page = pages[site / "api" / f"{package}.{entry.stem}.html"]
                assert any(str(each).startswith(package) for each in page.ids), entry


@pytest.mark.slow
def test_a_method_shows_the_arguments_of_its_parent(site: Path) -> None:
    text = (site / "api" / "df_heads.integrations.moco.html").read_text(encoding="utf-8")
    words = re.sub(r"<[^>]+>", "", text)
    assert re.search(r"warmup_fraction\s*:\s*float\s*=\s*0\.1", words)
    assert "Part of the run in which the learning rate rises linearly from 0" in words
