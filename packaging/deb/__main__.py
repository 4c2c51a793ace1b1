"""`python -m deb`: build the packages of the named architectures into `dist`."""

import argparse
import shutil
import tempfile
from pathlib import Path

from deb import archive, building, own
from deb.targets import ARCHES

ROOT = Path(__file__).parents[2]
_MAINTAINER = "Site Gateway <gateway@localhost>"  # whoever publishes the package names somebody


def main() -> None:
    """Read the words of the command line and build."""
    words = argparse.ArgumentParser(prog="deb", description=__doc__)
    words.add_argument("arches", nargs="*", choices=[*ARCHES, []], help="all of them, when none is named")
    words.add_argument("--version", help="another version than that of the code, for tests of upgrades")
    words.add_argument("--maintainer", default=_MAINTAINER, help="who answers for it: 'Name <mail>'")
    words.add_argument("--into", type=Path, default=ROOT / "dist")
    words.add_argument("--wheels", type=Path, default=ROOT / ".deb" / "wheels", help="where wheels are kept")
    words.add_argument(
        "--level", type=int, default=6, help="of the compression; 1 is quick, and a third larger"
    )
    given = words.parse_args()
    version = given.version or own.version(ROOT)
    second = archive.epoch(ROOT)
    for arch in given.arches or ARCHES:
        staged = Path(tempfile.mkdtemp(prefix="site-gateway-"))
        try:
            package = building.Package(ROOT, arch, version, given.maintainer, second)
            building.stage(package, staged / "root", given.wheels)
            made = given.into / f"site-gateway_{version}_{arch}.deb"
            archive.pack(staged / "root", made, second, given.level)
        finally:
            shutil.rmtree(staged)
        print(f"{made} ({made.stat().st_size / 1e6:.1f} MB)", flush=True)


if __name__ == "__main__":
    main()
