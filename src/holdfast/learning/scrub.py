"""Take personal values out of analytics before they are written down.

A value is personal by its key's name (`email`, `user.firstName`, `client_ip`) or by its look (an
e-mail address, a phone number, an IP address, anywhere in a text). It becomes `scrubbed:` and the
first 16 hex digits of HMAC-SHA256(salt, org, value): the same value is the same hash within one org,
so counting still works, and differs between orgs, so nobody can be followed across them.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from typing import Any, Final

import msgspec

from holdfast.core.codec import canonical
from holdfast.core.errors import Misconfigured, Rejected

MAX_DEPTH: Final = 64
"""How deep `data` may be nested."""

PASSES: Final = 5
"""How often a text is looked through; one that is not at rest by then is replaced as a whole."""

# Keys. A key is cut at dots, and each part into words: userAgent, user_agent and USER-AGENT are alike.

_WORDS: Final = frozenset(
    (
        *("email", "mail", "phone", "telephone", "tel", "mobile", "fax", "ip", "ipv4", "ipv6", "ipaddress"),
        *("address", "addr", "street", "postcode", "zipcode", "dob", "fullname", "forename", "nickname"),
    )
)
_PARTS: Final = ("mail", "phone", "birth", "username", "firstname", "lastname", "surname", "useragent")
"""In the middle of a longer word they mean the same."""
_PAIRS: Final = frozenset(
    (
        *(("user", "agent"), ("zip", "code"), ("post", "code"), ("first", "name"), ("last", "name")),
        *(("full", "name"), ("middle", "name"), ("given", "name"), ("family", "name"), ("nick", "name")),
        *(("user", "name"), ("display", "name"), ("real", "name"), ("learner", "name"), ("maiden", "name")),
        *(("student", "name"), ("teacher", "name"), ("author", "name"), ("contact", "name")),
    )
)
"""Words that are personal side by side; a `fileName` or a `lessonName` is nobody's."""
_CUT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")

# Values. Every pattern takes time in proportion to the text: one run of characters is one match.

_DONE = re.compile(r"scrubbed:[0-9a-f]{16}\Z")
_TOKEN = re.compile(r"""[^\s,;:<>()"'\[\]{}|/?&=#!\\]+""")
"""A run in which an e-mail address could stand."""
_IPV4 = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w]|\.[0-9])")
_COLONED = re.compile(r"[\w:.]+")
"""A run in which an IPv6 address could stand."""
_PHONE_IN_TEXT = re.compile(r"(?<![\w+])\+[0-9][0-9 ().\-/]{5,24}[0-9](?![0-9])")
_PHONE = re.compile(r"\(?[0-9][0-9 ().\-/]{5,24}[0-9]\Z")
_NO_PHONE = re.compile(
    r"[0-9]{4}[-./][0-9]{1,2}[-./][0-9]{1,2}(?![0-9])|[0-9]{1,2}[-./][0-9]{1,2}[-./][0-9]{4}\Z|[0-9]+\.[0-9]+\Z"
)
"""Dates and decimal fractions."""
_PHONE_DIGITS: Final = range(7, 16)
_BARE_PHONE_DIGITS: Final = range(10, 16)
"""Digits alone are a phone number only when there are this many: shorter ones are counts and ids."""

_SUSPECT = re.compile(
    rb"mail|phone|birth|name|agent|tel|mobile|fax|ip|addr|street|post|zip|dob"
    rb"|@|%40|\\|[0-9]\.[0-9]|:[0-9a-f]{0,4}:|[0-9(][0-9 ().\-/]{5}"
)
"""Finds something in every `data` (in small letters) that has anything to scrub, a test holds it to
that, and nothing in most others: those pass as they are."""

_LARGEST: Final = 2**64
_LEAST: Final = -(2**63)
"""Between these integers are written again as they were read; each is digits enough to be suspect."""


class _Outer(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"{}")


_outer = msgspec.json.Decoder(_Outer)
_whole = msgspec.json.Decoder()


