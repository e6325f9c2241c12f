"""The page's server through its public door: what it says, whom it lets in, and that it writes nothing."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

import postgres
import walkers
from aiga.registry import SYSTEMS
from aiga.runs import store as stored
from aiga.viewer import app
from aiga.viewer.app import application
from aiga.viewer.serving import LOOPBACK, bound, serve
from aiga.worlds.walker.course import Genes
from aiga.worlds.walker.space import grow
from stores import Place
from test_candidates import heights

RUN = f"/api/runs/{walkers.NAME}"
TOKEN = "aeiou-AEIOU_0123456789ab"
FIELDS = ("id", "parent", "born", "ended", "solved", "score")
MOVES = ("iteration", "source", "target", "gain", "kind")
DRAWN = heights(grow(Genes(roughness=1.0, seed=4)))


def client(place: Place, token: str | None = None, **more: Any) -> TestClient:
    served = application(walkers.page(place, **more), hosts=None if token else LOOPBACK, token=token)
    return TestClient(served, base_url="http://127.0.0.1:8421", raise_server_exceptions=False)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, walked: Place) -> Place:
    """The run in either store."""
    if request.param == "sqlite":
        return walked
    server = request.getfixturevalue("server")
    place = Place(walked.folder, server, server.create())
    walkers.work(place, walkers.ITERATIONS)
    return place


@pytest.fixture(scope="module")
def page(place: Place) -> TestClient:
    return client(place)


@pytest.fixture(scope="module")
def alone(walked: Place) -> TestClient:
    """The page on the run in SQLite, where the store makes no difference."""
    return client(walked)


def tables(place: Place, *names: str) -> Any:
    """Every row of some tables, or of all by name."""
    with place.open(walkers.NAME) as store:
        found = {name: store.rows(name) for name in names or stored.metadata.tables}
    return found if not names else found[names[0]] if len(names) == 1 else found.values()


def told(page: TestClient, path: str = "", **query: Any) -> Any:
    answer = page.get(f"{RUN}{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def picked(found: list[dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in names} for row in found]


# -- what it says -------------------------------------------------------------------------------------------


def test_runs_and_the_run(place: Place, page: TestClient) -> None:
    environments, metrics, clock = tables(place, "environments", "metrics", "clock")
    answer = page.get("/api/runs")
    assert postgres.PASSWORD not in answer.text
    (row,) = answer.json()["runs"]
    one = told(page)
    assert row == {name: one[name] for name in row}
    assert (row["name"], row["begun"], row["running"]) == (walkers.NAME, True, False)
    assert row["iteration"] == walkers.ITERATIONS == len(clock)
    assert row["environments"] == len(environments)
    assert row["active"] == sum(each["ended"] is None for each in environments) < len(environments)
    assert row["metrics"] == {each["name"]: each["value"] for each in metrics}
    assert row["at"] == clock[-1]["at"]
    assert one["config"]["max_steps"] == walkers.NUMBERS["max-steps"]
    assert (one["kind"], one["panels"]) == ("walker", list(SYSTEMS["poet"].panels))


def test_environments_and_transfers(place: Place, page: TestClient) -> None:
    environments, transfers = tables(place, "environments", "transfers")
    found = told(page, "/environments")
    assert found["cursor"] == walkers.ITERATIONS
    assert rows(found["environments"]) == picked(environments, FIELDS)
    assert rows(found["transfers"]) == sorted(picked(transfers, MOVES), key=lambda row: -row["gain"])
    assert len(transfers) > 3

    matrix = rows(told(page, "/matrix"))
    counts = Counter((row["source"], row["target"]) for row in transfers)
    assert {(row["source"], row["target"]): row["count"] for row in matrix} == counts
    for row in matrix:
        gains = [t["gain"] for t in transfers if (t["source"], t["target"]) == (row["source"], row["target"])]
        assert (row["gain"], row["best"]) == (pytest.approx(sum(gains)), max(gains))


def test_one_environment_and_its_ground(place: Place, page: TestClient) -> None:
    environments, transfers, scores = tables(place, "environments", "transfers", "scores")
    grounds = told(page, "/courses", ids="0,1,99")
    assert set(grounds) == {"0", "1"}
    for row in environments[:2]:
        number = row["id"]
        one = told(page, f"/environments/{number}")
        assert {name: one[name] for name in (*FIELDS, "agent")} == {n: row[n] for n in (*FIELDS, "agent")}
        assert one["children"] == [each["id"] for each in environments if each["parent"] == number]
        near = [row for row in transfers if number in (row["source"], row["target"])]
        assert rows(one["transfers"]) == sorted(picked(near, MOVES), key=lambda row: -row["gain"])
        own = [each for each in scores if each["environment"] == number]
        assert rows(one["scores"]) == picked(own, ("iteration", "score", "finished"))
        for side in ("left", "right"):
            np.testing.assert_allclose(grounds[str(number)][side], row["course"][side], atol=6e-4)
    assert told(page, "/environments/0")["words"] == "level ground"


@pytest.mark.parametrize("points", [2, 5, 1000])
def test_series(place: Place, page: TestClient, points: int) -> None:
    metrics, scores, clock = tables(place, "metrics", "scores", "clock")
    found = told(page, "/series", points=points)
    at = found["iteration"]
    assert len(at) <= points and at[-1] == walkers.ITERATIONS and len(set(np.diff([0, *at[:-1]]))) == 1
    assert len(at) == walkers.ITERATIONS or points < walkers.ITERATIONS
    for name, values in found["values"].items():
        held = {row["iteration"]: row["value"] for row in metrics if row["name"] == name}
        assert values == [held.get(iteration) for iteration in at]
    worked = [sum(row["seconds"] for row in clock if row["iteration"] <= iteration) for iteration in at]
    np.testing.assert_allclose(found["hours"], np.array(worked) / 3600)
    steps = found["values"]["steps"]
    assert found["rate"][0] is None
    np.testing.assert_allclose(found["rate"][1:], np.diff(steps) / np.diff(worked), rtol=1e-6)
    for i, iteration in enumerate(at):
        group = [row["score"] for row in scores if row["iteration"] == iteration]
        names = ("least", "lower", "median", "upper", "greatest")
        quartiles = [found["population"][name][i] for name in names]
        np.testing.assert_allclose(quartiles, np.quantile(group, [0, 0.25, 0.5, 0.75, 1]))


def test_what_happened_lately(place: Place, page: TestClient) -> None:
    environments, transfers, events = tables(place, "environments", "transfers", "events")
    for after in (0, 5, walkers.ITERATIONS):
        found = told(page, "/digest", after=after)
        late = {
            "births": [row for row in environments if row["born"] > after],
            "solves": [row for row in environments if (row["solved"] or 0) > after],
            "extinctions": [row for row in environments if (row["ended"] or 0) > after],
            "transfers": [row for row in transfers if row["iteration"] > after],
        }
        assert found["counts"] == {name: len(some) for name, some in late.items()}
        for name in ("births", "solves", "extinctions"):
            expected = sorted(each["id"] for each in late[name])
            assert sorted(each["id"] for each in found[name]) == expected
            assert all(each["words"] for each in found[name])
        some = [row for row in events if row["iteration"] > after and row["kind"] in ("birth", "transfer")]
        assert told(page, "/events", after=after, kinds="birth,transfer", limit=3)["events"] == some[:3]
    assert told(page, "/events")["events"] == []
    assert told(page, "/digest", ago=86400) == told(page, "/digest")
    assert told(page, "/digest", ago=0)["after"] == walkers.ITERATIONS


def test_a_breakthrough_is_a_gain_after_a_plateau(walked: Place, tmp_path: Path) -> None:
    place = walked.copy(tmp_path)
    for seq in range(100, 140):
        place.edit(f"INSERT INTO scores VALUES (3, {seq}, 0, {seq % 7}, 0)", walkers.NAME)
    place.edit("INSERT INTO transfers VALUES (9, 99, 1, 0, 'direct', 50, 60, NULL)", walkers.NAME)
    (found,) = told(client(place), "/digest", after=8)["breakthroughs"]
    assert (found["source"], found["target"], found["gain"], found["flat"]) == (1, 0, 50, 40)


def test_gains_that_are_no_numbers_come_last(place: Place, tmp_path: Path) -> None:
    place = place.copy(tmp_path)
    place.edit("UPDATE transfers SET gain = NULL WHERE iteration > 6", walkers.NAME)
    gains = told(client(place), "/environments")["transfers"]["gain"]
    known = [gain for gain in gains if gain is not None]
    assert gains == [*sorted(known, reverse=True), *[None] * (len(gains) - len(known))]
    assert 0 < len(known) < len(gains)


def test_a_course_that_was_drawn_comes_to_live_in_the_run(place: Place, tmp_path: Path) -> None:
    place = place.copy(tmp_path)
    page = client(place)
    assert told(page, "/candidates") == {"candidates": []}
    assert page.post(f"{RUN}/candidates", json={"course": DRAWN, "parent": 0}).json() == {"id": 1}
    (row,) = told(page, "/candidates")["candidates"]
    assert (row["parent"], row["taken"], row["decided"]) == (0, None, None)
    walkers.work(place, walkers.ITERATIONS + 3)
    (row,) = told(page, "/candidates")["candidates"]
    assert row["taken"] == walkers.ITERATIONS + 1 and row["decided"] and row["verdict"]
    (kept,) = tables(place, "candidates")
    assert kept == {**row, "course": DRAWN}
    if row["verdict"] == "admitted":
        assert told(page, f"/environments/{row['environment']}")["parent"] == 0
    line = page.post(f"{RUN}/candidates", json={"course": DRAWN, "parent": 99})
    assert (line.status_code, line.json()["error"]) == (
        422,
        f"parent: an environment of {walkers.NAME}, not 99",
    )


# -- walks --------------------------------------------------------------------------------------------------


def unpacked(body: bytes) -> list[tuple[dict[str, Any], np.ndarray]]:
    length = int.from_bytes(body[:4], "little")
    about, at, found = json.loads(body[4 : 4 + length]), 4 + length, []
    for film in about:
        shape = film["count"], film["width"]
        moments = np.frombuffer(body, "<f4", shape[0] * shape[1], at).reshape(shape)
        at += moments.nbytes
        found.append((film, moments))
    assert at == len(body)
    return found


def test_films_are_those_of_the_system(walked: Place, alone: TestClient) -> None:
    with walked.open(walkers.NAME) as store:
        run, environments = store.run(), store.rows("environments")
        weights = {row["id"]: store.array(row["agent"]) for row in environments}
    # The second pair never met: the archived one's agent in the youngest environment.
    youngest, sha = environments[-1]["id"], environments[0]["agent"]
    asked = [(0, 0, 0), (youngest, 0, 7), (youngest, youngest, 2**32 - 1), (0, 0, 0)]
    pairs = [f"{e}~{sha[:9] if a == 0 and e else a}~{seed}" for e, a, seed in asked]
    played = alone.get(f"{RUN}/films", params={"pair": pairs})
    drawn = alone.post(f"{RUN}/films", json={"course": DRAWN, "agents": ["0", sha], "seed": 3})
    shown = SYSTEMS["poet"].shown
    assert run and shown and (played.status_code, drawn.status_code) == (200, 200), drawn.text
    meant = [(environments[e]["course"], weights[a], seed) for e, a, seed in asked]
    expected = shown.film(run.config, [*meant, *[(DRAWN, weights[0], 3)] * 2])
    found = [*unpacked(played.content), *unpacked(drawn.content)]
    for (about, moments), film in zip(found, expected, strict=True):
        assert np.array_equal(moments, film.moments)
        assert (about["kind"], about["rate"], about["total"], about["finished"]) == (
            film.kind,
            film.rate,
            film.total,
            film.finished,
        )
    named = [(about.get("environment"), about["agent"], about["seed"]) for about, _ in found]
    assert named == [*((e, environments[a]["agent"], seed) for e, a, seed in asked), *[(None, sha, 3)] * 2]

    ranked = told(alone, "/strangest")
    active = {row["id"] for row in environments if row["ended"] is None}
    distances = [row["distance"] for row in ranked["agents"]]
    assert {row["environment"] for row in ranked["agents"]} <= active
    assert distances == sorted(distances, reverse=True)

    video = alone.get(f"{RUN}/video", params={"pair": "0~0~0", "lidar": 1})
    assert video.content.startswith(b"GIF89a") and video.headers["content-type"] == "image/gif"
    assert f'filename="{walkers.NAME}-0-{sha[:8]}.gif"' in video.headers["content-disposition"]


# -- the feed -----------------------------------------------------------------------------------------------


@contextmanager
def listening(page: app.Page) -> Iterator[str]:
    """A real server: a client in the process cannot read an answer that has no end."""
    import uvicorn

    config = uvicorn.Config(
        application(page, hosts=LOOPBACK), log_level="warning", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    with bound("127.0.0.1", 0) as socket:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
        thread.start()
        while thread.is_alive() and not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{socket.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def messages(address: str, until: Any, **request: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """(cursor, data) of each message, until one is what `until` waits for."""
    with httpx.stream("GET", f"{address}{RUN}/feed", timeout=30, **request) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        cursor = -1
        for line in answer.iter_lines():
            if line.startswith("id: "):
                cursor = int(line[4:])
            elif line.startswith("data: "):
                data = json.loads(line[6:])
                yield cursor, data
                if until(data):
                    return


def applied(snapshot: dict[str, Any], changes: list[dict[str, Any]]) -> tuple[Any, Any]:
    """Environments and transfers after changes, as the page keeps them."""
    known = {row["id"]: row for row in rows(snapshot["environments"])}
    moves = rows(snapshot["transfers"])
    for change in changes:
        if "cursor" in change:
            known |= {row["id"]: row for row in rows(change["environments"])}
            moves += rows(change["transfers"])
    return known, sorted(map(str, moves))


def test_a_snapshot_and_the_feed_after_it_are_the_run(walked: Place, tmp_path: Path) -> None:
    place, goal = walked.copy(tmp_path), walkers.ITERATIONS + 6
    page = client(place)
    before = told(page, "/environments")
    query = {"after": before["cursor"], "kinds": "birth,transfer"}

    def last(change: dict[str, Any]) -> bool:
        return change.get("cursor") == goal and not change["running"]

    with listening(walkers.page(place)) as address:
        found: list[tuple[int, dict[str, Any]]] = []
        reader = threading.Thread(target=lambda: found.extend(messages(address, last, params=query)))
        reader.start()
        time.sleep(0.5)
        walkers.work(place, goal)
        # It may have ended in an instant between two looks: whoever asks again is told so.
        reader.join(30)
        assert not reader.is_alive(), found
        changes = [data for _, data in found]
        after = told(page, "/environments")
        assert applied(before, changes) == applied(after, [])
        # The first message says that nothing runs; nothing is repeated and cursors grow.
        cursor, at_rest = found[0]
        assert cursor == at_rest["iteration"] == before["cursor"] and not at_rest["running"]
        assert at_rest.keys() == {"running", "identity", "iteration"}
        cursors = [cursor for cursor, _ in found]
        assert cursors == sorted(cursors) and all(data.get("cursor", c) == c for c, data in found)
        events = [event for data in changes for event in data.get("events", [])]
        expected = told(page, "/events", after=before["cursor"], kinds="birth,transfer")["events"]
        assert events == expected != []

        # A connection that was lost goes on where it was, whichever way the browser says so.
        middle = before["cursor"] + 3
        ways = (
            {"params": {**query, "after": middle}},
            {"params": query, "headers": {"last-event-id": str(middle)}},
        )
        for way in ways:
            ((cursor, late),) = messages(address, lambda _: True, **way)
            assert (cursor, late["cursor"]) == (goal, goal)
            assert min(event["iteration"] for event in late["events"]) > middle
            assert all(iteration > middle for iteration in late["transfers"]["iteration"])
        ((_, nothing),) = messages(address, lambda _: True, params={"after": goal})
        assert nothing == {**at_rest, "iteration": goal}


def test_an_agent_that_a_run_lets_go_of_meanwhile(
    walked: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each iteration replaces every active agent, here between an agent's name and its weights."""
    place, find, moved = walked.copy(tmp_path), stored.Store.find_agent, []

    def find_late(store: stored.Store, text: str) -> str:
        sha = find(store, text)
        if not moved:
            moved.append(sha)
            walkers.work(place, walkers.ITERATIONS + 1)
        return sha

    monkeypatch.setattr(stored.Store, "find_agent", find_late)
    environments, agents = tables(place, "environments", "agents")
    # Of those that no event tells of, one that no other environment has too: nothing else keeps it. The
    # youngest such environment, as the oldest may be archived next, with its agent.
    shas = Counter([*(row["sha"] for row in agents), *(row["agent"] for row in environments)])
    number = max(row["id"] for row in environments if row["ended"] is None and shas[row["agent"]] == 1)
    answer = client(place).get(f"{RUN}/films", params={"pair": f"{number}~{number}~0"})
    assert answer.status_code == 200, answer.text
    assert moved != [tables(place, "environments")[number]["agent"]]


