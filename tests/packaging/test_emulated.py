"""Which package is tried under emulation."""

import os

import emulated
import pytest


def test_of_several_versions_the_one_that_was_built_last_is_tried(tmp_path):
    """Whatever their names say, and nothing of another architecture."""
    for second, name in enumerate(("0.10.0_arm64", "0.2.0_arm64", "0.9.0_arm64", "0.9.0_armhf")):
        package = tmp_path / f"site-gateway_{name}.deb"
        package.touch()
        os.utime(package, (second, second if name != "0.2.0_arm64" else 99))
    assert "site-gateway_0.2.0_arm64.deb" == emulated._package(tmp_path, "arm64").name


def test_an_architecture_that_was_not_built_is_a_sentence(tmp_path):
    """It says how to build it."""
    (tmp_path / "site-gateway_0.1.0_armhf.deb").touch()
    with pytest.raises(SystemExit, match="make deb ARCHES=arm64"):
        emulated._package(tmp_path, "arm64")
