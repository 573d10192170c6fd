"""Hooks of the documentation's build: pages and files of the repository that lie outside docs/.

Links in the Markdown files are those of the repository, so that they work wherever the files are read. On the site
CONTRIBUTING.md and its like are pages of their own, and other files that a page links to lie under ``repository/``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}
LOGO = "OneShotSeg/Resources/Icons/OneShotSeg.png"
LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s]+)(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, the logo, and every file outside docs/ that a page links to."""
    for original, site_name in PAGES.items():
        files.append(File.generated(config, site_name, abs_src_path=str(ROOT / original)))
    files.append(File.generated(config, "assets/logo.png", abs_src_path=str(ROOT / LOGO)))
    for page in files.documentation_pages():
        source = _source(page)
        for match in LINK.finditer(source.read_text(encoding="utf-8")):
            target = _target(source, match["target"])
            name = None if target is None else _name(target, config)
            if target is not None and name is not None and files.get_file_from_path(name) is None:
                files.append(File.generated(config, name, abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at where their targets lie on the site."""
    source = _source(page.file)

    def moved(match: re.Match[str]) -> str:
        target = _target(source, match["target"])
        if target is None:
            return match["target"]
        name = _name(target, config) or target.relative_to(config.docs_dir).as_posix()
        anchor = urlsplit(match["target"]).fragment
        path = os.path.relpath(name, Path(page.file.src_uri).parent).replace(os.sep, "/")
        return f"{path}#{anchor}" if anchor else path

    return LINK.sub(moved, markdown)


def _source(file: File) -> Path:
    """The file of the repository that a page is made of."""
    return Path(str(file.abs_src_path)).resolve()


def _target(source: Path, link: str) -> Path | None:
    """The file of the repository that a link points to; None for links to elsewhere or within the page."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or not parts.path:
        return None
    target = (source.parent / parts.path).resolve()
    if not target.is_relative_to(ROOT) or not target.is_file():
        raise PluginError(f"{source.relative_to(ROOT)}: expected a file of the repository, found the link {link}.")
    return target


def _name(target: Path, config: MkDocsConfig) -> str | None:
    """Where a file that lies outside docs/ lies on the site; None for one that lies in it."""
    if target.is_relative_to(config.docs_dir):
        return None
    relative = target.relative_to(ROOT).as_posix()
    return PAGES.get(relative, f"repository/{relative}")