class Scrubber:
    """Scrubs bodies of `analytics.recorded`. Safe to use from any thread."""

    def __init__(self, salt: bytes) -> None:
        """`salt`: a secret of the deployment; another salt gives other hashes. Raises Misconfigured."""
        if not salt:
            raise Misconfigured("the scrubbing salt is empty", hint="Set it to 16 or more random bytes.")
        self._salt = salt

    def scrub(self, body: bytes, org: str) -> bytes:
        """The body without personal values in its `data`: the very same bytes where there were none.

        Where there were, the canonical JSON of what is left; scrubbing that again changes nothing.
        Raises Rejected `malformed` for what is not JSON, not UTF-8 or a number out of range, `invalid`
        for data nested too deep: nobody could read the record again.
        """
        try:
            data = bytes(_outer.decode(body).data)
            # Reading it costs a tenth of looking through it.
            before = _whole.decode(data)
            twice = body.count(b'"data"') > 1 or b"\\" in body
            if not twice and not _may_be_deep(data) and _SUSPECT.search(data.lower()) is None:
                return body
            after = self._value(before, org, 0)
            if after == before and not ((twice or _may_repeat(data, before)) and _states_a_key_twice(body)):
                return body
            return canonical({**msgspec.json.decode(body), "data": after})
        except RecursionError:
            raise _too_deep() from None
        except (msgspec.DecodeError, ValueError) as fault:
            raise Rejected(f"the body is not readable: {fault}", code="malformed") from None

    def hashed(self, value: str, org: str) -> str:
        """What stands in a value's place."""
        if _DONE.match(value):
            return value
        text = f"{org}\n{_normal(value)}".encode("utf-8", "surrogatepass")
        return "scrubbed:" + hmac.digest(self._salt, text, "sha256").hex()[:16]

    def _value(self, value: Any, org: str, depth: int) -> Any:  # noqa: ANN401 - JSON is anything
        """A value under a key that says nothing."""
        if isinstance(value, str):
            return self._text(value, org)
        if isinstance(value, dict):
            _check_depth(depth)
            return {
                self._text(key, org): self._personal(inner, org, depth + 1)
                if personal_key(key)
                else self._value(inner, org, depth + 1)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            _check_depth(depth)
            return [self._value(inner, org, depth + 1) for inner in value]
        if isinstance(value, int):
            _check_range(value)
        return value

    def _personal(self, value: Any, org: str, depth: int) -> Any:  # noqa: ANN401 - JSON is anything
        """A value under a key that says it is personal; a yes, a no and a null tell nobody's name."""
        if isinstance(value, str):
            return self.hashed(value, org) if value else value
        if isinstance(value, dict):
            _check_depth(depth)
            return {
                self._text(key, org): self._personal(inner, org, depth + 1) for key, inner in value.items()
            }
        if isinstance(value, list):
            _check_depth(depth)
            return [self._personal(inner, org, depth + 1) for inner in value]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            _check_range(value)
        return self.hashed(msgspec.json.encode(value).decode(), org)

    def _text(self, text: str, org: str) -> str:
        """A text with what looks personal in it replaced."""
        if _DONE.match(text):
            return text
        if _looks_like_phone(text.strip()):
            return self.hashed(text, org)

        for _ in range(PASSES):
            after = self._looked_through(text, org)
            if after == text:
                return text
            text = after
        return self.hashed(text, org)

    def _looked_through(self, text: str, org: str) -> str:
        """One pass; a hash that comes to stand beside an @ or a colon may look personal to the next."""
        if "@" in text or "%40" in text:
            text = _TOKEN.sub(lambda found: self._without_email(found[0], org), text)
        if "+" in text:
            text = _PHONE_IN_TEXT.sub(lambda found: self._if(_looks_like_phone, found[0], org), text)
        if "." in text:
            text = _IPV4.sub(lambda found: self._if(_is_ip, found[0], org), text)
        if ":" in text:
            text = _COLONED.sub(lambda found: self._without_ipv6(found[0], org), text)
        return text

    def _if(self, looks: Callable[[str], bool], text: str, org: str) -> str:
        return self.hashed(text, org) if looks(text) else text

    def _without_email(self, run: str, org: str) -> str:
        """An address is an @ with something on both sides."""
        address = run.strip(".@")
        if "@" not in address.replace("%40", "@").strip("@"):
            return run
        return run.replace(address, self.hashed(address, org), 1)

    def _without_ipv6(self, run: str, org: str) -> str:
        """As it stands, or with the full stop or colon of the sentence around it."""
        for address in (run, run.rstrip("."), run.removesuffix(":")):
            if address.count(":") > 1 and _is_ip(address):
                return self.hashed(address, org) + run[len(address) :]
        return run


@lru_cache(4096)
def personal_key(key: str) -> bool:
    """Whether a key's name says that its value is personal."""
    for part in key.split("."):
        words = [word.lower() for word in _CUT.split(part) if word]
        if words == ["name"] or any(word in _WORDS for word in words):
            return True
        if any(each in word for word in words for each in _PARTS) or any(
            p in _PAIRS for p in pairwise(words)
        ):
            return True
    return False


def _looks_like_phone(text: str) -> bool:
    """Whether the whole text is a phone number; a date or a short bare number is not."""
    bare = text.removeprefix("+")
    if not _PHONE.match(bare) or _NO_PHONE.match(bare) or _is_ip(bare):
        return False
    digits = sum(character.isdigit() for character in bare)
    if digits == len(text):
        return digits in _BARE_PHONE_DIGITS
    return digits in _PHONE_DIGITS


def _is_ip(text: str) -> bool:
    try:
        if ":" in text:
            # `::` alone names no machine.
            return IPv6Address(text) != IPv6Address(0)
        return bool(IPv4Address(text))
    except ValueError:
        return False


def _normal(value: str) -> str:
    """One spelling of each value, so that one person has one hash."""
    text = value.strip()
    if "@" in text or "%40" in text:
        return text.replace("%40", "@").lower()
    if _looks_like_phone(text):
        return "".join(character for character in text if character.isdigit())
    if ":" in text and _is_ip(text):
        return IPv6Address(text).compressed
    return text.casefold()


def _may_be_deep(data: bytes) -> bool:
    """Whether so much is opened that it could stand too deep."""
    return len(data) > 2 * MAX_DEPTH and data.count(b"{") + data.count(b"[") > MAX_DEPTH


def _may_repeat(data: bytes, read: Any) -> bool:  # noqa: ANN401 - JSON is anything
    """Whether a name could stand twice: not where there is a colon for each that was read, and no more."""
    return not isinstance(read, dict) or data.count(b":") > len(read)


def _states_a_key_twice(body: bytes) -> bool:
    """Whether a body hides a value behind a second of its name: readers heed the last, journals keep both."""
    again = False

    def heed(pairs: list[tuple[str, Any]]) -> None:
        nonlocal again
        again = again or len({key for key, _ in pairs}) < len(pairs)

    json.loads(body, object_pairs_hook=heed)
    return again


def _check_range(number: int) -> None:
    if not _LEAST <= number < _LARGEST:
        raise Rejected("the body is not readable: a number is out of range", code="malformed")


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise _too_deep()


def _too_deep() -> Rejected:
    return Rejected(f"data is nested more than {MAX_DEPTH} levels deep", hint="Send it flatter.")
