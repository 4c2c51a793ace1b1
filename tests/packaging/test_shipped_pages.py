"""What a box has to read: every page that another one leads to, and the file to fill in for the card."""

import filecmp
import re
from pathlib import Path

import pytest
from deb import documents

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def share(tmp_path_factory):
    into = tmp_path_factory.mktemp("share")
    (into / "doc/site-gateway").mkdir(parents=True)
    documents.write(ROOT, into, "0.0.1", "Somebody <somebody@box.example>", 1_795_000_000)
    return into


def linked(page: Path) -> list[Path]:
    """Give the files of its own that a page leads to."""
    found = _LINK.findall(_CODE.sub("", page.read_text("utf-8")))
    names = [name.partition("#")[0] for name in found if "://" not in name and not name.startswith("mailto:")]
    return [(page.parent / name).resolve() for name in names if name]


def test_no_link_of_a_shipped_page_is_dead(share):
    """Whoever reads on the box comes everywhere that whoever reads the source comes to, and not out of the pages."""
    home = (share / "doc/site-gateway").resolve()
    links = [(page, target) for page in home.rglob("*.md") for target in linked(page)]
    assert len(links) > 100
    assert [] == [
        (str(page.relative_to(home)), str(target))
        for page, target in links
        if not target.exists() or not target.is_relative_to(home)
    ]


def test_the_file_for_the_card_is_where_the_page_says(share):
    """The page of the first start names a file of the package, and it is the one of the source."""
    page = (ROOT / "docs" / "first-boot.md").read_text("utf-8")
    (named,) = re.findall(r"`/usr/share/(\S+/gateway\.toml)`", page)
    assert filecmp.cmp(ROOT / "packaging" / "card" / "gateway.toml", share / named, shallow=False)


def test_a_shipped_page_names_no_file_that_is_not_there(share):
    """Each path below /usr/share/doc that a page names is in the package."""
    pages = (share / "doc/site-gateway/docs").glob("*.md")
    named = {
        name
        for page in pages
        for name in re.findall(r"/usr/share/(doc/site-gateway/[\w./-]*\w)", page.read_text())
    }
    assert named
    assert set() == {name for name in named if not (share / name).exists()}
