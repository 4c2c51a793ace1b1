"""`python -m apt --key FINGERPRINT`: put the packages of `dist` into a repository, and sign it."""

import argparse
from pathlib import Path

from apt import repository

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Read the words of the command line and build."""
    words = argparse.ArgumentParser(prog="apt", description=__doc__)
    words.add_argument("--key", required=True, help="fingerprint of the key in your keyring that signs")
    words.add_argument(
        "--into", type=Path, default=ROOT / "dist/apt", help="what is there already stays in it"
    )
    words.add_argument("packages", nargs="*", type=Path, help="instead of all packages in dist/")
    given = words.parse_args()
    packages = given.packages or sorted((ROOT / "dist").glob("*.deb"))
    if not packages:
        raise SystemExit("There is no package in dist/: run `make deb` first.")
    repository.build(given.into, packages, given.key)
    print(f"{given.into}: {len(list(given.into.glob('pool/*.deb')))} packages, signed by {given.key}")


if __name__ == "__main__":
    main()
