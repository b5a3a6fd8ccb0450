"""The features that a server offers, derived once from its settings for all its sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from . import replies
from .extensions import EXTENSIONS
from .replies import Reply


class Settings(Protocol):
    """The options that the engine reads; `Options` has all of them."""

    @property
    def greeting_hostname(self) -> str: ...
    @property
    def banner(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def extensions(self) -> Sequence[str]: ...
    @property
    def without_extensions(self) -> Sequence[str]: ...
    @property
    def max_size(self) -> int | None: ...
    @property
    def max_recipients(self) -> int | None: ...
    @property
    def tls(self) -> str | None: ...
    @property
    def require_tls(self) -> bool: ...
    @property
    def users(self) -> Mapping[str, str] | Literal["any"] | None: ...
    @property
    def auth_mechanisms(self) -> Sequence[str]: ...
    @property
    def require_auth(self) -> bool: ...
    @property
    def auth_requires_tls(self) -> bool: ...


class Profile:
    """Settings, and the extensions, EHLO reply and greeting that follow from them."""

    def __init__(self, settings: Settings, *, date: Callable[[], str]) -> None:
        """`date` returns the date for the greeting, in the form of RFC 5322 section 3.3."""
        self._date = date
        self.hostname = settings.greeting_hostname
        self.lmtp = settings.protocol == "lmtp"
        self.max_size = settings.max_size
        self.max_recipients = settings.max_recipients
        self.require_tls = settings.require_tls
        self.require_auth = settings.require_auth
        self.auth_requires_tls = settings.auth_requires_tls
        self.users = settings.users
        self.mechanisms: tuple[str, ...] = ()
        if settings.users is not None:
            from .auth import mechanisms  # loads hashlib and hmac

            self.mechanisms = mechanisms.offered(settings.auth_mechanisms, settings.users)
        self.extensions = self._extensions(settings)
        # EHLO works even if each extension is missing only because it needs another one
        self.esmtp = bool(set(settings.extensions).difference(settings.without_extensions))
        self.pipelining = "PIPELINING" in self.extensions
        self.enhanced_codes = "ENHANCEDSTATUSCODES" in self.extensions
        self.banner = self._banner(settings.banner)
        self._greeted_at = ""
        self._greeting = replies.GREETING
        self._hello: dict[tuple[bool, bool], Reply] = {}

    def _extensions(self, settings: Settings) -> frozenset[str]:
        absent = set(settings.without_extensions)
        if settings.tls != "starttls":
            absent.add("STARTTLS")
        if not self.mechanisms:
            absent.add("AUTH")
        if "CHUNKING" in absent or "CHUNKING" not in settings.extensions:
            absent.add("BINARYMIME")  # RFC 3030 section 3: never without CHUNKING
        if "8BITMIME" in absent or "8BITMIME" not in settings.extensions:
            absent.add("SMTPUTF8")  # RFC 6531 section 3.1: never without 8BITMIME
        return frozenset(settings.extensions) - absent

    def _banner(self, banner: str) -> str:
        # RFC 5321 section 4.1.1.1: old clients try EHLO only if the greeting says ESMTP
        word = "LMTP" if self.lmtp else "ESMTP" if self.esmtp else "SMTP"
        return banner if word in banner.split() else f"{word} {banner}"

    def greeting(self) -> Reply:
        date = self._date()
        if date != self._greeted_at:  # the date changes once a second, and so does the greeting
            row = replies.GREETING
            text = row.text.format(hostname=self.hostname, banner=self.banner, date=date)
            self._greeted_at, self._greeting = date, row.with_text(text)
        return self._greeting

    def offers(self, keyword: str, *, tls: bool, authenticated: bool) -> bool:
        """Whether EHLO names this extension in a session of this state."""
        if keyword not in self.extensions:
            return False
        if keyword == "STARTTLS":
            return not tls  # RFC 3207 section 4.2
        if keyword == "AUTH":
            return not authenticated and (tls or not self.auth_requires_tls)
        return True

    def hello(self, *, tls: bool, authenticated: bool) -> Reply:
        """The reply to EHLO: the host name, then a line for each extension."""
        state = (tls, authenticated)
        if state not in self._hello:
            parameters = {"SIZE": str(self.max_size or 0), "AUTH": " ".join(self.mechanisms)}
            lines = [
                f"{keyword} {parameters[keyword]}" if keyword in parameters else keyword
                for keyword in EXTENSIONS
                if self.offers(keyword, tls=tls, authenticated=authenticated)
            ]
            self._hello[state] = Reply(250, "\n".join([self.hostname, *lines]))
        return self._hello[state]
