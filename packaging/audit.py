"""Hold a lock file against the known vulnerabilities: 0 none, 1 some, 2 when it could not be found out for every package.

`pip-audit` by itself ends with 0 when the advisory service knows none of the packages, which is how an index without
advisories answers: that must not pass for a clean result.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

_SHOWN = 5


def main() -> int:
    lock = sys.argv[1]
    command = [str(Path(sys.executable).parent / "pip-audit"), "--requirement", lock, "--require-hashes"]
    command += ["--disable-pip", "--format", "json", "--progress-spinner", "off", *sys.argv[2:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own tool
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(done.stderr.strip()[-2_000:], file=sys.stderr)
        print(
            f"Nothing is known about {lock}: the advisory service gave no answer (see above).",
            file=sys.stderr,
        )
        return 2
    return verdict(lock, packages)


def verdict(lock: str, packages: list[dict[str, object]]) -> int:
    """Say what was found, and give the status to end with."""
    unknown = [package for package in packages if package.get("skip_reason")]
    holes = [(package, hole) for package in packages for hole in _holes(package)]
    for package, hole in holes:
        cures = ", ".join(map(str, _list(hole.get("fix_versions")))) or "none yet"
        print(f"{package['name']} {package.get('version')}: {hole.get('id')}; corrected in: {cures}")
    for package in unknown[:_SHOWN]:
        print(f"{package['name']}: {package['skip_reason']}", file=sys.stderr)
    checked = len(packages) - len(unknown)
    today = datetime.now(UTC).date().isoformat()
    print(
        f"{today}: {checked} of {len(packages)} packages of {lock} checked, {len(holes)} known vulnerabilities."
    )
    if holes:
        return 1
    if unknown or not packages:
        print(
            f"This is no clean result: of {len(unknown) or 'all'} packages nothing could be found out. The package index"
            " that is configured here has no advisories, or the service cannot be reached. Run it where it can.",
            file=sys.stderr,
        )
        return 2
    return 0


def _holes(package: dict[str, object]) -> list[dict[str, object]]:
    return [hole for hole in _list(package.get("vulns")) if isinstance(hole, dict)]


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


if __name__ == "__main__":
    sys.exit(main())
