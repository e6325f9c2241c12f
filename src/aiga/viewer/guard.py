"""Who may ask: requests for this server by name, from its own page, with the token where one is needed.

A page elsewhere on the web can make a browser send requests to the loopback address. The name in `Host` tells
a name that was made to point here (DNS rebinding), `Origin` and `Sec-Fetch-Site` a request that another page
sent; a token keeps everybody else out where the server listens to more than this machine.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Guard:
    """ASGI middleware; `hosts` are the names in `Host` that are let in (None: any, a token is asked for
    instead), `script` the CSP source of the one inline script."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None, token: str | None, script: str) -> None:
        self.app, self.hosts, self.token = app, hosts, token
        self.headers = {
            "content-security-policy": f"default-src 'none'; script-src 'self' {script}; style-src 'self'; "
            "img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        answer = self._refusal(scope) or self.app
        await answer(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.hosts is not None and host not in self.hosts and _name(host) not in self.hosts:
            return PlainTextResponse(f"Host: one of {', '.join(self.hosts)}\n", 421)
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return PlainTextResponse("Origin: this server's own\n", 403)
        # A link elsewhere may lead to the page, and to nothing else of it.
        visit = scope["path"] == "/" and headers.get("sec-fetch-dest") == "document"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not visit:
            return PlainTextResponse("Sec-Fetch-Site: same-origin\n", 403)
        return self._without_token(scope, headers) if self.token is not None else None

    def _without_token(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if self._is_token(query.get("token", [""])[0]):
            answer = RedirectResponse("/", 303)
            # Strict would not be sent along when the link was clicked in a mail or a chat.
            answer.set_cookie(_cookie(scope), self.token or "", httponly=True, samesite="lax")
            return answer
        cookies = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            cookies.clear()
        bearer = headers.get("authorization", "").partition("Bearer ")[2]
        cookie = cookies.get(_cookie(scope))
        if self._is_token(cookie.value if cookie else "") or self._is_token(bearer):
            return None
        return PlainTextResponse("token: open the address that aiga view printed\n", 401)

    def _is_token(self, said: str) -> bool:
        return secrets.compare_digest(said.encode(), (self.token or "").encode())


def _cookie(scope: Scope) -> str:
    """Cookies do not tell ports apart, and several pages may be served on one machine."""
    return f"aiga-token-{(scope.get('server') or ('', 0))[1]}"


def _name(host: str) -> str | None:
    """The name in NAME:PORT."""
    name, _, port = host.rpartition(":")
    return name if port.isascii() and port.isdecimal() else None
