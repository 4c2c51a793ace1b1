"""What the tests of backups share."""

import pwd
import shutil
import tempfile
from pathlib import Path

import pytest
from backed_up import USER, credentials_at

from gateway.config import settings


@pytest.fixture
def place(monkeypatch):
    """A folder that others may pass, on a box with a user for the gateway."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-"))
    folder.chmod(0o755)
    credentials_at(monkeypatch, folder / "credentials")
    user = pwd.struct_passwd(("gateway", "x", USER, USER, "", "/nonexistent", "/usr/sbin/nologin"))
    monkeypatch.setattr(settings, "user", lambda: user)
    yield folder
    shutil.rmtree(folder)