# -- whom it lets in ----------------------------------------------------------------------------------------

OWN = "http://127.0.0.1:8421"
COOKIE = "aiga-token-8421"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:8421"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:8421"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "127.0.0.1:80@evil.example"}, 421),
        ({"host": ""}, 421),
        ({"origin": OWN, "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 403),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
    ],
)
def test_other_pages_are_kept_out(alone: TestClient, headers: dict[str, str], status: int) -> None:
    answer = alone.get("/api/runs", headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert answer.text.count("\n") == 1 and walkers.NAME not in answer.text
        assert alone.post(f"{RUN}/candidates", json={"course": DRAWN}, headers=headers).status_code == status


def test_a_link_from_elsewhere_leads_to_the_page_and_no_further(alone: TestClient) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert alone.get("/", headers=link).status_code == 200
    assert alone.get("/", headers={**link, "sec-fetch-dest": "iframe"}).status_code == 403
    for path in ("/share", "/strangest", "/environments"):
        assert alone.get(RUN + path, headers=link).status_code == 403


def test_an_address_with_any_token_opens_the_page(walked: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setenv("AIGA_TOKEN", token := "a+b&c=d %é")
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    serve(walkers.page(walked), "0.0.0.0", 0, said.append)
    page = client(walked, token)
    assert page.get("/?" + said[0].partition("/?")[2], follow_redirects=False).status_code == 303
    assert page.get("/api/runs").status_code == 200


def test_a_token_is_wanted_where_other_machines_can_ask(walked: Place) -> None:
    heard = []
    for headers, status in (
        ({}, 401),
        ({"authorization": f"Bearer {TOKEN}"}, 200),
        ({"authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"authorization": f"Bearer {TOKEN}{TOKEN}"}, 401),
        ({"authorization": f"Bearer {TOKEN[:-1]}é".encode()}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"cookie": f"{COOKIE}={TOKEN[:-1]}x"}, 401),
        ({"cookie": f"other=1; {COOKIE}={TOKEN}"}, 200),
        ({"cookie": f";;=,{COOKIE}"}, 401),
        ({"cookie": f"{COOKIE}={TOKEN}", "origin": "http://evil.example"}, 403),
    ):
        page = client(walked, TOKEN)
        for path in ("/", "/static/main.js", "/api/runs", RUN, "/nothing"):
            answer = page.get(path, headers=headers)
            heard.append(answer.text)
            assert answer.status_code == (404 if status == 200 and path == "/nothing" else status)
    page = client(walked, TOKEN)
    assert page.get("/?token=wrong").status_code == 401
    opened = page.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    cookie = opened.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    answers = [page.get(path) for path in ("/", "/api/runs", f"{RUN}/share", "/api/schema.json")]
    assert [answer.status_code for answer in answers] == [200] * 4
    heard += [opened.text, *(answer.text for answer in answers)]
    assert not [text for text in heard if TOKEN in text]


def test_every_answer_is_guarded(alone: TestClient, walked: Place) -> None:
    faulty = replace(SYSTEMS["poet"], shown=replace(SYSTEMS["poet"].shown, words=lambda course: course + 1))
    answers = [
        *(alone.get(path) for path in ("/", "/static/main.js", "/api/runs", RUN, f"{RUN}/films?pair=0~0~0")),
        *(alone.get(path) for path in ("/nothing", "/static/none.js", "/api/runs/none", f"{RUN}/films")),
        alone.get("/api/runs/", follow_redirects=False),
        alone.get("/api/runs", headers={"host": "evil.example"}),
        alone.get("/api/runs", headers={"origin": "http://evil.example"}),
        alone.get("/static/main.js", headers={"if-none-match": alone.get("/static/main.js").headers["etag"]}),
        alone.delete("/api/runs"),
        alone.options("/api/runs", headers={"access-control-request-method": "GET"}),
        alone.post(f"{RUN}/films", content=b"x"),
        client(walked, TOKEN).get("/"),
        fault := client(walked, entries={"poet": faulty}).get(f"{RUN}/environments/0"),
    ]
    complains(fault, 500, "a fault of the server; its terminal says more")
    statuses = {answer.status_code for answer in answers}
    assert statuses >= {200, 304, 307, 401, 403, 404, 405, 415, 421, 422, 500}
    for answer in answers:
        headers = answer.headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert not [name for name in headers if name.startswith("access-control-")]


# -- files --------------------------------------------------------------------------------------------------


def test_files_that_are_there(walked: Place) -> None:
    page = client(walked, extra={"panels/own.js": b"export default 1;", "panels/own.txt": b"words"})
    root = Path(app.__file__).parent / "static"
    for path in root.rglob("*.*"):
        answer = page.get(f"/static/{path.relative_to(root).as_posix()}")
        assert answer.content == path.read_bytes() and "text/" in answer.headers["content-type"]
        again = page.get(str(answer.url), headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert page.get("/static/panels/own.js").headers["content-type"].startswith("text/javascript")
    assert page.get("/static/panels/own.txt").content == b"words"
    assert page.get("/api/schema.json").json()["openapi"].startswith("3.1")


@pytest.fixture(scope="module")
def wire(walked: Place) -> Iterator[HTTPConnection]:
    """A connection on which paths go as they are: other clients tidy them up first."""
    with listening(walkers.page(walked)) as address:
        connection = HTTPConnection(httpx.URL(address).netloc.decode())
        yield connection
        connection.close()


@pytest.mark.parametrize(
    "path",
    [
        *(
            "..",
            "../app.py",
            "..%2fapp.py",
            "%2e%2e/app.py",
            "%2e%2e%2fapp.py",
            "kinds/../main.js",
            "./main.js",
        ),
        *("/etc/passwd", "%2fetc%2fpasswd", "//etc/passwd", "..%5capp.py", "..\\app.py", "main.js%00", "%00"),
        *("", "kinds", "kinds/", "main.js/", "MAIN.JS", "main.js%20", "%ff", "%c0%ae%c0%ae/app.py"),
    ],
)
def test_no_path_leads_anywhere_else(wire: HTTPConnection, path: str) -> None:
    for target in (f"/static/{path}", f"/api/runs/{path}/series", f"{RUN}/environments/{path}"):
        wire.request("GET", target)
        answer = wire.getresponse()
        content = answer.read()
        if answer.status == 307:  # to the same without a slash at its end
            assert (answer.headers["location"], content) == (
                f"http://{wire.host}:{wire.port}{target[:-1]}",
                b"",
            )
            continue
        assert answer.status == 404 or (answer.status == 422 and b"id: a whole number" in content), target
        assert set(json.loads(content)) == {"error"}


@pytest.mark.parametrize(
    "name",
    [".a", "a b", "a%2fb", "a%5cb", "a%00", "%e4", "a" * 101, "a:b", "*", "none", "a.b-c_d "],
)
def test_names_that_no_run_has(page: TestClient, name: str) -> None:
    for path in ("", "/environments", "/films?pair=0~0~0", "/share"):
        answer = page.get(f"/api/runs/{name}{path}")
        assert answer.status_code == 404
        assert set(answer.json()) == {"error"} and "\n" not in answer.json()["error"]


# -- one line for every mistake -----------------------------------------------------------------------------

DEEP = b"[" * 900 + b"]" * 900


@pytest.mark.parametrize(
    ("path", "status", "line"),
    [
        ("/environments/99", 404, "id: no such environment"),
        ("/nothing", 404, "Not Found"),
        ("/environments/x", 422, "id: a whole number from 0 to 2147483647, not 'x'"),
        ("/environments/-1", 422, "id: a whole number"),
        ("/environments/2147483648", 422, "id: a whole number"),
        ("/environments/" + "9" * 5000, 422, "id: a whole number"),
        ("/series?points=1", 422, "points: a whole number from 2 to 1000, not '1'"),
        ("/series?points=1001", 422, "points: "),
        ("/series?points=1e2", 422, "points: "),
        ("/series?points=%D9%A3", 422, "points: "),
        ("/events?limit=0", 422, "limit: "),
        ("/events?after=%00", 422, "after: "),
        ("/events?kinds=%00,birth", 422, "kinds: "),
        ("/digest?ago=-1", 422, "ago: "),
        ("/feed?after=-1", 422, "after: "),
        ("/courses", 422, "ids: a whole number"),
        ("/courses?ids=" + ",".join(["0"] * 65), 422, "ids: at most 64"),
        ("/films", 422, "pair: 1 to 48 of them"),
        ("/films?" + "&".join(["pair=0~0~0"] * 49), 422, "pair: 1 to 48 of them"),
        ("/films?pair=0~0", 422, "pair: ENVIRONMENT~AGENT~SEED, not '0~0'"),
        ("/films?pair=99~0~0", 404, "pair: no environment 99"),
        ("/films?pair=0~99~0", 422, "agent: an environment's id or at least 6 digits"),
        ("/films?pair=0~ffffffffffff~0", 422, "agent: no agent begins with 'ffffffffffff'"),
        ("/films?pair=0~%0A%ff~0", 422, "agent: an environment's id"),
        ("/films?pair=0~0~4294967296", 422, "pair: a whole number from 0 to 4294967295"),
        ("/video?pair=0~0~0&format=exe", 422, "format: gif or mp4, not 'exe'"),
        ("/video?pair=0~0~0&lidar=2", 422, "lidar: "),
    ],
)
def test_questions_that_cannot_be_answered(page: TestClient, path: str, status: int, line: str) -> None:
    complains(page.get(f"{RUN}{path}"), status, line)


@pytest.mark.parametrize(
    ("path", "body", "status", "line"),
    [
        ("films", b"{}" + b" " * 65536, 413, "body: at most 65536 bytes"),
        ("candidates", b" " * 1_000_000, 413, "body: at most 65536 bytes"),
        ("films", b"", 422, "body: a JSON object"),
        ("films", b"[]", 422, "body: a JSON object"),
        ("films", b"\xff{}", 422, "body: a JSON object"),
        ("films", b"[" * 60_000, 422, "body: a JSON object"),
        ("films", b'{"seed": NaN}', 422, "body: a JSON object"),
        ("films", b'{"seed": ' + b"9" * 5000 + b"}", 422, "body: a JSON object"),
        ("films", b"{}", 422, "agents: a list of 1 to 48"),
        ("films", b'{"agents": []}', 422, "agents: "),
        ("films", json.dumps({"agents": ["0"] * 49}).encode(), 422, "agents: a list of 1 to 48"),
        ("films", b'{"agents": ["0"], "seed": 4294967296}', 422, "seed: a whole number"),
        ("films", b'{"agents": ["0"], "seed": 1e999}', 422, "seed: a whole number"),
        ("films", b'{"agents": ["0"], "seed": true}', 422, "seed: a whole number"),
        (
            "films",
            json.dumps({"course": DRAWN, "agents": ["a\nb\ud800"]}).encode(),
            422,
            "agent: an environment's",
        ),
        ("films", b'{"agents": [' + DEEP + b"]}", 422, ""),
        ("films", b'{"agents": ["0"]}', 422, ""),
        ("films", b'{"agents": ["0"], "course": {"\\ud800": 1}}', 422, ""),
        ("films", b'{"agents": ["0"], "course": ' + DEEP + b"}", 422, ""),
        ("films", b'{"agents": ["0"], "course": {"left": ' + DEEP + b"}}", 422, ""),
        ("candidates", b"{}", 422, ""),
        ("candidates", b'{"course": {"left": [], "right": []}}', 422, "course.left: "),
        (
            "candidates",
            json.dumps({"course": {**DRAWN, "left": [1e300] * 199}}).encode(),
            422,
            "course.left: ",
        ),
        ("candidates", json.dumps({"course": {**DRAWN, "left": [10**400] * 199}})[:60_000].encode(), 422, ""),
        ("candidates", json.dumps({"course": {**DRAWN, "\n": 1}}).encode(), 422, ""),
        ("candidates", json.dumps({"course": DRAWN, "parent": -1}).encode(), 422, "parent: a whole number"),
        ("candidates", json.dumps({"course": DRAWN, "parent": {}}).encode(), 422, "parent: a whole number"),
        (
            "candidates",
            json.dumps({"course": {**DRAWN, "genes": {"roughness": 1}}}).replace("1}", "1e999}").encode(),
            422,
            "course: finite numbers",
        ),
    ],
)
def test_bodies_that_cannot_be_used(page: TestClient, path: str, body: bytes, status: int, line: str) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    complains(page.post(f"{RUN}/{path}", content=body, headers=headers), status, line)


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_forms_of_other_pages_are_no_questions(alone: TestClient, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    body = json.dumps({"course": DRAWN}).encode()
    complains(alone.post(f"{RUN}/candidates", content=body, headers=headers), 415, "Content-Type: ")


def complains(answer: httpx.Response, status: int, line: str) -> None:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    said = answer.json()["error"]
    assert said.startswith(line) and "\n" not in said and 0 < len(said) < 300


def test_runs_that_cannot_be_read_are_said_to_be(walked: Place, tmp_path: Path) -> None:
    place = walked.copy(tmp_path)
    for name, content in (("young", b""), ("torn", b"no database" * 1000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.db").write_bytes(content)
    place.edit("UPDATE environments SET course = '{}' WHERE id = 1", walkers.NAME)
    page = client(place)
    found = {row["name"]: row for row in page.get("/api/runs").json()["runs"]}
    assert found["young"] == {"name": "young", "begun": False, "running": False}
    assert "damaged" in found["torn"]["error"]
    complains(page.get("/api/runs/young"), 404, "run: has not begun yet")
    complains(page.get("/api/runs/torn"), 404, "torn: damaged")
    course = (
        "/courses?ids=1",
        "/films?pair=1~1~0",
        "/video?pair=1~1~0",
        "/environments/1",
        "/digest",
        "/share",
    )
    for path in course:
        complains(page.get(f"{RUN}{path}"), 422, "Course with its fields left, right")
    nobody = client(Place(tmp_path, postgres.Server(1)))
    complains(nobody.get("/api/runs"), 503, "store: postgresql://aiga@127.0.0.1:1/")
    complains(nobody.get(RUN), 404, "store: ")
    # An environment whose agent is not known is no reason to say nothing of the others.
    place.edit("UPDATE environments SET agent = NULL WHERE ended IS NULL", walkers.NAME)
    assert told(page, "/strangest")["agents"] == []


# -- to take away -------------------------------------------------------------------------------------------


def test_a_run_as_one_file(walked: Place) -> None:
    page = client(walked)
    answer = page.get(f"{RUN}/share")
    assert f'filename="{walkers.NAME}.html"' in answer.headers["content-disposition"]
    text = answer.text
    (policy,) = re.findall(r'<meta http-equiv="content-security-policy" content="([^"]*)">', text)
    assert "default-src 'none'" in policy and "connect-src" not in policy and "http" not in policy
    (data,) = re.findall(r'<script type="application/json" id="recorded">(.*?)</script>', text, re.DOTALL)
    (imports,) = re.findall(r'<script type="importmap">(.*?)</script>', text, re.DOTALL)
    modules = json.loads(imports)["imports"]
    assert all(address.startswith("data:text/javascript;base64,") for address in modules.values())
    code = [base64.b64decode(address.partition(",")[2]).decode() for address in modules.values()]
    assert {name for text in code for name in re.findall(r'from "(aiga/[^"]+)"', text)} <= set(modules)

    # Nothing in it that a browser would fetch: every address is within the file.
    bare = text.replace(data, "").replace(imports, "")
    addresses = re.findall(r"""(?:src|href|action|poster|srcset)\s*=\s*["']?([^"'\s>]+)""", bare)
    addresses += re.findall(r"url\(\s*[\"']?([^)\"']+)|@import\s+[\"']([^\"']+)", bare)
    assert all(str(address).startswith(("data:", "#")) for address in addresses), addresses
    assert set(re.findall(r"https?://[^'\"\s]*", bare + data)) <= {"http://www.w3.org/2000/svg"}

    recorded = json.loads(data)
    path = RUN.removeprefix("/api/")
    (row,) = recorded["runs"]["runs"]
    assert row["name"] == walkers.NAME
    for question in ("/environments", "/matrix", "/series", "/digest?after=0", "/environments/1"):
        assert recorded[f"{path}{question}"] == told(page, question), question
    (_, half), (_, whole) = (
        unpacked(body)[0]
        for body in (
            base64.b64decode(recorded[f"{path}/films?pair=1~1~0"]),
            page.get(f"{RUN}/films", params={"pair": "1~1~0"}).content,
        )
    )
    assert np.array_equal(half, whole[::2])
    assert recorded[f"{path}/courses"]["0"] == told(page, "/courses", ids="0")["0"]


def test_what_a_system_brings_along_is_taken_away_too(walked: Place) -> None:
    page = client(walked, extra={"panels/own.js": b"export default 1;"})
    assert '"aiga/panels/own.js"' in page.get(f"{RUN}/share").text


def test_looking_changes_nothing(place: Place) -> None:
    def everything() -> Any:
        files = {p.name: p.read_bytes() for p in (place.folder / walkers.NAME).glob("blobs/*")}
        return tables(place), files, sorted(path.name for path in place.folder.iterdir())

    before, page = everything(), client(place)
    paths = json.loads((Path(app.__file__).parent / "schema.json").read_text())["paths"]
    query = {"pair": "0~0~0", "ids": "0", "kinds": "birth", "after": 0}
    for path, methods in paths.items():
        for method in ("HEAD", *(["GET"] if not path.endswith("/feed") else [])) if "get" in methods else ():
            filled = path.format(run=walkers.NAME, id=0, path="main.js")
            answer = page.request(method, filled, params=query)
            # A run of POET has no programs; that looking at those changes nothing test_page_programs says.
            assert answer.status_code == (404 if "/programs/" in path else 200), (path, answer.text)
    assert page.post(f"{RUN}/films", json={"course": DRAWN, "agents": ["0"]}).status_code == 200
    assert everything() == before
