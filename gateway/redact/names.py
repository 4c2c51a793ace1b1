"""The names whose values are kept by nobody: secrets, pictures, persons, and what is measured of a person.

They are in lower case, bare, as they stand in some vendor's protocol. A new protocol brings its own.
"""

import re

PICTURES = {b"rgb_image", b"alarm_photo", b"snapshot", b"thumbnail"}
SECRETS = {
    b"wifipassword", b"wifissid", b"pin", b"login", b"stream_uri", b"hash", b"qrcode_content",
    b"authorization", b"secret", b"token", b"credential", b"credentials", b"cookie", b"private_key",
    b"headers", b"api_key", b"apikey", b"x-key", b"x-sign", b"access_key", b"secret_key", b"profile_token",
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
}  # fmt: skip
SECRET_PARTS = (b"password", b"passwd")  # in any name: userPassword, Password2

# What may be a name to mask. "name" itself only counts where the body speaks of a person: counters have names.
NAMES = re.compile(
    rb"rgb_image|alarm_photo|snapshot|thumbnail|passw(?:or)?d|wifissid|pin|login|stream_uri|hash|qrcode_content"
    rb"|authorization|headers|secret|token|credential|cookie|private_key|api_?key|x-key|x-sign|access_key"
    rb"|user_?id|i[cd]_number|job_number|remark|cardno|employeeno|temperature|mask|recognizescore|groups"
    rb"|guest_time_|email|cardholder_|badge|card_number|gender|malenum|age|recording_path|name"
)
PERSON = re.compile(rb"[\"'<:;]user[\"'/>\s\\&]|\buser[.\[:= \t]|employeeno")
