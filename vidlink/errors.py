"""The error family, with the close code and the HTTP status of each, in one place.

A `PeerError` is the other side's mistake and ends its connection after it was told in band;
a `RequestError` fails one request and leaves the connection open; a `UserMistake` is for the
person at the command line; everything else is ours.
"""

from __future__ import annotations

from typing import ClassVar


class VidlinkError(Exception):
    """Anything that VidLink itself raises; `str()` of it is a sentence for a person."""

    #: A word for programs, the same on the wire and over HTTP.
    code: str = "internal"
    #: The status of an HTTP answer that reports it (RFC 9110 section 15).
    http_status: int = 500


class UserMistake(VidlinkError):
    """A value on the command line, or the machine around it, cannot be used as it is.

    The text is one line that says what to do.
    """

    code = "usage"


class PeerError(VidlinkError):
    """The peer broke the protocol, or we have to end its connection."""

    #: The WebSocket close code (RFC 6455 section 7.4; 4000-4999 are the application's).
    close_code: ClassVar[int] = 4400
    http_status = 400


class BadMessage(PeerError):
    """A message is malformed, or not allowed at this point of the conversation."""

    code = "bad-message"


class NotAuthenticated(PeerError):
    """No valid credential was shown."""

    code = "not-authenticated"
    close_code = 4401
    http_status = 401


class NotAllowed(PeerError):
    """The credential does not give this right."""

    code = "not-allowed"
    close_code = 4403
    http_status = 403


class NoRegistration(PeerError):
    """The peer connected and did not register in time."""

    code = "no-registration"
    close_code = 4408


class Replaced(PeerError):
    """A newer connection of the same Sentinel has taken the place of this one."""

    code = "replaced"
    close_code = 4409


class IdInUse(PeerError):
    """Another live Sentinel has this sentinelId."""

    code = "id-in-use"
    close_code = 4410


class NotMedia(PeerError):
    """The bytes are not the media that they are said to be."""

    code = "not-media"
    close_code = 4422


class TooFast(PeerError):
    """The peer sends more than it may."""

    code = "too-fast"
    close_code = 4429
    http_status = 429


class TooSlow(PeerError):
    """The peer has accepted nothing for too long."""

    code = "too-slow"
    close_code = 4431


class NoResources(PeerError):
    """The server has no room for this connection."""

    code = "no-resources"
    close_code = 4503
    http_status = 503


class GoingAway(PeerError):
    """This side is shutting down (RFC 6455 section 7.4.1)."""

    code = "going-away"
    close_code = 1001
    http_status = 503


class Unsendable(VidlinkError):
    """A message of ours holds a value that the wire has no place for."""

    code = "unsendable"


class RequestError(VidlinkError):
    """One request failed; the connection it came on stays open."""

    code = "bad-request"
    http_status = 400


class NotFound(RequestError):
    """Nothing of the kind that was asked for exists."""

    code = "not-found"
    http_status = 404


class SessionSealed(RequestError):
    """Nothing can be added to the session any more: its sentinel said so, or a day has passed."""

    code = "session-sealed"
    http_status = 409


class SessionGone(RequestError):
    """Nothing can be added to the session by this sentinel: it is another one's, or was deleted."""

    code = "session-gone"
    http_status = 409


class WrongPassword(RequestError):
    """The name or the password is wrong; which of them is not said."""

    code = "wrong-password"
    http_status = 401


class TooManyTries(RequestError):
    """Too many passwords or tokens were tried from one place, or passwords for one name."""

    code = "too-many-tries"
    http_status = 429


class LoginRefused(RequestError):
    """Somebody who comes from an identity provider is not let in; the text says why."""

    code = "login-refused"
    http_status = 403


class ProviderFailed(RequestError):
    """The identity provider cannot be reached, or does not answer as it should."""

    code = "provider-failed"
    http_status = 502


class TooManyTickets(RequestError):
    """So many tickets are out that there are no more for now."""

    code = "too-many-tickets"
    http_status = 429


class EnrolmentClosed(RequestError):
    """No more machines are enrolled with this token."""

    code = "enrolment-closed"
    http_status = 409


class Forbidden(RequestError):
    """The credential does not give the right to what was asked for."""

    code = "forbidden"
    http_status = 403


class SentinelOffline(RequestError):
    """The Sentinel is not connected, so it cannot be told anything."""

    code = "sentinel-offline"
    http_status = 409


class SessionLive(RequestError):
    """The session is being written to, so it cannot be deleted now."""

    code = "session-live"
    http_status = 409


class SessionHeld(RequestError):
    """The session is held, so nobody can delete it."""

    code = "session-held"
    http_status = 409


class Damaged(RequestError):
    """The recording that was asked for is there, but its bytes are not what was written."""

    code = "damaged"
    http_status = 500


class Answered(VidlinkError):
    """A server answered a request with an error that has no kind of its own here.

    `http_status` and `code` are those of the answer.
    """

    def __init__(self, http_status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code


class Unreachable(VidlinkError):
    """The server cannot be reached, or the connection to it broke, or it fell silent.

    The same may go well a little later.
    """

    code = "unreachable"
    http_status = 504


class BadAnswer(VidlinkError):
    """The answer is not that of a VidLink server, or not of one of this version."""

    code = "bad-answer"
    http_status = 502


class StoreError(VidlinkError):
    """The data folder or its index cannot be used."""

    code = "store"
    http_status = 503


class RecordingTrouble(VidlinkError):
    """Segments do not reach the disk, or soon may not; what is live goes on."""

    code = "recording"


class CaptureError(VidlinkError):
    """Pictures can no longer be taken, or no longer be encoded."""

    code = "capture"


#: Every reason to end a connection.
CLOSINGS: tuple[type[PeerError], ...] = (
    BadMessage,
    NotAuthenticated,
    NotAllowed,
    NoRegistration,
    Replaced,
    IdInUse,
    NotMedia,
    TooFast,
    TooSlow,
    NoResources,
    GoingAway,
)
