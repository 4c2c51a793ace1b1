"""Which architectures and Pythons a package serves, and which wheels fit them."""

from dataclasses import dataclass

PYTHONS = ("3.11", "3.13")  # Debian and Raspberry Pi OS 12 and 13
# The newest C library that a wheel may ask for: `libc6 (>= 2.31)` in the control file says the same.
_GLIBC = range(5, 32)
_OLD_NAMES = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l"}
ARCHES = tuple(_MACHINES)


@dataclass(frozen=True)
class Target:
    """One architecture with one Python."""

    arch: str
    python: str

    @property
    def machine(self) -> str:
        """Give the architecture's name in the tags of wheels and in markers."""
        return _MACHINES[self.arch]

    @property
    def abi(self) -> str:
        """Give the name of the directory, and of the ABI in the tags."""
        return "cp" + self.python.replace(".", "")

    @property
    def platforms(self) -> list[str]:
        """Give the platform tags that run there; pip wants each one spelled out."""
        named = [f"{name}_{self.machine}" for name in _OLD_NAMES]
        return [f"manylinux_2_{minor}_{self.machine}" for minor in reversed(_GLIBC)] + named

    @property
    def environment(self) -> dict[str, str]:
        """Give the values that markers are evaluated with, instead of those of the machine that builds."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }

    def runs(self, wheel: str) -> bool:
        """Say whether the wheel of this file name runs there."""
        pythons, abis, platforms = (set(part.split(".")) for part in _tags(wheel))
        return bool(
            pythons & {"py3", f"py{self.python[0]}", self.abi}
            and abis & {"none", "abi3", self.abi}
            and platforms & {"any", *self.platforms}
        )


def is_pure(wheel: str) -> bool:
    """Say whether the wheel runs on every machine and every Python 3."""
    return _tags(wheel)[1:] == ["none", "any"]


def _tags(wheel: str) -> list[str]:
    return wheel.removesuffix(".whl").split("-")[-3:]
