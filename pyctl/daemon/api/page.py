"""The page for people: files that a browser gets, and what it is told not to do with them.

The files hold no data and need no token; all that the page shows it asks the interface for. It is
told to run nothing but these files, to talk to nobody else, and to be shown in no other page.
"""

from importlib import resources

from fastapi import FastAPI, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Headers", "add"]

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_PAGE = (
    f"{_NOTHING}; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Headers:
    """Every answer says how it may be used; what is private is kept nowhere."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a call."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", _NOTHING)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, sending if scope["type"] == "http" else send)


def add(app: FastAPI) -> None:
    """Serve the page at `/`, and what belongs to it below `/web/`."""
    folder = resources.files("pyctl.daemon.web")
    files = {
        one.name: one.read_bytes()
        for one in folder.iterdir()
        if one.name.rpartition(".")[2] in _TYPES
    }

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return _answer("index.html", files["index.html"])

    @app.get("/web/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return _answer(name, files[name])


# A browser asks whether there is a newer one: after an update the parts fit together.
def _answer(name: str, body: bytes) -> Response:
    return Response(
        body,
        media_type=_TYPES[name.rpartition(".")[2]],
        headers={"Content-Security-Policy": _PAGE, "Cache-Control": "no-cache"},
    )
