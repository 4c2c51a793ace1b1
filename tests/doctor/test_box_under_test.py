"""What a machine says on which the experiments with networks and disks cannot run: why, and what would help."""

import os

import box_under_test
import pytest
from box_under_test import in_network, tmpfs

from gateway.doctor.network import WAY_OUT

ROUTE = WAY_OUT.name


@pytest.fixture
def root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def stand_in(folder, monkeypatch, program: str, said: str) -> None:
    """Put a program of this name before all others, which fails and says something."""
    (folder / program).write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 32\n")
    (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_missing_program_is_a_failure_that_names_its_package(tmp_path, monkeypatch, root):
    """What can be installed is never skipped, and is asked for by the name of its package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        pytest.fail.Exception, match="ip is not installed: apt-get install iproute2, or make debian"
    ):
        in_network("", ROUTE)
    with (
        pytest.raises(pytest.fail.Exception, match="mount is not installed"),
        tmpfs(tmp_path / "x", "size=1m"),
    ):
        pass


def test_a_machine_without_namespaces_is_a_reason(tmp_path, monkeypatch, root):
    """Where the kernel refuses a network of its own, the test is skipped with its words."""

    def refused():
        raise PermissionError(1, "Operation not permitted")

    stand_in(tmp_path, monkeypatch, "ip", "not reached")
    monkeypatch.setattr(box_under_test, "_enter_new_network", refused)
    with pytest.raises(pytest.skip.Exception, match=r"no namespaces: .*Operation not permitted"):
        in_network("", ROUTE)


def test_a_command_that_fails_over_there_is_named(tmp_path, monkeypatch, root):
    """The error of the child is that of the test, not the end of a pipe."""
    stand_in(tmp_path, monkeypatch, "ip", "no such link")
    monkeypatch.setattr(box_under_test, "_enter_new_network", lambda: None)
    with pytest.raises(pytest.fail.Exception, match="no such link"):
        in_network("", ROUTE)


def test_a_machine_that_refuses_mounts_is_a_reason(tmp_path, monkeypatch, root):
    """A mount that is not permitted is skipped with what `mount` said."""
    stand_in(tmp_path, monkeypatch, "mount", "mount: /x: permission denied.")
    refused = pytest.raises(pytest.skip.Exception, match="refuses mounts: mount: /x: permission denied")
    with refused, tmpfs(tmp_path / "x", "size=1m"):
        pass


def test_a_mount_that_is_wrong_is_a_failure(tmp_path, monkeypatch, root):
    """Any other reason is a mistake of ours, and is not skipped."""
    stand_in(tmp_path, monkeypatch, "mount", "mount: /x: bad option.")
    with pytest.raises(AssertionError, match="bad option"), tmpfs(tmp_path / "x", "size=1m"):
        pass
