"""Writes what people read on the box: the manual, the completions, the changelog, the pages and the examples."""

import gzip
import shutil
from pathlib import Path

from deb import changelog, commandline, complete_bash, complete_fish, complete_zsh, manual
from gateway.commands import main

_LINKED = ("SECURITY.md", "CHANGELOG.md")  # the pages lead there


def write(root: Path, share: Path, version: str, maintainer: str, second: int) -> None:
    """Write all of it below ``share``."""
    program = commandline.read(main)
    example = root / "config.example.toml"
    made = {
        "man/man1/gateway.1.gz": manual.render(program, version, second),
        "man/man5/gateway-config.5.gz": manual.render_configuration(example.read_text(), version, second),
        "bash-completion/completions/gateway": complete_bash.render(program),
        "zsh/vendor-completions/_gateway": complete_zsh.render(program),
        "fish/vendor_completions.d/gateway.fish": complete_fish.render(program),
        "doc/site-gateway/changelog.gz": changelog.render(root / "CHANGELOG.md", version, maintainer, second),
    }
    for name, text in made.items():
        place = share / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(gzip.compress(text.encode(), 9, mtime=0) if name.endswith(".gz") else text.encode())
    pages = share / "doc/site-gateway"
    shutil.copyfile(example, pages / "config.example.toml")
    for name in _LINKED:
        shutil.copyfile(root / name, pages / name)
    shutil.copytree(root / "docs", pages / "docs")
    shutil.copytree(
        root / "packaging/mosquitto", pages / "examples/mosquitto", ignore=shutil.ignore_patterns("*.py")
    )
    shutil.copytree(root / "packaging/card", pages / "examples/card")
