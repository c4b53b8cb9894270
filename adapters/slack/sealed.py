"""Values that travel through Slack and come back: sealed, so that nobody else can have written or changed them.

They are signed, not encrypted: whoever opens the form may read them.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping

LONGEST = 3000
"""Characters of a view's `private_metadata` (Slack, "Views")."""
GOOD_FOR_SECONDS = 86_400.0
"""How long a seal holds: nobody leaves a form open for longer than a day."""
_SKEW_SECONDS = 300.0
_PURPOSE = b"panelist slack private_metadata 1"


class Seal:
    """Seals and opens values with a key that is derived from `secret` for this purpose alone."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._key = hmac.new(secret.encode(), _PURPOSE, hashlib.sha256).digest()
        self._clock = clock

    def seal(self, payload: Mapping[str, str]) -> str:
        """A text for `private_metadata`. Raises ValueError where it would be over `LONGEST`; about 2,100 ASCII
        characters fit."""
        content = json.dumps([int(self._clock()), dict(payload)], separators=(",", ":"))
        body = base64.urlsafe_b64encode(content.encode()).decode()
        text = f"{body}.{self._mac(body)}"
        if len(text) > LONGEST:
            raise ValueError(f"{len(text)} characters are over the {LONGEST} of a view's private_metadata")
        return text

    def unseal(self, text: str) -> dict[str, str] | None:
        """What was sealed; None if this text was not sealed with this secret, was changed, or is too old."""
        body, _, mac = text.rpartition(".")
        # As bytes: compare_digest raises for text beyond ASCII.
        if not hmac.compare_digest(mac.encode(errors="replace"), self._mac(body).encode()):
            return None
        try:
            at, payload = json.loads(base64.urlsafe_b64decode(body))
        except ValueError:
            return None
        if not -_SKEW_SECONDS <= self._clock() - at <= GOOD_FOR_SECONDS:
            return None
        return {str(name): str(value) for name, value in payload.items()}

    def _mac(self, body: str) -> str:
        return hmac.new(self._key, body.encode(errors="replace"), hashlib.sha256).hexdigest()
