"""The server for a class. `make class` starts it on all network interfaces; docs/serving.md says what strangers can do.

It serves the pages of app.py. Statistics of the server are not answered, and a session holds few uploads at once.
"""

import socket
from collections import OrderedDict

import streamlit as st
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

METRICS, UPLOAD = "/_stcore/metrics", "/_stcore/upload_file/"

MOST_UPLOADS = 4  # of one session at once, in the memory of the server

MOST_SESSIONS = 10_000  # whose uploads are counted


class Guard:
    """Refuses what a student does not need: the statistics of the server, and more uploads than a session may hold."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._uploads: OrderedDict[str, set[str]] = OrderedDict()  # files by session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refuse(scope["method"], scope["path"])):
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refuse(self, method: str, path: str) -> PlainTextResponse | None:
        """Returns the answer to a request that is refused, or None."""
        if METRICS in path:
            return PlainTextResponse("Statistics are not public.", 403)
        if UPLOAD in path and method in ("PUT", "DELETE"):
            session, _, file = path.partition(UPLOAD)[2].partition("/")
            files = self._uploads.setdefault(session, set())
            self._uploads.move_to_end(session)
            if len(self._uploads) > MOST_SESSIONS:
                self._uploads.popitem(last=False)
            if method == "DELETE":
                files.discard(file)
            elif len(files - {file}) >= MOST_UPLOADS:
                return PlainTextResponse(f"A session holds at most {MOST_UPLOADS} files at once.", 429)
            else:
                files.add(file)
        return None


def own_address() -> str:
    """Returns the address of this machine in its network, as far as it is known without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # reserved for documents; connecting a datagram socket sends nothing
            return probe.getsockname()[0]
        except OSError:
            return socket.gethostname()


print(f"\n  For students: http://{own_address()}:{st.get_option('server.port')}\n", flush=True)

app = st.App("app.py", middleware=[Middleware(Guard)])
