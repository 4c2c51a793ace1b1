"""The names whose values are kept by nobody: secrets, pictures, persons, and what is measured of a person.

They are in lower case, bare, as they stand in some vendor's protocol. A new protocol brings its own.
"""

import re

PICTURES = {b"rgb_image", b"alarm_photo", b"snapshot", b"thumbnail"}
SECRETS = {
    b"hash", b"qrcode_content", b"authorization", b"cookie", b"headers", b"x-sign",
    # Whose it is, and what was measured of a person: a letter keeps as little as a sink gets.
    b"user_id", b"userid", b"ic_number", b"id_number", b"job_number", b"remark", b"cardno", b"employeeno",
    b"employeenostring", b"bodytemperature", b"mask", b"recognizescore", b"groups",
    b"guest_time_start", b"guest_time_end", b"email", b"cardholder_key", b"cardholder_id", b"badge_id",
    b"badge", b"badge_number", b"card_number", b"gender", b"age_range", b"age",
    # Numbers of people by gender and age (HX-CCD21).
    b"malenum", b"femalenum", b"unknowngendernum", b"ageless10num", b"age10to16num", b"age17to30num",
    b"age31to45num", b"age46to60num", b"ageover60num", b"unknownagenum",
    # A Windows path holds the name of the user.
    b"snapshot_path", b"recording_path",
    # Whose it is, under names of nobody's protocol in particular; a sentence may name a person too.
    b"usr", b"holder", b"plate", b"tel", b"fax", b"dob", b"street", b"description",
}  # fmt: skip
# What is said of a network together: its key has any name in there.
NETWORKS = {b"wifi", b"wi-fi", b"wlan", b"wpa", b"wpa2", b"wpa3", b"wep"}
# Words of persons in any name, whatever divides its words: ownerEmail, Phone2. Serial numbers, MAC and IP addresses,
# counts of people and names of things have none of these.
PERSON_PARTS = (
    *(
        b"phone",
        b"mobile",
        b"email",
        b"birth",
        b"owner",
        b"cardholder",
        b"plateno",
        b"platenum",
        b"licenseplate",
    ),
    *(
        b"licenceplate",
        b"username",
        b"firstname",
        b"lastname",
        b"fullname",
        b"surname",
        b"givenname",
        b"familyname",
    ),
    *(
        b"nickname",
        b"personname",
        b"employeename",
        b"visitorname",
        b"guestname",
        b"homeaddress",
        b"postaladdress",
    ),
)
LOOK_BACK = 64  # letters; names are no longer than twice that
DIVIDERS = b"_-. "
# "pass" says whether a door opened; a letter of it is read again.
HARMLESS = {
    *(b"microphone", b"microphones", b"pass", b"bypass", b"underpass", b"compass", b"spin"),
    *(b"monkey", b"turkey", b"turnkey", b"hotkey", b"keyframe", b"keyframes", b"keyboard", b"keypad"),
}
# The words of secrets: wifi_key, WPA2PSK, CameraPin. What a counter says and nobody understands is judged by them as well.
_SECRET = re.compile(
    r"pass(?:w|phrase|code|key)|pincode|pwd|psk|secret|ssid|credential|login|token|streamuri|(?:pin|key)[0-9]*$"
    r"|(?:wifi|wlan|wep|wpa[0-9]?|api|access|private|shared|network)key|(?:admin|user|root|rtsp)pass"
)
# The same of what people may have written: Hockey, Whiskey, Chopin, Cassidy, Loginov and Secretary are none.
_SECRET_LABEL = re.compile(
    rb"(?:^|[_. -]|camera|door|admin|user|device|mgmt)[_. -]?(?:pin|key)[_. -]?[0-9]*$"
    rb"|(?:wi-?fi|wlan|wpa[0-9]?|wep|psk|api|access|private|shared|network)[_. -]?(?:pin|key)"
    rb"|passw(?:or)?d|pass[_. -]?(?:phrase|code|key)|(?:admin|user|root|rtsp)[_. -]?pass|pin[_. -]?code|pwd|psk"
    rb"|secret(?!ar)|ssid(?![a-z])|credential|login(?![a-z])|login[_. -]?(?:name|id|user|pass)|token(?![a-z])"
    rb"|stream[_. -]?uri|(?:wi-?fi|wlan|wpa|wep)[a-z0-9_. -]{0,64}(?:pass|code|auth)"
)
_WIDER = re.compile(r"key|pass$")
_NETWORK = re.compile(r"wifi|wlan|wpa|wep")
_SECRET_OF_NETWORK = re.compile(r"pass|code|auth")  # anywhere behind the first of those
# Of a thing or of a person, by what else the body speaks of.
PERSON_NAMES = {b"name", b"address"}

# What may be a name to mask. "name" and "address" only count where the body speaks of a person: counters have them too.
NAMES = re.compile(
    rb"rgb_image|alarm_photo|snapshot|thumbnail|pass|pwd|psk|ssid|pin|key|login|stream_?uri|hash|wi-?fi|wlan|wpa|wep"
    rb"|qrcode_content|authorization|headers|secret|token|credential|cookie|x-sign"
    rb"|user_?id|i[cd]_number|job_number|remark|cardno|employeeno|temperature|mask|recognizescore|groups"
    rb"|guest_time_|e-?mail|cardholder_?|badge|card_number|gender|malenum|age|recording_path|name|description"
    rb"|usr|holder|plate|phone|mobile|tel|fax|dob|birth|owner|street|address"
)
PERSON = re.compile(rb"[\"'<:;]user[\"'/>\s\\&]|\buser[.\[:= \t]|user_?id|employeeno")


def tells_of_secret(letters: str) -> bool:
    """Say whether a name tells of a secret, in lower case and without what divides its words. Each pattern looks once."""
    network = _NETWORK.search(letters)
    return bool(
        _SECRET.search(letters)
        or _WIDER.search(letters)
        or (network and _SECRET_OF_NETWORK.search(letters, network.end()))
    )


def is_masked(name: bytes, *, person: bool, label: bool = False) -> bool:
    """Say whether a value of this name goes.

    ``person``: it stands in what is said of a person. ``label``: it stands as a value, beside what it is the name of.
    """
    return (
        name in SECRETS
        or name in PICTURES
        or (person and name in PERSON_NAMES)
        or (not label and name in NETWORKS)
        or (len(name) <= 2 * LOOK_BACK and _tells(name, label=label))
    )


def _tells(name: bytes, *, label: bool) -> bool:
    whole = name.translate(None, DIVIDERS)
    if whole in HARMLESS:
        return False
    if any(part in whole for part in PERSON_PARTS):
        return True
    return bool(_SECRET_LABEL.search(name)) if label else tells_of_secret(whole.decode("latin-1"))
