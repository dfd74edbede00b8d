"""Who may call the simulated carrier: Basic credentials, and Bearer tokens that it issued itself.

Tokens are numbered, not random, and live as long as the account says by the simulator's clock. A restarted
simulator does not know the tokens of the one before it.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from pydantic import BaseModel, SecretStr


class Credentials(BaseModel, frozen=True, extra="forbid"):
    """What an account file demands; when it names nobody, any user and any client are taken."""

    username: str | None = None
    password: SecretStr = SecretStr("")
    client_id: str | None = None
    client_secret: SecretStr = SecretStr("")

    def takes_user(self, name: str, password: str) -> bool:
        """Basic on a call."""
        return self._takes_anybody or _same((name, password), (self.username, self.password))

    def takes_client(self, name: str, secret: str) -> bool:
        """Basic on the token endpoint."""
        return self._takes_anybody or _same((name, secret), (self.client_id, self.client_secret))

    @property
    def _takes_anybody(self) -> bool:
        return self.username is None and self.client_id is None


class Door:
    """Issues tokens and judges the Authorization header of each call."""

    def __init__(self, credentials: Credentials, *, token_seconds: float) -> None:
        self._credentials = credentials
        self._token_seconds = token_seconds
        #: token -> (end of its life in epoch seconds, the client it was issued to)
        self._tokens: dict[str, tuple[float, str]] = {}

    def token(self, header: str | None, now: float) -> dict[str, str | float] | None:
        """The JSON answer of the token endpoint, None for wrong credentials."""
        pair = _basic(header)
        if pair is None or not self._credentials.takes_client(*pair):
            return None
        token = f"simulated-token-{len(self._tokens) + 1}"
        self._tokens[token] = (now + self._token_seconds, pair[0])
        return {"access_token": token, "token_type": "Bearer", "expires_in": self._token_seconds}

    def user(self, header: str | None, now: float) -> str | None:
        """Name of the caller, None where the answer is 401."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() == "bearer":
            expires, client = self._tokens.get(token.strip(), (0.0, ""))
            return client if now < expires else None
        pair = _basic(header)
        return pair[0] if pair is not None and self._credentials.takes_user(*pair) else None


def _basic(header: str | None) -> tuple[str, str] | None:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None


def _same(given: tuple[str, str], wanted: tuple[str | None, SecretStr]) -> bool:
    if wanted[0] is None:
        return False
    name = hmac.compare_digest(given[0].encode(), wanted[0].encode())
    return hmac.compare_digest(given[1].encode(), wanted[1].get_secret_value().encode()) and name
