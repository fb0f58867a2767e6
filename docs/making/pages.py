"""The pages that are not in docs/, and links that lead out of it; a hook of MkDocs.

- README.md, CHANGELOG.md, CONTRIBUTING.md and RESULTS.md become pages.
- Every public module of df_heads and df_heads.integrations gets a page, made from its docstrings.
- A link of a page to another file of the repository leads to a copy of it in the site. So the
  same link works on a forge and in the site, and one that leads nowhere stops the build.
"""

import ast
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
#: Files at the root -> their pages.
MOVED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "RESULTS.md": "results.md",
}
ORIGIN = {page: file for file, page in MOVED.items()}
#: Where the packages lie as they are imported, for the reader of docstrings.
SOURCES = ROOT / "build" / "api" / "df_heads"
#: Copies of files that pages link to, within the site.
COPIES = "files"
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=[)\s])")
FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)


@event_priority(100)  # mkdocstrings looks at once whether the folder is there
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lay out the packages under their import names, and put the pages of the API into the nav."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "df_heads", SOURCES, ignore=compiled)
    shutil.copytree(ROOT / "integrations", SOURCES / "integrations", ignore=compiled)
    own: dict[str, list[Any]] = {"df_heads": [], "df_heads.integrations": []}
    for name, _ in public_modules():
        package = "df_heads.integrations" if ".integrations." in name else "df_heads"
        short = name.removeprefix(f"{package}.") if name != package else "by name"
        own[package].append({short: f"api/{name}.md"})
    config.nav.insert(-1, {"API": [{package: pages} for package, pages in own.items()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for source, page in MOVED.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for name, file in public_modules():
        files.append(File.generated(config, f"api/{name}.md", content=api_page(name, file)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links out of docs/ to the page, or to a copy, of what they lead to."""
    here = page.file.src_uri
    if here.startswith("api/"):
        return markdown
    # On disk the page is ROOT / origin; in the site it is docs / here.
    origin = PurePosixPath(ORIGIN.get(here, f"docs/{here}"))

    def turned(match: re.Match[str]) -> str:
        target = os.path.normpath(origin.parent / match["path"])
        if not (ROOT / target).exists():
            raise PluginError(f"{origin} links to {match['path']}, which is not there.")
        page_or_copy = in_site(target, config, files)
        return os.path.relpath(page_or_copy, PurePosixPath(here).parent) + (match["anchor"] or "")

    # Every second piece is a listing.
    pieces = FENCE.split(markdown)
    pieces[::2] = [LINK.sub(turned, without_folder_links(piece, origin)) for piece in pieces[::2]]
    return "".join(pieces)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a notebook, which MkDocs leaves as they are."""
    if not page.file.src_uri.endswith(".ipynb"):
        return html

    def turned(match: re.Match[str]) -> str:
        target = files.get_file_from_path(match["page"])
        if target is None:
            raise PluginError(f"{page.file.src_uri} links to {match['page']}, which is not there.")
        return f'href="{target.url_relative_to(page.file)}{match["anchor"] or ""}"'

    return re.sub(r'href="(?P<page>[\w./-]+\.md)(?P<anchor>#[^"]*)?"', turned, html)


def without_folder_links(text: str, origin: PurePosixPath) -> str:
    """A site has no listing of a folder: the words of a link to one stay, without the link."""

    def words(match: re.Match[str]) -> str:
        return match[1] if (ROOT / origin.parent / match[2]).is_dir() else match[0]

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)#\s:]+)\)", words, text)


def in_site(target: str, config: MkDocsConfig, files: Files) -> str:
    """Where a file of the repository is in the site: its page, or a copy.

    A public module's page is that of the API.
    """
    if target in MOVED:
        return MOVED[target]
    for name, file in public_modules():
        if file == ROOT / target:
            return f"api/{name}.md"
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    # A Markdown file that is no page is shown as text.
    copy = f"{COPIES}/{target}" + (".txt" if target.endswith(".md") else "")
    if files.get_file_from_path(copy) is None:
        files.append(File.generated(config, copy, abs_src_path=str(ROOT / target)))
    return copy


def public_modules() -> Iterator[tuple[str, Path]]:
    """The modules that have a page, and their files: not those within a package with __all__."""
    yield "df_heads", ROOT / "df_heads" / "__init__.py"
    for package, folder in (
        ("df_heads", ROOT / "df_heads"),
        ("df_heads.integrations", ROOT / "integrations"),
    ):
        for entry in sorted(folder.iterdir()):
            file = entry / "__init__.py" if entry.is_dir() else entry
            if not entry.name.startswith("_") and file.suffix == ".py" and file.exists():
                yield f"{package}.{entry.stem}", file


def api_page(name: str, file: Path) -> str:
    """Directives for mkdocstrings: a module whole, a package by the names in its __all__."""
    title = f"# {name}\n\n"
    if file.name != "__init__.py":
        return title + directive(name, heading=False)
    text = title + directive(name, heading=False, members=False)
    names = exported(file)
    if name == "df_heads":
        # They have their place with their module; a second one would be a second target of links.
        homes = lazy_homes(file)
        listed = [f"- [`{each}`][{homes[each]}.{each}] of `{homes[each]}`\n" for each in names]
        return text + "\nIt has these names:\n\n" + "".join(listed)
    if names:
        return text + "".join(directive(f"{name}.{each}") for each in names)
    modules = sorted(entry.stem for entry in file.parent.glob("[!_]*.py"))
    return text + "".join(directive(f"{name}.{each}") for each in modules)


def directive(identifier: str, *, level: int = 2, heading: bool = True, **options: Any) -> str:
    """One block for mkdocstrings."""
    options = {"heading_level": level, "show_root_heading": heading, **options}
    lines = [f"        {key}: {str(value).lower()}\n" for key, value in options.items()]
    return f"::: {identifier}\n    options:\n" + "".join(lines) + "\n"


def lazy_homes(file: Path) -> dict[str, str]:
    """Name -> module of what df_heads imports when it is first asked for."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES":
            return dict(ast.literal_eval(node.value))
    raise PluginError(f"{file} has no _HOMES.")


def exported(file: Path) -> list[str]:
    """The names in a package's __all__; none if it has none."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []
