"""What a person hears from `make` on a machine whose Python is too old."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("target", ["fuzz", "audit"])
def test_an_old_python_is_a_sentence(tmp_path, target):
    """Nothing is installed, and the sentence names the version that is needed."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / f"requirements-{target}.lock").touch()
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")  # says no to the question for its version
    old.chmod(0o755)
    words = ["make", target, f"PYTHON={old}"]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert 2 == ran.returncode
    assert f"Python 3.11 or newer is needed, {old} is older." in ran.stderr
    assert not (tmp_path / f".venv-{target}").exists()
