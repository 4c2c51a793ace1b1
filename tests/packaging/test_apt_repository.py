"""The signed repository, read by the real apt with folders of its own: taken as it is, refused when changed."""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from apt import repository

PAGE = Path(__file__).parents[2] / "docs/operate.md"


def run(*words: str, good: bool = True, **more) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, **more)
    assert good == (done.returncode == 0), done.stdout + done.stderr
    return done.stdout + done.stderr


def package(into: Path, version: str, arch: str = "amd64") -> Path:
    root = into / f"{version}-{arch}"
    (root / "DEBIAN").mkdir(parents=True)
    words = f"Package: site-gateway\nVersion: {version}\nArchitecture: {arch}\n"
    words += "Maintainer: a <a@example.com>\nDescription: x\n"
    (root / "DEBIAN/control").write_text(words)
    run("dpkg-deb", "--build", str(root), str(into / f"site-gateway_{version}_{arch}.deb"))
    return into / f"site-gateway_{version}_{arch}.deb"


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def key(tmp_path_factory):
    """A throw-away key, in a keyring whose path is short enough for the socket of gpg's agent."""
    for program, owner in (("gpg", "gpg"), ("apt-ftparchive", "apt-utils")):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not installed: apt-get install {owner}, or make debian")
    patch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("k", numbered=True)
    home.chmod(0o700)
    patch.setenv("GNUPGHOME", str(home))
    run(
        "gpg",
        "--batch",
        "--passphrase",
        "",
        "--quick-gen-key",
        "Throw Away <a@example.com>",
        "ed25519",
        "sign",
        "1d",
    )
    said = run("gpg", "--batch", "--list-keys", "--with-colons")
    yield re.search(r"^fpr:+([0-9A-F]{40}):", said, re.MULTILINE)[1]
    run("gpgconf", "--kill", "all")
    patch.undo()


class Apt:
    """The real apt with every folder of its own, pointed at a repository on disk."""

    def __init__(self, at: Path, place: Path) -> None:
        self.at = at
        for folder in (
            "etc/sources.list.d",
            "etc/apt.conf.d",
            "state/lists/partial",
            "cache/archives/partial",
        ):
            (at / folder).mkdir(parents=True)
        (at / "status").touch()
        entry = f"Types: deb\nURIs: file:{place}\nSuites: stable\nComponents: main\nSigned-By: {place}/site-gateway.gpg\n"
        (at / "etc/sources.list.d/site-gateway.sources").write_text(entry)
        lines = [f'Dir::Etc "{at}/etc/";', f'Dir::State "{at}/state/";', f'Dir::Cache "{at}/cache/";']
        lines += [
            f'Dir::State::status "{at}/status";',
            'APT::Sandbox::User "root";',
            'APT::Architecture "amd64";',
        ]
        (at / "apt.conf").write_text("\n".join(lines))

    def __call__(self, *words: str, good: bool = True) -> str:
        env = {
            "APT_CONFIG": str(self.at / "apt.conf"),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",
        }
        return run(*words, good=good, cwd=self.at, env=env)


@pytest.fixture
def place(tmp_path, key):
    """A repository with two versions."""
    repository.build(tmp_path / "repo", [package(tmp_path, version) for version in ("1.0", "1.1")], key)
    return tmp_path / "repo"


@pytest.fixture
def apt(tmp_path, place):
    return Apt(tmp_path / "box", place)


def test_apt_takes_the_newest_and_can_go_back(apt):
    """Without a word of doubt, and the older version is still to be had."""
    said = apt("apt-get", "update")
    assert not re.search("^[WE]:", said, re.MULTILINE), said
    assert "Candidate: 1.1" in apt("apt-cache", "policy", "site-gateway")
    apt("apt-get", "download", "site-gateway=1.0")
    assert (apt.at / "site-gateway_1.0_amd64.deb").stat().st_size > 0


def test_a_changed_list_is_refused(apt, place):
    """Whoever holds the server cannot slip another package in."""
    for file in place.rglob("Packages*"):
        text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        text = text.replace(b"Version: 1.1", b"Version: 6.6")
        file.write_bytes(gzip.compress(text) if file.suffix == ".gz" else text)
    assert re.search("Hash Sum mismatch|unexpected size", apt("apt-get", "update", good=False))
    assert "6.6" not in apt("apt-cache", "policy", "site-gateway")


def test_a_changed_package_is_refused(apt, place):
    """The list is the signed one, the file is another."""
    apt("apt-get", "update")
    file = place / "pool/site-gateway_1.1_amd64.deb"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    apt("apt-get", "download", "site-gateway", good=False)


def test_a_list_signed_by_nobody_we_know_is_refused(apt, place):
    """A signature that does not fit is as good as none."""
    signed = place / "dists/stable/InRelease"
    signed.write_text(signed.read_text().replace("Origin: site-gateway", "Origin: somebody-else"))
    (place / "dists/stable/Release.gpg").unlink()
    assert re.search("not signed|BADSIG|invalid", apt("apt-get", "update", good=False))


def test_the_same_version_with_another_content_is_refused(tmp_path, place, key):
    """Boxes that have it already would never get the new one."""
    other = package(tmp_path / "other", "1.1")
    other.write_bytes(other.read_bytes() + b"\n")
    with pytest.raises(SystemExit, match="higher version"):
        repository.build(place, [other], key)


def test_the_origin_of_the_page_is_the_origin_of_the_list(place):
    """unattended-upgrades takes what the page tells it to take."""
    assert f"Origin: {repository.ORIGIN}\n" in (place / "dists/stable/Release").read_text()
    page = PAGE.read_text()
    assert f'"origin={repository.ORIGIN},archive={repository.SUITE}";' in page
    assert f"Suites: {repository.SUITE}\n" in page
    assert repository.KEYRING in page
