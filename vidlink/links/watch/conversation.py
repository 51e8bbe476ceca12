"""The server's side of one Proctor's conversation: the list, subscriptions, control.

Nothing is pushed into a socket: the connection pulls while it has room, so that a slow viewer
holds places in buffers and never copies. The socket is :mod:`vidlink.server.sockets.watch`.

It is one idea: the states of the conversation, and what each request does in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from automat import NoTransition, TypeMachineBuilder
from zope.interface import implementer

from vidlink.errors import (
    BadMessage,
    Forbidden,
    GoingAway,
    NoRegistration,
    NotFound,
    PeerError,
    RequestError,
    TooFast,
)
from vidlink.interfaces import ICodec, IFollower, IProctorPeer
from vidlink.links.rate import Rate
from vidlink.links.watch.news import News
from vidlink.links.watch.subscription import Subscription
from vidlink.links.watch.turns import Turns
from vidlink.messages import (
    Clock,
    ErrorMessage,
    Focus,
    FramerateChange,
    InitRequest,
    KeyframeRequest,
    Message,
    ProctorRegister,
    ProctorRegistered,
    Subscribe,
    Unsubscribe,
)
from vidlink.model import USUAL, Bounds, Deed, Frame, Principal, Right
from vidlink.relay.hub import Hub
from vidlink.relay.stream import Stream
from vidlink.wire.framing import message_frame

#: The rights that can be had in this conversation, in the words of `registered`.
_TOLD = (Right.WATCH, Right.CONTROL)

_Request = Subscribe | Unsubscribe | InitRequest | Focus | KeyframeRequest | FramerateChange | Clock


class _Inputs(Protocol):
    """The events of the conversation."""

    def register(self, message: ProctorRegister) -> None: ...
    def request(self, message: _Request) -> None: ...
    def deadline(self) -> None: ...
    def over(self) -> None: ...


@implementer(IFollower)
class Watch:
    """One Proctor's conversation, from the server's side.

    :param proctor_id: how it is called in logs and in `registered`.
    :param principal: whoever it is; what it may do and see.
    :param did: called with every deed that is to be written down, and what it was about.
    :param seconds: the monotonic clock.
    :param wall_clock_us: microseconds since the epoch.
    :param bounds: of what it may say and ask for.
    """

    def __init__(
        self,
        peer: IProctorPeer,
        hub: Hub,
        codec: ICodec,
        *,
        proctor_id: str,
        seconds: Callable[[], float],
        wall_clock_us: Callable[[], int],
        principal: Principal,
        did: Callable[..., None] = lambda deed, **about: None,
        bounds: Bounds = USUAL,
    ) -> None:
        self.peer = peer
        self.hub = hub
        self.proctor_id = proctor_id
        self.principal = principal
        self.bounds = bounds
        self._did = did
        self.wall_clock_us = wall_clock_us
        self.subscriptions: dict[str, Subscription] = {}
        #: When each of them was begun.
        self._since_us: dict[str, int] = {}
        #: Those that had never been seen when they were subscribed to; some may be gone since.
        self._awaited: set[str] = set()
        self._news: News | None = None
        self._codec = codec
        self._seconds = seconds
        self._replies: deque[Frame] = deque()
        self._turns = Turns()
        self._rate = Rate(seconds, bounds)
        self._inputs: _Inputs = _build(self)

    def received(self, message: Message) -> None:
        """Do what one message asks; a mistake closes the peer, a failed request is answered."""
        try:
            self._rate.count()
            if isinstance(message, ProctorRegister):
                self._inputs.register(message)
            elif isinstance(message, _Request):
                self._inputs.request(message)
            else:
                raise BadMessage(f"a proctor does not send {type(message).__name__}")
        except NoTransition:
            self.fail(BadMessage(f"{type(message).__name__} is not allowed at this point"))
        except PeerError as error:
            self.fail(error)

    def pull(self) -> Frame | None:
        """The next frame for the socket: answers, list, alarms, then the streams in turn."""
        if self._replies:
            return self._replies.popleft()
        frame = None if self._news is None else self._news.pull()
        return self._turns.pull() if frame is None else frame

    def stirred(self) -> None:
        """The list of Sentinels has news."""
        self.peer.wake()

    def deadline(self) -> None:
        """It should have registered by now."""
        self._inputs.deadline()

    def fail(self, error: PeerError) -> None:
        """End the conversation; the peer is told why."""
        self.peer.close(error)
        self._inputs.over()

    def lost(self) -> None:
        """The connection is gone."""
        self._inputs.over()
        # The machine knows this conversation, as this does it: neither would go by itself.
        self._inputs = _OVER

    def going_away(self) -> None:
        """The server is shutting down."""
        self.fail(GoingAway("the server is shutting down"))

    def reply(self, message: Message) -> None:
        """Queue an answer.

        :raises TooFast: if too many wait already: the peer asks on without reading.
        """
        most = self.bounds.unread_answers
        if len(self._replies) >= most:
            raise TooFast(f"{most} answers wait to be read")
        self._replies.append(message_frame(self._codec, message))
        self.peer.wake()

    def subscribe(self, message: Subscribe) -> None:
        """Follow a Sentinel, or follow it otherwise than before."""
        sentinel_id = message.sentinel_id
        self._check_right(Right.WATCH, self.hub.stream(sentinel_id))
        subscription = self.subscriptions.get(sentinel_id)
        if subscription is not None:
            subscription.restart(message)
            return
        subscription = self.subscriptions[sentinel_id] = Subscription(
            self._expected(sentinel_id),
            message,
            self._codec,
            seconds=self._seconds,
            on_news=partial(self._has_news, sentinel_id),
            on_dropped=partial(self._dropped, sentinel_id),
            tally=self.hub.tally,
            sees=self.principal.sees,
        )
        self._since_us[sentinel_id] = self.wall_clock_us()
        self._did(Deed.WATCHED, sentinel=sentinel_id, since=self._since_us[sentinel_id])
        self._turns.add(sentinel_id, subscription)
        self.peer.wake()

    def unsubscribe(self, message: Unsubscribe) -> None:
        """No more of this Sentinel; does nothing if it was not followed."""
        subscription = self.subscriptions.pop(message.sentinel_id, None)
        if subscription is not None:
            self._turns.remove(message.sentinel_id)
            self._leave(subscription)

    def send_init(self, message: InitRequest) -> None:
        """Send the initialization segment of what is being shown once more.

        :raises NotFound: if there is none.
        """
        subscription = self.subscriptions.get(message.sentinel_id)
        if subscription is None:
            raise NotFound(f"sentinel {message.sentinel_id} is not subscribed to")
        if not subscription.send_init():
            raise NotFound(f"sentinel {message.sentinel_id} has no session now")

    def set_focus(self, message: Focus) -> None:
        """Serve this one first."""
        self._turns.focus(message.sentinel_id)

    def request_keyframe(self, message: KeyframeRequest) -> None:
        """Pass the request on to the Sentinel."""
        self._controlled(message.sentinel_id).request_keyframe()

    def change_framerate(self, message: FramerateChange) -> None:
        """Pass the wish on to the Sentinel; the list shows it to everybody."""
        taken_mhz = self._controlled(message.sentinel_id).change_framerate(message.framerate_mhz)
        self._did(Deed.CONTROLLED, sentinel=message.sentinel_id, framerate_mhz=taken_mhz)

    def tell_time(self, message: Clock) -> None:
        """Answer with the server's clock."""
        now = self.wall_clock_us()
        self.reply(Clock(message.t0, now, now))

    def hear_news(self) -> None:
        """Tell it of all Sentinels from now on."""
        self._news = News(self.hub, self._codec, self.principal)
        self.hub.read_list(self)

    def leave_everything(self) -> None:
        """Follow nothing any more."""
        self._news = None
        self.hub.leave_list(self)
        for subscription in self.subscriptions.values():
            self._leave(subscription)
        self.subscriptions.clear()
        self._turns.clear()
        self._replies.clear()

    def _has_news(self, sentinel_id: str) -> None:
        """There may be something to pull of this subscription."""
        self._turns.ready(sentinel_id)
        self.peer.wake()

    def _dropped(self, sentinel_id: str) -> None:
        """The server has no room to wait for this one any more."""
        del self.subscriptions[sentinel_id]
        self._turns.remove(sentinel_id)
        gone = f"sentinel {sentinel_id} is not known any more, and too many others are waited for"
        try:
            self.reply(ErrorMessage(NotFound.code, gone, sentinel_id))
        except PeerError as error:
            self.fail(error)

    def _leave(self, subscription: Subscription) -> None:
        subscription.leave()
        self.hub.dismiss(subscription.stream)
        sentinel_id = subscription.stream.sentinel_id
        since_us, until_us = self._since_us.pop(sentinel_id), self.wall_clock_us()
        self._did(Deed.WATCHED, sentinel=sentinel_id, since=since_us, until=until_us)

    def _expected(self, sentinel_id: str) -> Stream:
        """The stream of a Sentinel, also of one that was never seen.

        :raises NotFound: if too many such are waited for.
        """
        stream = self.hub.stream(sentinel_id)
        if stream is not None:
            return stream
        most = self.bounds.awaited_sentinels_per_proctor
        if len(self._awaited) >= most:
            followed = self.subscriptions
            self._awaited = {
                name
                for name in self._awaited
                if name in followed and not followed[name].stream.is_known
            }
        if len(self._awaited) >= most:
            raise NotFound(
                f"no sentinel {sentinel_id} is known, and you wait for {most} that were never seen"
                " already"
            )
        stream = self.hub.expect(sentinel_id)
        self._awaited.add(sentinel_id)
        return stream

    def _controlled(self, sentinel_id: str) -> Stream:
        stream = self.hub.stream(sentinel_id)
        self._check_right(Right.CONTROL, stream)
        if stream is None:
            raise NotFound(f"no sentinel {sentinel_id} is known")
        return stream

    def _check_right(self, right: Right, stream: Stream | None) -> None:
        """Check that this Proctor has `right`; `stream` is whose, None: that of nobody known yet.

        :raises Forbidden: if it has not.
        """
        if not self.principal.may(right, None if stream is None else stream.group):
            raise Forbidden(f"the credential does not give the right to {right.value} this")


