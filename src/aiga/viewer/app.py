"""The page's server: a few questions about runs, answered from their stores, and the files of the page.

All but two of them only read. `POST .../films` plays an episode on a course that was drawn, `POST
.../candidates` leaves a course for the run to judge; nothing else is ever written. `schema.json`, served as
/api/schema.json, describes every question.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from aiga.registry import Entry, Shown
from aiga.runs.candidates import DEEPEST, propose, shallow
from aiga.runs.store import RunError, Store, runs_of
from aiga.runs.words import NAME, course_in_words
from aiga.viewer import reading
from aiga.viewer.files import IMPORTS, ROOT, TYPES, index_page, static_files
from aiga.viewer.films import Asked, Films, packed
from aiga.viewer.guard import Guard
from aiga.viewer.share import gathered, written
from aiga.viewer.studies import Studies

PACE = 1.0  # seconds between two looks into a store
QUIET = 15.0  # seconds after which a feed says that it is still there
MOST_FILMS, MOST_COURSES, MOST_BODY = 48, 64, 1 << 16
MOST_LINE = 250  # characters of a complaint
MAX_SEED = 2**32 - 1
MAX_NUMBER = 2**31 - 1


@dataclass
class Page:
    """The runs in `folder`, or in the database of `url`. `entries` are the systems that can be drawn, `extra`
    files of the page that they bring, by name."""

    folder: Path
    url: str | None
    entries: dict[str, Entry]
    extra: dict[str, bytes] = field(default_factory=dict)
    films: Films = field(default_factory=Films)
    studies: Studies = field(default_factory=Studies)

    @contextmanager
    def store(self, request: Request) -> Any:
        """The store of the run that is asked about; 404 where there is none that has begun."""
        name = request.path_params["run"]
        if not NAME.fullmatch(name):
            raise HTTPException(404, "run: no such run")
        try:
            # One snapshot for a whole answer: a run that goes on lets agents go that it has just named.
            with Store.open(self.folder / name, url=self.url) as store, store.snapshot():
                if store.run() is None:
                    raise HTTPException(404, "run: has not begun yet")
                yield store
        except RunError as error:
            raise HTTPException(404, str(error)) from None

    def is_running(self, name: str) -> bool:
        return runs_of(self.folder, self.url).database(name).is_running()

    # -- about runs -----------------------------------------------------------------------------------------

    def runs(self, request: Request) -> Any:
        found = []
        for name in runs_of(self.folder, self.url).names():
            if not NAME.fullmatch(name):
                found.append({"name": name, "running": False, "begun": False, "error": "no name for a run"})
                continue
            row: dict[str, Any] = {"name": name, "running": self.is_running(name), "begun": False}
            try:
                with Store.open(self.folder / name, url=self.url) as store:
                    row = reading.overview(store, row["running"])
                    row.pop("config", None)
            except Exception as error:
                # One folder that is not as it should be must not hide the others.
                row["error"] = str(error) if isinstance(error, RunError) else f"{name}: cannot be read"
            found.append(row)
        return {"folder": str(runs_of(self.folder, self.url)), "runs": found}

    def run(self, request: Request) -> Any:
        with self.store(request) as store:
            told = reading.overview(store, self.is_running(store.name))
        entry = self.entries.get(told["system"])
        panels = entry.panels if entry else Entry.panels
        kind = entry.shown.kind if entry and entry.shown else None
        adopts = bool(entry and entry.adopts and entry.adopts(told["config"]))
        return {
            **told,
            "summary": entry.summary if entry else "",
            "panels": panels,
            "kind": kind,
            "adopts": adopts,
        }

    def environments(self, request: Request) -> Any:
        with self.store(request) as store:
            return reading.environments(store)

    def environment(self, request: Request) -> Any:
        with self.store(request) as store:
            number = _whole("id", request.path_params["id"], 0, MAX_NUMBER)
            with _fitting():
                found = reading.environment(store, number, self._words(store))
        if found is None:
            raise HTTPException(404, "id: no such environment")
        return found

    def courses(self, request: Request) -> Any:
        ids = [
            _whole("ids", text, 0, MAX_NUMBER)
            for text in request.query_params.get("ids", "").split(",")[: MOST_COURSES + 1]
        ]
        if len(ids) > MOST_COURSES:
            raise HTTPException(422, f"ids: at most {MOST_COURSES}")
        with self.store(request) as store:
            shown, found = self._shown(store), reading.courses(store, ids)
        with _fitting():
            return {number: reading.rounded(shown.ground(course)) for number, course in found.items()}

    def series(self, request: Request) -> Any:
        with self.store(request) as store:
            return reading.series(store, _query(request, "points", 300, 2, 1000))

    def matrix(self, request: Request) -> Any:
        with self.store(request) as store:
            return reading.matrix(store)

    def digest(self, request: Request) -> Any:
        with self.store(request) as store:
            if "ago" in request.query_params:
                after = reading.iteration_at(store, time.time() - _query(request, "ago", 0, 0, MAX_NUMBER))
            else:
                after = _query(request, "after", 0, 0, MAX_NUMBER)
            with _fitting():
                return reading.digest(store, after, self._words(store))

    def events(self, request: Request) -> Any:
        with self.store(request) as store:
            after = _query(request, "after", 0, 0, MAX_NUMBER)
            limit = _query(request, "limit", 100, 1, reading.MOST_EVENTS)
            seq = _query(request, "seq", 0, 0, MAX_NUMBER) if "seq" in request.query_params else None
            return {"events": reading.events(store, _kinds(request), after, limit, seq)}

    async def feed(self, request: Request) -> Response:
        """Server-sent events: what changed since the cursor, once a second at most. A reconnecting browser
        names the last message it got, so nothing is told twice."""
        said = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        after, kinds = _whole("after", said, 0, MAX_NUMBER), _kinds(request)

        def look(cursor: int) -> dict[str, Any]:
            with self.store(request) as store:
                running, identity = self.is_running(store.name), reading.identity(store)
                told = {"running": running, "identity": identity, "iteration": store.iteration()}
                moved = told["iteration"] > cursor
                return {**told, **(reading.changes(store, cursor, kinds) if moved else {})}

        first = await run_sync(look, after)

        async def messages() -> AsyncIterator[str]:
            cursor, known, quiet, told = after, None, 0.0, first
            while True:
                state = told["running"], told["identity"]
                if told.get("cursor", cursor) > cursor or state != known:
                    cursor, known, quiet = told.get("cursor", cursor), state, 0.0
                    yield f"id: {cursor}\ndata: {json.dumps(told, separators=(',', ':'))}\n\n"
                elif quiet >= QUIET:
                    quiet = 0.0
                    yield "event: here\ndata:\n\n"
                # More is waiting where not all could be told at once.
                if told["iteration"] <= cursor:
                    await anyio.sleep(PACE)
                    quiet += PACE
                try:
                    told = await run_sync(look, cursor)
                except HTTPException:
                    return

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        if request.method == "HEAD":
            return Response(media_type="text/event-stream", headers=headers)
        return StreamingResponse(messages(), media_type="text/event-stream", headers=headers)

    # -- walks ----------------------------------------------------------------------------------------------

    def films_of_pairs(self, request: Request) -> Response:
        pairs = request.query_params.getlist("pair")
        if not 1 <= len(pairs) <= MOST_FILMS:
            raise HTTPException(422, f"pair: 1 to {MOST_FILMS} of them")
        with self.store(request) as store:
            shown, config = self._shown(store), self._config(store)
            asked = [self._asked(store, pair) for pair in pairs]
        return self._play(shown, config, asked)

    def films_on_a_drawing(self, request: Request, body: Any) -> Response:
        agents = body.get("agents")
        if not (isinstance(agents, list) and 1 <= len(agents) <= MOST_FILMS):
            raise HTTPException(422, f"agents: a list of 1 to {MOST_FILMS}")
        seed = _whole("seed", body.get("seed", 0), 0, MAX_SEED)
        with self.store(request) as store:
            shown, config = self._shown(store), self._config(store)
            with _fitting():
                shown.ground(body.get("course"))
            shas = [_agent(store, str(agent)) for agent in agents]
            course = body.get("course")
            asked = [
                ({"agent": sha, "seed": seed}, Asked(course, sha, store.array(sha), seed)) for sha in shas
            ]
        return self._play(shown, config, asked)

    def strangest(self, request: Request) -> Any:
        """Which of the active agents moves least like the others, each in its own environment."""
        with self.store(request) as store:
            shown, config = self._shown(store), self._config(store)
            pairs = reading.active(store, MOST_FILMS)
            asked = [self._asked(store, f"{number}~{number}~0") for number in pairs]
        if shown.behaviour is None:
            return {"measures": [], "median": [], "agents": []}
        with _fitting():
            return self.films.strangest(shown, config, asked)

    def video(self, request: Request) -> Response:
        """One walk as a GIF or an MP4."""
        suffix = request.query_params.get("format", "gif")
        if suffix not in ("gif", "mp4"):
            raise HTTPException(422, f"format: gif or mp4, not '{suffix}'")
        lidar = _query(request, "lidar", 0, 0, 1)
        with self.store(request) as store:
            entry, config = self._entry(store), self._config(store)
            about, asked = self._asked(store, request.query_params.get("pair", ""))
        if entry is None or entry.replay is None:
            raise HTTPException(404, "run: its episodes cannot be drawn")
        with tempfile.TemporaryDirectory() as folder, _fitting():
            out = Path(folder) / f"walk.{suffix}"
            try:
                with self.films.one_at_a_time:
                    entry.replay(config, asked.course, asked.weights, asked.seed, out, bool(lidar))
            except ImportError:
                raise HTTPException(422, "format: mp4 needs pip install 'aiga[video]'") from None
            name = f"{request.path_params['run']}-{about['environment']}-{about['agent'][:8]}.{suffix}"
            return Response(
                out.read_bytes(),
                media_type="image/gif" if suffix == "gif" else "video/mp4",
                headers={"content-disposition": f'attachment; filename="{name}"'},
            )

    # -- programs -------------------------------------------------------------------------------------------

    def program(self, request: Request) -> Any:
        """One program that was found, looked into: ideas, what instructions are worth, its ancestors."""
        text = request.path_params["id"]
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 17 else -1
        with self.store(request) as store:
            entry, config = self._entry(store), self._config(store)
            if entry is None or entry.study is None:
                raise HTTPException(404, "run: its system finds no programs")
            with _fitting():
                found = self.studies.tell(store, entry.study, config, number)
        if found is None:
            raise HTTPException(404, "id: no such program")
        return found

    def _config(self, store: Store) -> dict[str, Any]:
        run = store.run()
        assert run is not None
        return run.config

    def _entry(self, store: Store) -> Entry | None:
        run = store.run()
        return self.entries.get(run.system) if run else None

    def _shown(self, store: Store) -> Shown:
        entry = self._entry(store)
        if entry is None or entry.shown is None:
            raise HTTPException(404, "run: its system has no way to show an episode")
        return entry.shown

    def _words(self, store: Store) -> Callable[[Any], str]:
        entry = self._entry(store)
        return entry.shown.words if entry and entry.shown else course_in_words

    def _asked(self, store: Store, pair: str) -> tuple[dict[str, Any], Asked]:
        """ENVIRONMENT~AGENT~SEED; the agent by its environment's id or the first digits of its SHA-256."""
        parts = pair.split("~")
        if len(parts) != 3:
            raise HTTPException(422, f"pair: ENVIRONMENT~AGENT~SEED, not '{pair[:80]}'")
        number, seed = _whole("pair", parts[0], 0, MAX_NUMBER), _whole("pair", parts[2], 0, MAX_SEED)
        courses = reading.courses(store, [number])
        if number not in courses:
            raise HTTPException(404, f"pair: no environment {number}")
        sha = _agent(store, parts[1])
        about = {"environment": number, "agent": sha, "seed": seed}
        return about, Asked(courses[number], sha, store.array(sha), seed)

    def _play(self, shown: Shown, config: Any, asked: Sequence[tuple[dict[str, Any], Asked]]) -> Response:
        with _fitting():
            films = self.films.play(shown, config, [each for _, each in asked])
        told = [about for about, _ in asked]
        return Response(packed(list(zip(told, films, strict=True))), media_type="application/octet-stream")

    # -- courses from the page, and the run to take away ----------------------------------------------------

    def candidates(self, request: Request) -> Any:
        with self.store(request) as store:
            return {"candidates": reading.candidates(store)}

    def propose(self, request: Request, body: Any) -> Any:
        parent = body.get("parent")
        with self.store(request) as store:
            name, shown = store.name, self._shown(store)
        with _fitting():
            shown.ground(body.get("course"))
        number = None if parent is None else _whole("parent", parent, 0, MAX_NUMBER)
        try:
            return {"id": propose(self.folder / name, body.get("course"), parent=number, url=self.url)}
        except RunError as error:
            raise HTTPException(422, str(error)) from None

    def share(self, request: Request) -> Response:
        told = self.run(request)
        with _fitting():
            with self.store(request) as store:
                entry = self._entry(store)
                shown = entry.shown if entry else None
                study = entry.study if entry else None
                answers, walks = gathered(store, shown, told, self._words(store), study, self.studies)
            # The store is let go of before the walks are played, which may take a while.
            page = written(answers, walks, shown, told, self.films, self.extra)
        name = f"{request.path_params['run']}.html"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return HTMLResponse(page, headers=headers)

    # -- the page itself ------------------------------------------------------------------------------------

    def index(self, request: Request) -> Response:
        return HTMLResponse(index_page(), headers={"cache-control": "no-cache"})

    def file(self, request: Request) -> Response:
        """A file of the page. Only names that are there are looked up, so no path leads anywhere else."""
        path = request.path_params["path"]
        found = self.extra.get(path) or static_files().get(path)
        if found is None:
            raise HTTPException(404, "no such file")
        etag = f'"{hashlib.sha256(found).hexdigest()[:16]}"'
        headers = {"etag": etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        kind = TYPES.get(Path(path).suffix, "application/octet-stream")
        return Response(found, media_type=kind, headers=headers)

    def schema(self, request: Request) -> Any:
        return json.loads((ROOT / "schema.json").read_text())


def application(page: Page, *, hosts: Sequence[str] | None, token: str | None = None) -> ASGIApp:
    """The server as an ASGI application. `hosts` None lets any name in, which only a `token` makes safe."""
    run = "/api/runs/{run}"
    get = {
        "/": page.index,
        "/static/{path:path}": page.file,
        "/api/schema.json": page.schema,
        "/api/runs": page.runs,
        run: page.run,
        f"{run}/environments": page.environments,
        f"{run}/environments/{{id}}": page.environment,
        f"{run}/courses": page.courses,
        f"{run}/series": page.series,
        f"{run}/matrix": page.matrix,
        f"{run}/digest": page.digest,
        f"{run}/events": page.events,
        f"{run}/candidates": page.candidates,
    }
    costly = {
        f"{run}/films": page.films_of_pairs,
        f"{run}/strangest": page.strangest,
        f"{run}/video": page.video,
        f"{run}/share": page.share,
        f"{run}/programs/{{id}}": page.program,
    }
    few = _Few()
    post = {f"{run}/films": page.films_on_a_drawing, f"{run}/candidates": page.propose}
    routes = [Route(path, _answered(ask), methods=["GET"]) for path, ask in get.items()]
    routes += [Route(path, few(ask), methods=["GET"]) for path, ask in costly.items()]
    routes += [Route(path, _told(ask), methods=["POST"]) for path, ask in post.items()]
    routes.append(Route(f"{run}/feed", page.feed, methods=["GET"]))
    digest = hashlib.sha256(IMPORTS.encode()).digest()
    script = f"'sha256-{base64.b64encode(digest).decode()}'"
    answers = Starlette(
        routes=routes,
        middleware=[Middleware(GZipMiddleware, minimum_size=2000, compresslevel=3)],
        exception_handlers={HTTPException: _complaint, RunError: _out_of_reach, Exception: _fault},
    )
    # Around all of it, so that the answer to a fault is guarded too.
    return Guard(answers, hosts=hosts, token=token, script=script)


class _Few:
    """Lets few of the questions that cost seconds be worked on or wait, so that the others are answered at
    once; those whose visitor has gone meanwhile are not worked on."""

    def __init__(self, at_once: int = 2, waiting: int = 24) -> None:
        self.at_once, self.waiting, self.present = at_once, waiting, 0
        self.limiter: anyio.CapacityLimiter | None = None

    def __call__(self, ask: Callable[..., Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            self.limiter = self.limiter or anyio.CapacityLimiter(self.at_once)
            if self.present >= self.waiting:
                raise HTTPException(503, "busy: too many walks are asked for at once")
            self.present += 1
            try:
                async with self.limiter:
                    if await request.is_disconnected():
                        return Response(status_code=204)
                    return await run_sync(_answered(ask), request)
            finally:
                self.present -= 1

        return answer


def _answered(ask: Callable[..., Any]) -> Callable[..., Response]:
    """A question whose answer is a response, or data to send as JSON."""

    def answer(request: Request, **more: Any) -> Response:
        found = ask(request, **more)
        return (
            found
            if isinstance(found, Response)
            else JSONResponse(found, headers={"cache-control": "no-store"})
        )

    return answer


def _told(ask: Callable[..., Any]) -> Callable[[Request], Any]:
    """A question that comes with a JSON object."""

    async def answer(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0]
        if kind.strip().lower() != "application/json":
            raise HTTPException(415, "Content-Type: application/json")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY:
                raise HTTPException(413, f"body: at most {MOST_BODY} bytes")
        try:
            data = json.loads(body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise HTTPException(422, "body: a JSON object") from None
        if not isinstance(data, dict):
            raise HTTPException(422, "body: a JSON object")
        if not shallow(data, DEEPEST + 1):
            raise HTTPException(422, f"body: at most {DEEPEST + 1} tables and lists within each other")
        return await run_sync(partial(_answered(ask), request, body=data))

    return answer


def _no_constant(text: str) -> Any:
    raise ValueError(text)


@contextmanager
def _fitting() -> Iterator[None]:
    """A system says what does not fit it, a course or weights, by ValueError."""
    try:
        yield
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


def _complaint(request: Request, error: Exception) -> Response:
    """One line, whatever was said to be wrong."""
    assert isinstance(error, HTTPException)
    line = " ".join(error.detail.split()).encode("utf-8", "replace").decode()[:MOST_LINE]
    return JSONResponse({"error": line}, error.status_code, headers=error.headers)


def _out_of_reach(request: Request, error: Exception) -> Response:
    return _complaint(request, HTTPException(503, str(error)))


def _fault(request: Request, error: Exception) -> Response:
    return _complaint(request, HTTPException(500, "a fault of the server; its terminal says more"))


def _whole(name: str, said: Any, low: int, high: int) -> int:
    text = str(said)
    fits = not isinstance(said, bool) and len(text) < 12 and text.isascii() and text.isdecimal()
    if not fits or not low <= int(text) <= high:
        raise HTTPException(422, f"{name}: a whole number from {low} to {high}, not '{text[:40]}'")
    return int(text)


def _query(request: Request, name: str, default: int, low: int, high: int) -> int:
    return _whole(name, request.query_params.get(name, default), low, high)


def _kinds(request: Request) -> list[str]:
    said = request.query_params.get("kinds", "")
    if not said.isprintable():
        raise HTTPException(422, "kinds: names of events")
    return [kind for kind in said.split(",") if kind][:20]


def _agent(store: Store, text: str) -> str:
    try:
        return store.find_agent(text)
    except RunError as error:
        raise HTTPException(422, str(error)) from None
