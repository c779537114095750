"""The pages hang together: links lead somewhere, every page is listed, and lists of formats match the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from transcripts import ROOT, pages

DOCS = ROOT / "docs"


def links_of(page: Path) -> list[str]:
    text = re.sub(r"^(\s*)(`{3,}).*?^\s*\2\s*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors_of(page: Path) -> set[str]:
    """As Markdown renderers make them of headings."""
    anchors = set()
    text = re.sub(r"^(`{3,}).*?^\1\s*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE):
        anchors.add(re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-"))
    return anchors


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for link in links_of(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            wrong.append(link)
    assert not wrong, f"{page.relative_to(ROOT)} links to what is not there: {wrong}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_page_names_no_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(work|root)/", text), "a path of somebody's machine"


def not_listed(index: Path) -> list[str]:
    text = index.read_text(encoding="utf-8")
    return sorted(page.name for page in index.parent.glob("*.md") if page != index and page.name not in text)


def test_index_lists_every_page() -> None:
    missing = not_listed(DOCS / "index.md")
    assert not missing, f"docs/index.md does not list {missing}"


def test_formats_index_lists_every_page_and_vector_file() -> None:
    index = DOCS / "formats" / "index.md"
    missing = not_listed(index)
    assert not missing, f"docs/formats/index.md does not list {missing}"
    text = index.read_text(encoding="utf-8")
    unnamed = [file.name for file in (ROOT / "vectors").glob("*.json") if file.name not in text]
    assert not unnamed, f"docs/formats/index.md does not name {unnamed}"


def table_rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its two head lines."""
    section = page.read_text(encoding="utf-8").split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in row] for row in rows[2:]]


def test_frame_type_registry_is_that_of_the_code() -> None:
    header = (ROOT / "core" / "store" / "sync_frame.h").read_text(encoding="utf-8")
    enum = header.split("enum class FrameType : uint16_t {", 1)[1].split("}", 1)[0]
    code = {(int(number), name) for name, number in re.findall(r"(\w+) = (\d+)", enum)}
    rows = table_rows(DOCS / "formats" / "sync.md", "## Registry of frame types")
    page = {(int(row[0]), row[1]) for row in rows if row[0].isdigit()}
    assert page == code


def test_protocol_registry_is_that_of_the_code() -> None:
    code = set()
    for source in (ROOT / "core").rglob("*.h"):
        code |= set(re.findall(r'"(/sereus/[a-z/]+/\d+\.\d+\.\d+)"', source.read_text(encoding="utf-8")))
    rows = table_rows(DOCS / "formats" / "sync.md", "## Protocols")
    assert {row[0] for row in rows} == code


def test_changelog_begins_with_the_version_of_the_header() -> None:
    header = (ROOT / "include" / "sereus.h").read_text(encoding="utf-8")
    version = ".".join(re.search(rf"SEREUS_VERSION_{part} (\d+)", header)[1] for part in ("MAJOR", "MINOR", "PATCH"))
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert first and first[1] == version
