"""What a person hears from `make` on a machine that lacks something, and what it leaves behind."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# apt-get without lists knows no package; the archive is one that the stand-in of dpkg-deb can read.
APT_GET = '#!/bin/sh\necho "$*" >>{log}\ncase "$*" in\n{cases}\nesac\n'
UPDATED = "*update*) touch {lists};;\n*download*) [ -e {lists} ] || exit 100; touch prometheus_1_all.deb;;"


def make(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "Makefile", folder)
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_make_alone_lists_what_a_person_may_run(tmp_path):
    """Each target with a word about it is in the list, whatever its name is made of."""
    explained = re.findall(r"^([^\s:.]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"test", "deb-arm64-test"} <= set(explained)
    assert explained == [line.split()[0] for line in make(tmp_path).stdout.splitlines()]


@pytest.mark.parametrize("target", ["fuzz", "audit"])
def test_an_old_python_is_a_sentence(tmp_path, target):
    """Nothing is installed, and the sentence names the version that is needed."""
    (tmp_path / f"requirements-{target}.lock").touch()
    old = program(tmp_path / "python3.9", "#!/bin/sh\nexit 1\n")  # says no to the question for its version
    ran = make(tmp_path, target, f"PYTHON={old}")
    assert 2 == ran.returncode
    assert f"Python 3.11 or newer is needed, {old} is older." in ran.stderr
    assert not (tmp_path / f".venv-{target}").exists()


def test_rules_are_not_held_against_nothing(tmp_path):
    """Without a package in dist/ the sentence says how to make one, and lintian is not started."""
    lintian = program(tmp_path / "tools/lintian", f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    environment = {"PATH": f"{lintian.parent}:{os.environ['PATH']}"}
    ran = make(tmp_path, "deb-lint", **environment)
    assert 2 == ran.returncode
    assert "There is no package in dist/: run `make deb` first." in ran.stderr
    assert not (tmp_path / "started").exists()
    program(tmp_path / "dist/site-gateway_1_amd64.deb", "")
    assert 0 == make(tmp_path, "deb-lint", **environment).returncode
    assert (tmp_path / "started").exists()


@pytest.fixture
def apt(tmp_path):
    """A machine with programs of its own for apt: give the environment, and where to read what was asked of apt-get."""

    def begin(cases: str) -> tuple[dict[str, str], Path]:
        log, tools = tmp_path / "asked", tmp_path / "tools"
        program(tools / "apt-get", APT_GET.format(log=log, cases=cases.format(lists=tmp_path / "lists")))
        content = tmp_path / "content/usr/bin/promtool"
        content.parent.mkdir(parents=True)
        content.write_text("the checker")
        program(tools / "dpkg-deb", f"#!/bin/sh\ntar -c -C {tmp_path / 'content'} ./usr/bin/promtool\n")
        return {"PATH": f"{tools}:{os.environ['PATH']}"}, log

    return begin


def test_the_lists_of_packages_are_loaded_where_there_are_none(tmp_path, apt):
    """On a machine whose apt knows no package yet, the checker is there all the same."""
    environment, log = apt(UPDATED)
    ran = make(tmp_path, ".promtool/promtool", **environment)
    assert 0 == ran.returncode, ran.stderr
    assert "the checker" == (tmp_path / ".promtool/promtool").read_text()
    asked = re.findall(r"update|download", log.read_text())
    assert ["download", "update", "download"] == asked


def test_a_checker_that_cannot_be_loaded_is_a_sentence(tmp_path, apt):
    """It says what to do, and leaves nothing that looks like a checker."""
    environment, _ = apt("*) exit 100;;")
    ran = make(tmp_path, ".promtool/promtool", **environment)
    assert 2 == ran.returncode
    assert "run apt-get update as root, or install the package prometheus" in ran.stderr
    assert not (tmp_path / ".promtool/promtool").exists()


def test_every_program_that_a_test_asks_for_is_installed():
    """What a test says `make debian` brings, `make debian` brings."""
    text = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    asked = set(re.findall(r"apt-get install ([a-z][a-z0-9-]+),? or make debian", text)) | {"iproute2"}
    recipe = re.search(r"^debian:\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1]
    assert {"systemd", "iproute2"} <= asked
    assert [] == [name for name in sorted(asked) if not re.search(rf"[ :]{re.escape(name)}\b", recipe)]


def test_clean_leaves_nothing_that_a_target_made(tmp_path):
    """What git does not keep, `make clean` takes away, but for what Python and a person's own work leave."""
    kept = {"demo-data", "__pycache__", "*.egg-info", ".pytest_cache"}
    names = {line.strip("/") for line in (ROOT / ".gitignore").read_text("utf-8").split()} - kept
    made = {".venv", ".venv-other", ".venv-lock", ".venv-fuzz", ".venv-audit"} | names - {".venv*"}
    assert {".peers", "soak-table.md", ".roots"} <= made
    for name in made:
        (tmp_path / name).mkdir()
    assert 0 == make(tmp_path, "clean").returncode
    assert set() == made & {path.name for path in tmp_path.iterdir()}
