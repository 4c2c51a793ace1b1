"""Reads what somebody asks of the control API: bounded, and nothing in it that the store could not take."""

import json
import math
from collections.abc import Mapping
from typing import NoReturn

from starlette.requests import Request

from gateway.errors import GatewayError

_MOST_BYTES = 65_536
_INT64 = 2**63


class Unfit(GatewayError):
    """The request is not what this part of the API takes."""


async def wish_of(request: Request, sentence: str) -> Mapping[str, object]:
    """Read the JSON object of a request, or raise `Unfit`; ``sentence`` says what is expected."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise Unfit(f"A request is no larger than {_MOST_BYTES} bytes.")
    try:
        wish = json.loads(body, parse_int=_integer, parse_float=_finite, parse_constant=_no_number)
        json.dumps(wish, ensure_ascii=False).encode()  # half a character can neither be stored nor shown
    except (ValueError, RecursionError) as error:
        raise Unfit(sentence) from error
    if not isinstance(wish, dict):
        raise Unfit(sentence)
    return wish


def number_of(digits: str) -> int | None:
    """Read a whole number from 0 on as it stands in a path or query; None when it is none that the store could hold."""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
        return None
    number = int(digits)
    return number if number < _INT64 else None


def _integer(digits: str) -> int:
    # The length first: Python does not read thousands of digits.
    if len(digits) <= 20 and -_INT64 <= (number := int(digits)) < _INT64:
        return number
    raise ValueError("a whole number beyond 64 bits")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isfinite(number):
        return number
    raise ValueError("a number that is too large")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")
