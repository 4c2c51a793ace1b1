"""The package as it is built: the same twice, with all that it needs, and with nothing that it must not have."""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys

import pytest
from built_package import build, snapshot

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
VERSION = "0.0.8~test"
# What an extension may ask of the system; all of it is in libc6 and libgcc-s1.
LIBRARIES = {"libc.so.6", "libm.so.6", "libpthread.so.0", "librt.so.1", "libdl.so.2", "libgcc_s.so.1"}


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def tree(tmp_path_factory):
    return snapshot(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def package(tree, tmp_path_factory):
    return build(tree, tmp_path_factory.mktemp("first"), "--version", VERSION)


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def root(package, tmp_path_factory):
    """The package, unpacked with its control files."""
    into = tmp_path_factory.mktemp("root") / "root"
    subprocess.run(["dpkg-deb", "--raw-extract", package, into], check=True)
    return into


def test_it_is_the_same_file_when_it_is_built_again(tree, package, tmp_path):
    """From the same tree and date come the same bytes, also with files of another age and another umask."""
    for file in tree.rglob("*.py"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    old = os.umask(0o077)
    try:
        again = build(tree, tmp_path, "--version", VERSION)
    finally:
        os.umask(old)
    sums = [hashlib.sha256(one.read_bytes()).hexdigest() for one in (package, again)]
    assert sums[0] == sums[1]


def test_dpkg_is_told_what_it_needs(root):
    """Version, the two Pythons and no more, the broker as a suggestion that can be refused."""
    control = (root / "DEBIAN/control").read_text()
    assert f"Version: {VERSION}\n" in control
    assert "Architecture: amd64\n" in control
    assert "python3 (>= 3.11), python3 (<< 3.14), libc6 (>= 2.31)" in control
    assert "Recommends: mosquitto\n" in control
    assert "adduser" not in control


def test_the_configuration_is_none_of_dpkgs_files(root):
    """An upgrade of an unattended box asks nothing: only the note for avahi may be edited in place."""
    assert "/etc/avahi/services/site-gateway.service\n" == (root / "DEBIAN/conffiles").read_text()
    assert not (root / "etc/gateway").exists()
    assert (root / "usr/share/doc/site-gateway/config.example.toml").exists()


def test_every_file_is_roots_and_readable(root):
    """Nothing is writable by others, nothing is set-user-id, and only programs and scripts can be executed."""
    for path in root.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        runs = path.is_dir() or path == root / "usr/bin/gateway" or mode == 0o755
        assert (0o755 if runs else 0o644) == mode, path
        if not path.is_dir() and mode == 0o755:
            assert path.parent in {root / "usr/bin", root / "DEBIAN"}, path


def test_the_sums_are_those_of_the_files(root):
    """`dpkg --verify` finds a changed file, and only that."""
    listed = (root / "DEBIAN/md5sums").read_text().splitlines()
    there = [path for path in root.rglob("*") if path.is_file() and root / "DEBIAN" not in path.parents]
    assert len(listed) == len(there)
    assert sorted(listed, key=lambda line: line[34:]) == listed
    subprocess.run(["md5sum", "--quiet", "--check", "DEBIAN/md5sums"], cwd=root, check=True)


def test_nothing_is_there_that_fetches_or_compiles(root):
    """No pip, no source of an extension, no bytecode; and no address of a package index."""
    base = root / "usr/lib/site-gateway"
    names = {path.name for path in base.rglob("*")}
    assert not {"pip", "setuptools", "__pycache__", "RECORD"} & names
    assert not [name for name in names if name.endswith((".pyx", ".pxd", ".h", ".c", ".pyc", ".pth"))]
    for path in (base / "pure/gateway").rglob("*.py"):
        assert not re.search(r"pypi\.|pythonhosted", path.read_text()), path


def test_extensions_ask_only_for_what_the_package_depends_on(root):
    """Each native file is there for both Pythons, and the loader finds all that it names."""
    base = root / "usr/lib/site-gateway"
    native = {
        abi: {p.relative_to(base / abi) for p in (base / abi).rglob("*.so")} for abi in ("cp311", "cp313")
    }
    assert {str(one).replace("-311-", "-313-") for one in native["cp311"]} == {
        str(one) for one in native["cp313"]
    }
    assert not list((base / "pure").rglob("*.so"))
    for path in base.rglob("*.so"):
        needed = set(re.findall(rb"lib[a-z_]+\.so\.\d+", path.read_bytes()[:200_000]))
        assert {one.decode() for one in needed} <= LIBRARIES, path


def test_every_module_is_there_with_nothing_of_the_machine(root):
    """Started as the launcher does it, each module of ours can be imported from the tree, without pip."""
    abi = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    base = root / "usr/lib/site-gateway"
    if not (base / abi).is_dir():
        pytest.skip(f"the package is not for this Python ({abi})")
    program = (
        "import sys, pkgutil, importlib; sys.path[:] = [one for one in sys.path if 'site-packages' not in one];"
        f"sys.path[:0] = [{str(base / 'pure')!r}, {str(base / abi)!r}]; sys.dont_write_bytecode = True;"
        "sys.modules['pip'] = None; import gateway\n"
        "def broken(name): raise\n"
        "for one in pkgutil.walk_packages(gateway.__path__, 'gateway.', broken):\n"
        "    if one.name != 'gateway.__main__' and not one.name.endswith('.guard'):\n"
        "        try: importlib.import_module(one.name)\n"
        "        except ModuleNotFoundError as error: print(one.name, error.name)\n"
        "print(gateway.__version__)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    *missing, version = done.stdout.splitlines()
    assert VERSION == version
    # The demo's broker and CA are for people who try the source; on a box the command says so.
    assert all(re.fullmatch(r"gateway\.simulate\.\S+ (iotcore|trustme)", line) for line in missing), missing


def test_each_package_of_others_has_its_licence(root):
    """Every `dist-info` of the tree stands in the copyright file, which is one that tools can read."""
    text = (root / "usr/share/doc/site-gateway/copyright").read_text()
    assert text.startswith("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n")
    found = list((root / "usr/lib/site-gateway").glob("*/*.dist-info"))
    assert len(found) > 25
    for one in found:
        assert f"usr/lib/site-gateway/{one.relative_to(root / 'usr/lib/site-gateway')}/*" in text


def test_units_and_scripts_fit(root):
    """Each unit that can be enabled is named in the scripts, no blank was left open, and `sh` reads them."""
    units = root / "usr/lib/systemd/system"
    for script in ("preinst", "postinst", "prerm", "postrm"):
        text = (root / "DEBIAN" / script).read_text()
        assert not re.search(r"@[A-Z]+@", text)
        subprocess.run(["sh", "-n", root / "DEBIAN" / script], check=True)
        if script != "preinst":
            for unit in units.iterdir():
                assert (unit.name in text) or "[Install]" not in unit.read_text()
    assert (root / "usr/lib/sysusers.d/gateway.conf").exists()


@pytest.mark.parametrize(("machine", "status"), [("armv6l", 1), ("armv7l", 0), ("aarch64", 0), ("x86_64", 0)])
def test_a_board_that_is_too_old_is_told_so(root, tmp_path, machine, status):
    """On ARMv6 the native parts would end with an illegal instruction: the installation ends before."""
    uname = tmp_path / "uname"
    uname.write_text(f"#!/bin/sh\necho {machine}\n")
    uname.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(
        [root / "DEBIAN/preinst", "install"], capture_output=True, text=True, env=env, check=False
    )
    assert status == done.returncode
    assert (status == 1) == ("this board is ARMv6." in done.stderr)


def test_the_completions_and_the_manual_are_in_it(root):
    """They lie where bash, zsh, fish and man look."""
    share = root / "usr/share"
    for name in (
        "bash-completion/completions/gateway",
        "zsh/vendor-completions/_gateway",
        "fish/vendor_completions.d/gateway.fish",
        "man/man1/gateway.1.gz",
        "man/man5/gateway-config.5.gz",
        "doc/site-gateway/changelog.gz",
        "doc/site-gateway/examples/mosquitto/site-gateway.conf",
    ):
        assert (share / name).stat().st_size > 200, name


def test_lintian_has_nothing_to_say(package):
    """No error and no warning; each override has its reason above it."""
    if shutil.which("lintian") is None:
        pytest.fail("lintian is not installed: apt-get install lintian, or make debian")
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stdout), done.stderr


def test_every_override_has_its_reason(root):
    """A line of comment stands above each group."""
    lines = (root / "usr/share/lintian/overrides/site-gateway").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert json.dumps(lines).count('"# ') >= 4