def _register(inputs: _Inputs, watch: Watch, message: ProctorRegister) -> None:
    may = tuple(right.value for right in _TOLD if right in watch.principal.rights)
    watch.reply(ProctorRegistered(watch.proctor_id, watch.wall_clock_us(), may))
    watch.hear_news()


def _request(inputs: _Inputs, watch: Watch, message: _Request) -> None:
    try:
        _ANSWERS[type(message)](watch, message)
    except RequestError as error:
        about = None if isinstance(message, Clock) else message.sentinel_id
        watch.reply(ErrorMessage(error.code, str(error), about))


def _deadline(inputs: _Inputs, watch: Watch) -> None:
    seconds = watch.bounds.registration_seconds
    watch.fail(NoRegistration(f"no proctor.register within {seconds:g} s"))


def _over(inputs: _Inputs, watch: Watch) -> None:
    watch.leave_everything()


def _table() -> Callable[[Watch], _Inputs]:
    builder = TypeMachineBuilder(_Inputs, Watch)
    connected = builder.state("connected")
    registered = builder.state("registered")
    over = builder.state("over")
    connected.upon(_Inputs.register).to(registered)(_register)
    connected.upon(_Inputs.deadline).loop()(_deadline)
    registered.upon(_Inputs.request).loop()(_request)
    registered.upon(_Inputs.deadline).loop().returns(None)
    connected.upon(_Inputs.over).to(over).returns(None)
    registered.upon(_Inputs.over).to(over)(_over)
    over.upon(_Inputs.register).loop().returns(None)
    over.upon(_Inputs.request).loop().returns(None)
    over.upon(_Inputs.deadline).loop().returns(None)
    over.upon(_Inputs.over).loop().returns(None)
    return builder.build()


_build = _table()

#: The inputs of a conversation that is over, whoever's it was.
_OVER = _build(None)  # type: ignore[arg-type]
_OVER.over()

_ANSWERS: dict[type, Callable[[Watch, Any], None]] = {
    Subscribe: Watch.subscribe,
    Unsubscribe: Watch.unsubscribe,
    InitRequest: Watch.send_init,
    Focus: Watch.set_focus,
    KeyframeRequest: Watch.request_keyframe,
    FramerateChange: Watch.change_framerate,
    Clock: Watch.tell_time,
}
