"""Five families of error, named after who must act.

| family        | who must act   | HTTP | retry helps            |
|---------------|----------------|------|------------------------|
| Rejected      | the sender     | 4xx  | no, mend the request   |
| Conflict      | the sender     | 409  | no, look first         |
| Unavailable   | time           | 503  | yes, after `retry_s`   |
| Corrupt       | the operator   | 500  | no, run the runbook    |
| Misconfigured | the deployer   | 500  | no, mend the setting   |

Every error carries a `code` out of `CODES` (stable, on the wire), a sentence for people and a
`hint` that says how to mend it.
"""

from __future__ import annotations

from typing import Final

CODES: Final[dict[str, tuple[int, str]]] = {
    # Rejected: what was sent
    "malformed": (400, "The request could not be read."),
    "invalid": (422, "A field has a value that is not allowed."),
    "not_found": (404, "There is no such thing here, or it is not yours to see."),
    "method_not_allowed": (405, "This address does not answer that method."),
    "not_acceptable": (406, "None of the media types asked for can be given."),
    "unsupported_media_type": (415, "The body is of a media type this address does not read."),
    "too_many_events": (413, "A batch holds more events than one request may carry."),
    "body_too_large": (413, "The body is larger than one request may be."),
    "event_too_large": (413, "One event's body is larger than an event may be."),
    "body_timeout": (408, "The body did not arrive in time."),
    "rate_limited": (429, "Too many requests in a short time."),
    "unknown_kind": (422, "The event's kind or version is not known."),
    "wrong_door": (422, "This kind of event belongs to another address."),
    "checksum_mismatch": (422, "The body's bytes do not have the checksum that came with them."),
    "import_refused": (422, "What was to be imported has faults; nothing was imported."),
    # Rejected: who asks
    "not_signed_in": (401, "No valid session or token came with the request."),
    "wrong_credentials": (401, "E-mail and password do not belong together."),
    "forbidden": (403, "The role does not allow this."),
    "csrf_refused": (403, "The CSRF token is missing, wrong or of another session."),
    "org_forbidden": (403, "The org named is not one of the sender's."),
    "org_required": (403, "No org is stated or proven for this event."),
    "demo_only": (403, "Demo accounts and passwords work in demo mode only."),
    "not_a_member": (403, "The person is not an active member of the org."),
    # Conflict
    "conflict": (409, "The same id came before with another body."),
    "already_exists": (409, "Something with this name exists already."),
    "backlog_over_limit": (409, "The org has too much work waiting for bulk work now."),
    "exhausted": (409, "This dead letter was redriven as often as is allowed."),
    "settled": (409, "This dead letter is settled already."),
    "store_in_use": (409, "A running portal holds this data directory."),
    # Unavailable
    "store_unavailable": (503, "The store does not answer now."),
    "held_back": (503, "It takes something away; that waits until the store is well."),
    "journal_unavailable": (503, "The journal can't write now."),
    "unknown_outcome": (503, "The write may or may not be on disk: send the same ids again."),
    "queue_full": (503, "More waits for the disk than memory should hold."),
    "disk_nearly_full": (503, "The disk is nearly full; the device keeps the data."),
    "analytics_paused": (429, "The disk is filling; analytics wait, progress goes on."),
    "disk_full": (507, "The disk is full; the device keeps the data."),
    "draining": (503, "The portal is stopping; another one will answer."),
    # Corrupt
    "journal_corrupt": (500, "A journal file is damaged where it was known to be whole."),
    "archive_away": (500, "An archived part of the journal is asked for, and the archive is not there."),
    "store_corrupt": (500, "The store is damaged or of a newer version."),
    "internal": (500, "A fault of the portal's own; it is in the log."),
    # Misconfigured
    "setting_missing": (500, "A setting that is needed has no value."),
    "setting_invalid": (500, "A setting has a value that is not allowed."),
    # What a record can be parked for, beside the codes above
    "poison": (422, "The record could not be applied: its data breaks a rule of the tables."),
    "course_unknown": (422, "The course or lesson is not known in this org."),
}
"""code -> (HTTP status, what it means); the documentation lists each."""


class HoldfastError(Exception):
    """Base of the five families. `str()` is the sentence for people."""

    family: str = "error"
    default_code: str = "internal"

    def __init__(
        self, message: str, *, code: str | None = None, hint: str = "", retry_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        if self.code not in CODES:
            raise ValueError(f"error code {self.code!r} is not in CODES")
        self.message = message
        self.hint = hint
        self.retry_s = retry_s

    @property
    def status(self) -> int:
        """The HTTP status that belongs to the code."""
        return CODES[self.code][0]

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross a process border whole."""
        return (_rebuild, (type(self), self.message, self.code, self.hint, self.retry_s))


def _rebuild(
    kind: type[HoldfastError], message: str, code: str, hint: str, retry_s: float | None
) -> HoldfastError:
    return kind(message, code=code, hint=hint, retry_s=retry_s)


class Rejected(HoldfastError):
    """The sender must mend the request; the same one again will fail again."""

    family = "rejected"
    default_code = "invalid"


class Conflict(HoldfastError):
    """The request is well formed but collides with what is there."""

    family = "conflict"
    default_code = "conflict"


class Unavailable(HoldfastError):
    """Nobody must act: waiting `retry_s` seconds and sending again is right."""

    family = "unavailable"
    default_code = "store_unavailable"

    def __init__(
        self, message: str, *, code: str | None = None, hint: str = "", retry_s: float | None = 5.0
    ) -> None:
        super().__init__(message, code=code, hint=hint, retry_s=retry_s)


class Corrupt(HoldfastError):
    """Something that was durable is damaged; the operator has a runbook for it."""

    family = "corrupt"
    default_code = "journal_corrupt"


class Misconfigured(HoldfastError):
    """The deployer must mend a setting; the portal does not start until then."""

    family = "misconfigured"
    default_code = "setting_invalid"
