"""The errors of the product, as one tree.

    TriageError
    ├── SettingsError             a setting is missing or makes no sense
    │   └── NotDownloaded         a model of the hub is not on this machine yet
    ├── SetupError                something the machine should provide is not there
    ├── Refused                   a webhook that is not accepted; carries the HTTP status
    │   ├── BadSignature          401
    │   ├── UnknownSource         404
    │   ├── BodyTooLarge          413
    │   └── UnusableBody          422
    ├── Retryable                 trying the same ticket again can help
    │   ├── EngineUnavailable     the engine is down or stopping; the ticket has no part in it
    │   ├── EngineCrashed         the engine died while it worked on this ticket, and others
    │   ├── AnswerLost            the engine lives, but this answer did not arrive
    │   │   └── AnotherApi        what arrived is not what an engine says
    │   ├── DeadlineExceeded      the engine took longer than the ticket may wait
    │   └── DeskUnknown           this worker cannot make the desk that a replay wants
    ├── OutletError               a helpdesk's API did not take what we wrote back
    │   ├── OutletBusy            it asks to wait; says how long
    │   ├── OutletUnavailable     it is away, or does not know us: a later try may help
    │   ├── OutletConflict        the ticket has changed meanwhile: look again
    │   ├── OutletGone            the ticket is not there any more
    │   └── OutletRefused         it does not want this; the same again would not help
    └── Hopeless                  trying again gives the same result
        ├── PromptTooLong         the ticket does not fit the engine's context
        └── RequestRefused        the engine rejects the request itself

Messages give the numbers and say what to do next. A failed check, an unsupported language or an
output that does not parse is an expected result and therefore a value, not an error.
"""


class TriageError(Exception):
    """The root of what is meant for people; commands show its message without a traceback."""


class SettingsError(TriageError):
    """A setting is missing or makes no sense; the message names it."""


class NotDownloaded(SettingsError):
    """A model of the hub that is not on this machine yet."""


class SetupError(TriageError):
    """The machine lacks something; the message says what to install or start."""


class Refused(TriageError):
    """A webhook that is not accepted. `kind` is the reason in a word or two, for counting."""

    status = 400
    kind = "refused"


class BadSignature(Refused):
    """The signature is missing, wrong or too old."""

    status = 401
    kind = "bad signature"


class UnknownSource(Refused):
    """No adapter of that name."""

    status = 404
    kind = "unknown source"


class BodyTooLarge(Refused):
    """The body is larger than the gateway accepts."""

    status = 413
    kind = "body too large"


class UnusableBody(Refused):
    """The body is no ticket; the message names the field."""

    status = 422
    kind = "unusable body"


class Retryable(TriageError):
    """Trying the same ticket again can help."""


class EngineUnavailable(Retryable):
    """The engine is down, starting or stopping; that is not the ticket's doing."""


class EngineCrashed(Retryable):
    """The engine died while it worked on this ticket, which may be why."""


class AnswerLost(Retryable):
    """The engine lives, but its answer did not arrive, or it gave up on this one."""


class AnotherApi(AnswerLost):
    """A server sent something that is no answer of the engine's."""


class DeadlineExceeded(Retryable):
    """The engine took longer than the ticket may wait; its request has been aborted."""


class DeskUnknown(Retryable):
    """This worker cannot make the desk that a replay wants; one of another version may."""


class Hopeless(TriageError):
    """Trying the same ticket again gives the same result."""


class PromptTooLong(Hopeless):
    """The ticket does not fit the engine's context: its prompt has `tokens`, there is `room`."""

    def __init__(self, profile: str, *, tokens: int, room: int) -> None:
        super().__init__(
            f"the prompt takes {tokens:,} tokens, profile {profile} has room for {room:,} beside "
            "the longest answer"
        )
        self.tokens, self.room = tokens, room


class RequestRefused(Hopeless):
    """The engine rejects the request itself."""


class OutletError(TriageError):
    """A helpdesk's API did not take what we wrote back."""


class OutletBusy(OutletError):
    """It asks to wait `wait_s` seconds."""

    def __init__(self, message: str, *, wait_s: float) -> None:
        super().__init__(f"{message}: busy, again in {wait_s:g} s")
        self.wait_s = wait_s


class OutletUnavailable(OutletError):
    """It is away, or does not know us: a later try may help."""


class OutletConflict(OutletError):
    """The ticket has changed since we looked."""


class OutletGone(OutletError):
    """The ticket is not there any more."""


class OutletRefused(OutletError):
    """It does not want this; the same again would not help."""
