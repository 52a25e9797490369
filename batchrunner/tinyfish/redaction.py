"""Removes secrets from answers, however the API or a gateway has encoded them."""

from __future__ import annotations

import base64
import re

#: What stands in the place of a secret.
STARS = b"***"
#: What every encoded character begins with.
_INTRODUCERS = (b"\\", b"%", b"&")


class Secret:
    """
    One secret, and how to find it in bytes of any encoding.

    Each of its characters may be written as it is, as an escape of JSON (also inside a JSON string,
    several times), as a percent-encoding of urls (also several times) or as a reference of HTML.
    The whole may be in base64, as a header of basic authentication has it, or in hex digits.
    """

    def __init__(self, text: str) -> None:
        secret = text.encode()
        digits = secret.hex().encode()
        self._whole = {secret, digits, digits.upper(), *_base64_forms(secret)}
        self._encoded = re.compile(b"".join(map(_any_form, secret)))

    def removed_from(self, data: bytes) -> bytes:
        """Return *data* with stars in the place of the secret."""
        for form in self._whole:
            if form in data:
                data = data.replace(form, STARS)
        is_encoded = any(each in data for each in _INTRODUCERS)
        return self._encoded.sub(STARS, data) if is_encoded else data

    def removed_from_text(self, text: str) -> str:
        """Return *text* with stars in the place of the secret."""
        data = text.encode("utf-8", "surrogatepass")
        return self.removed_from(data).decode("utf-8", "surrogatepass")


def _base64_forms(secret: bytes) -> set[bytes]:
    """Return what base64 makes of the secret at each of three offsets, without shared digits."""
    forms: set[bytes] = set()
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + secret)
        shared = -(-offset * 8 // 6)  # digits that hold bits of what is before the secret
        part = encoded[shared : (offset + len(secret)) * 8 // 6]
        forms |= {part, part.replace(b"+", b"-").replace(b"/", b"_")}
    return forms


def _any_form(byte: int) -> bytes:
    """
    Return the pattern of one character, as it is and encoded.

    Each form begins with a literal, so that a search is quick, and reads a run of backslashes once,
    from its start.
    """
    digits = b"".join(
        b"[%c%c]" % (digit, digit - 32) if digit > ord("9") else b"%c" % digit
        for digit in b"%02x" % byte
    )
    forms = [
        re.escape(bytes([byte])),
        rb"\\(?<!\\\\)\\*+(?:[uU]\{?0*%s\}?|x%s%s)" % (digits, digits, _mark(byte)),
        b"%%(?:25)*%s" % digits,
        b"&(?:amp;)*#(?:0*%d|[xX]0*%s);" % (byte, digits),
    ]
    return b"(?:" + b"|".join(forms) + b")"


def _mark(byte: int) -> bytes:
    """Return the alternative of a punctuation mark behind backslashes; nothing for others."""
    return b"" if chr(byte).isalnum() else b"|" + re.escape(bytes([byte]))
