"""Failures of model calls: foreign exceptions translated, in one place, into a kind and a sentence for people.

Knows DSPy's exceptions by name only, so that reading a failure costs no import of DSPy. A test proves the table whole.
"""

from dataclasses import dataclass

from teams.model import FailureKind


@dataclass(frozen=True, slots=True)
class Fault:
    """What one failed try was. `retry_after` is the provider's wish in seconds; the sentence quotes no foreign text.

    `unforeseen` says that this may be a bug: it is logged with where it happened.
    """

    kind: FailureKind
    sentence: str
    transient: bool = False
    retry_after: float | None = None
    unforeseen: bool = False


@dataclass(frozen=True, slots=True)
class CallFailure:
    """What a call came to after all its tries, as a value. `seconds` is the time since the first try began."""

    kind: FailureKind
    sentence: str
    attempts: int
    seconds: float


class CallFailed(Exception):
    """A call to a model failed for good; `failure` says how. Chained to the last error.

    `transient` says that the model may be well again later: it speaks against the model, not against the call.
    """

    def __init__(self, name: str, failure: CallFailure, transient: bool = False) -> None:
        super().__init__(f"{name}: {failure.sentence}")
        self.name = name
        self.failure = failure
        self.transient = transient


class CircuitOpen(Exception):
    """A model that failed several calls in a row is left alone for `wait` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"the model failed several calls in a row; it is asked again in {wait:.0f} s")
        self.wait = wait


_UNEXPECTED = "something unexpected went wrong while asking the model; the log says more"
_SERVER = "the model's server failed"
_CONFIGURATION = "the model is not configured; run 'panelist doctor'"

TRANSLATIONS: dict[str, tuple[FailureKind, str, bool]] = {
    "LMRateLimitError": (FailureKind.RATE_LIMITED, "the model's provider is limiting requests", True),
    "LMTimeoutError": (FailureKind.TIMED_OUT, "the model did not answer in time", True),
    "LMServerError": (FailureKind.UNAVAILABLE, _SERVER, True),
    "LMTransportError": (FailureKind.UNAVAILABLE, "the model's server could not be reached", True),
    "LMLockTimeoutError": (FailureKind.UNAVAILABLE, "another process holds the stored login of the model", True),
    "LMAuthError": (
        FailureKind.REFUSED,
        "the model's provider refused the key; check it with 'panelist doctor'",
        False,
    ),
    "LMBillingError": (
        FailureKind.REFUSED,
        "the model's provider refused for quota or billing; look at the account",
        False,
    ),
    "LMNotConfiguredError": (FailureKind.REFUSED, "no key is set for the model; run 'panelist doctor'", False),
    "LMConfigurationError": (FailureKind.REFUSED, _CONFIGURATION, False),
    "LMUnsupportedModelError": (FailureKind.REFUSED, "the provider does not know the model", False),
    "LMUnsupportedFeatureError": (FailureKind.REFUSED, "the model cannot do what this call needs", False),
    "ContextWindowExceededError": (FailureKind.TOO_LONG, "the documents are too long for the model", False),
    "LMInvalidRequestError": (FailureKind.REFUSED, "the model's provider refused the request", False),
    "LMCollectionLimitError": (FailureKind.CUT_OFF, "the answer was larger than this process takes in", False),
    # DSPy never repeats a stream, for its caller may have shown a part of it. Nobody has seen anything of ours.
    "LMStreamAssemblyError": (FailureKind.CUT_OFF, "the answer broke off before its end", True),
    "LMProviderError": (FailureKind.UNAVAILABLE, _SERVER, False),
    "LMUnexpectedError": (FailureKind.UNAVAILABLE, _UNEXPECTED, False),
    "LMError": (FailureKind.UNAVAILABLE, _UNEXPECTED, False),
    "DSPyError": (FailureKind.UNAVAILABLE, _UNEXPECTED, False),
    "AdapterParseError": (FailureKind.UNREADABLE, "the answer was not in the form that was asked for", False),
    # Ours: the engine raises the first three, `call_with_retry` the last.
    "AnswerCutOff": (FailureKind.CUT_OFF, "the answer broke off at the model's length limit", False),
    "AnswerRefused": (FailureKind.REFUSED, "the model declined to answer", False),
    "ServerRedirects": (
        FailureKind.REFUSED,
        "the model's server sends callers elsewhere; set its API base to where it points",
        False,
    ),
    "CircuitOpen": (
        FailureKind.UNAVAILABLE,
        "the model failed several calls in a row and is left alone for now",
        False,
    ),
}

NO_SUCH_MODEL = (
    "the provider does not know the model; check its name, and that an API base is whole (often it ends in /v1)"
)
EMPTY_ANSWER = "the model answered with nothing"


def translate(error: Exception) -> Fault:
    """The fault behind an exception out of a module call. An exception nobody foresaw is unavailable, not transient."""
    name = next((cls.__name__ for cls in type(error).__mro__ if cls.__name__ in TRANSLATIONS), None)
    if name is None:
        return Fault(FailureKind.UNAVAILABLE, f"{_UNEXPECTED} ({type(error).__name__})", unforeseen=True)
    kind, sentence, transient = TRANSLATIONS[name]
    status = getattr(error, "status", None)
    if name == "LMInvalidRequestError" and status == 404:
        # DSPy's native client reports an unknown model as a plain invalid request.
        return Fault(kind, NO_SUCH_MODEL)
    if name == "LMInvalidRequestError" and status == 413:
        return Fault(FailureKind.TOO_LONG, TRANSLATIONS["ContextWindowExceededError"][1])
    if name == "LMInvalidRequestError" and "context" in str(getattr(error, "provider_code", None) or ""):
        # llama.cpp's own name for it, which DSPy does not know: exceed_context_size_error.
        return Fault(FailureKind.TOO_LONG, TRANSLATIONS["ContextWindowExceededError"][1])
    if kind is FailureKind.UNREADABLE and not str(getattr(error, "lm_response", "x") or "").strip():
        sentence = EMPTY_ANSWER
    if isinstance(status, int):
        sentence = f"{sentence} ({status})"
    retry_after = getattr(error, "retry_after", None)
    wish = float(retry_after) if isinstance(retry_after, int | float) else None
    return Fault(kind, sentence, transient, wish, unforeseen=TRANSLATIONS[name][1] is _UNEXPECTED)
