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
    # Whose it is, under names of nobody's protocol in particular; a sentence may name a person too.
    b"usr", b"holder", b"plate", b"tel", b"fax", b"dob", b"psk", b"street", b"description",
}  # fmt: skip
# In any name, whatever divides its words: userPassword, wifi_key, Phone2. Serial numbers, MAC and IP addresses, counts of
# people and names of things have none of these.
SECRET_PARTS = (
    *(b"password", b"passwd", b"passphrase", b"passcode", b"pincode", b"secret", b"token", b"ssid"),
    *(b"wifikey", b"wlankey", b"apikey", b"accesskey", b"privatekey", b"sharedkey", b"networkkey"),
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
DIVIDERS = b"_-. "
HARMLESS = {b"microphone", b"microphones"}
# Of a thing or of a person, by what else the body speaks of.
PERSON_NAMES = {b"name", b"address"}

# What may be a name to mask. "name" and "address" only count where the body speaks of a person: counters have them too.
NAMES = re.compile(
    rb"rgb_image|alarm_photo|snapshot|thumbnail|passw(?:or)?d|passphrase|pass_?code|ssid|pin|login|stream_uri|hash"
    rb"|qrcode_content|authorization|headers|secret|token|credential|cookie|psk|x-key|x-sign"
    rb"|(?:private|api|access|wi-?fi|wlan|shared|network)[_-]?key"
    rb"|user_?id|i[cd]_number|job_number|remark|cardno|employeeno|temperature|mask|recognizescore|groups"
    rb"|guest_time_|e-?mail|cardholder_?|badge|card_number|gender|malenum|age|recording_path|name|description"
    rb"|usr|holder|plate|phone|mobile|tel|fax|dob|birth|owner|street|address"
)
PERSON = re.compile(rb"[\"'<:;]user[\"'/>\s\\&]|\buser[.\[:= \t]|user_?id|employeeno")
