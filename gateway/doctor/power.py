"""Whether the box gets enough power and stays cool, where it can tell."""

from collections.abc import Iterable

from gateway.doctor.box import Box, Check, untold, well, wrong
from gateway.doctor.finding import Finding

POWER, HEAT = "power", "temperature"
# Where the firmware of a Pi shows its bits, by kernel.
_THROTTLED = (
    "sys/devices/platform/soc/soc:firmware/get_throttled",
    "sys/devices/platform/soc@0/soc@0:firmware/get_throttled",
    "sys/firmware/raspberrypi/get_throttled",
)
_NOW, _SINCE_START = 0x1, 0x10000
_HOT_C = 80.0  # a Pi slows itself down from here on
_OF_THE_BOX = ("cpu", "soc", "x86_pkg", "acpitz", "thermal")


def look_at_power(box: Box) -> Iterable[Finding]:
    """Read whether the voltage was ever too low since the start."""
    bits = next((text for place in _THROTTLED if (text := box.read(place))), None)
    if bits is not None:
        try:
            yield _of_bits(int(bits, 16))
        except ValueError:
            yield untold(POWER, f"The firmware says {bits[:20]!r} about its power, which nobody understands.")
        return
    alarms = [
        text
        for name in sorted(box.system("sys/class/hwmon").glob("hwmon*/name"))
        if (box.read(str(name.relative_to(box.root))) or "") == "rpi_volt"
        if (text := box.read(str((name.parent / "in0_lcrit_alarm").relative_to(box.root)))) is not None
    ]
    if not alarms:
        yield untold(
            POWER, "This box does not say whether its power supply is strong enough; a Raspberry Pi does."
        )
    elif "1" in alarms:
        yield wrong(
            POWER, "under_voltage", "The power supply of this box is too weak: the voltage is too low now."
        )
    else:
        yield well(POWER, "The voltage is high enough.")


def _of_bits(bits: int) -> Finding:
    if bits & _NOW:
        said = "The power supply of this box is too weak: the voltage is too low now."
    elif bits & _SINCE_START:
        said = "The voltage of this box was too low at least once since it started."
    else:
        return well(POWER, "The voltage was high enough since the box started.")
    return wrong(POWER, "under_voltage", f"{said} A card can be damaged by that.")


def look_at_heat(box: Box) -> Iterable[Finding]:
    """Find the hottest place of the processor."""
    hottest: tuple[float, str] | None = None
    for zone in sorted(box.system("sys/class/thermal").glob("thermal_zone*")):
        place = zone.relative_to(box.root)
        kind, text = box.read(f"{place}/type") or "", box.read(f"{place}/temp") or ""
        if kind.lower().startswith(_OF_THE_BOX) and text.lstrip("-").isdecimal():
            hottest = max(hottest or (-300.0, ""), (int(text) / 1000, kind))
    if hottest is None:
        yield untold(HEAT, "This box does not tell its temperature.")
    elif hottest[0] >= _HOT_C:
        yield wrong(
            HEAT,
            "too_hot",
            f"The processor is {hottest[0]:.0f} °C hot; from {_HOT_C:.0f} °C on a Pi slows itself down.",
        )
    else:
        yield well(HEAT, f"The processor is at {hottest[0]:.0f} °C.")


CHECK = Check(POWER, look_at_power, frozenset({"under_voltage"}), cheap=True)
TEMPERATURE = Check(HEAT, look_at_heat, frozenset({"too_hot"}), cheap=True, looks=3)
