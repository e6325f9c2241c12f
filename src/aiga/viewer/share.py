"""One run as one HTML file: the page with the answers it would ask the server for, and no network.

The page's modules name each other through an import map; in the file it leads to data: addresses. What is too
much for a file is left out, and the page says so where somebody looks for it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from aiga.registry import Shown, Study
from aiga.runs.store import Store
from aiga.viewer import reading
from aiga.viewer.files import index_page, static_files
from aiga.viewer.films import Asked, Films, packed
from aiga.viewer.studies import Studies

MOST_ENVIRONMENTS = 400  # of which a file says everything: the active ones, then the latest solved and born
MOST_FILMS = 32
MOST_FOUND = 2000  # events of what was found, of a kilobyte each, besides those that the best came from
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data: blob:"
)


def gathered(
    store: Store,
    shown: Shown | None,
    told: dict[str, Any],
    say: Callable[[Any], str],
    study: Study | None = None,
    studies: Studies | None = None,
) -> tuple[dict[str, Any], dict[int, Asked]]:
    """The answers that the file holds, by path, and the walks that are still to be played, by environment.
    `told` is what the page is told of the run, `say` puts a course into words; of what was found the best is
    looked into, and where much was found the file has its ancestors and the latest. Events of a kind are one
    answer, out of which the page takes what it asks for, with the number of those `omitted`."""
    path = _path(told)
    with store.snapshot():
        environments = reading.environments(store)
        numbers = _chosen(environments["environments"], MOST_ENVIRONMENTS)
        answers: dict[str, Any] = {
            "runs": {"folder": "", "runs": [{**told, "running": False}]},
            path: {**told, "running": False},
            f"{path}/environments": environments,
            f"{path}/series": reading.series(store, 300),
            f"{path}/matrix": reading.matrix(store),
            f"{path}/digest?after=0": reading.digest(store, 0, say),
            **{
                f"{path}/environments/{number}": reading.environment(store, number, say) for number in numbers
            },
        }
        iteration = store.iteration()
        # A panel of its own asks for a system's own events, from the first one on.
        for kind in reading.own_kinds(store):
            if study is None or kind not in study.kinds:
                answers[f"{path}/events?kinds={kind}"] = {
                    "events": reading.events(store, [kind], 0),
                    "omitted": 0,
                }
        courses = reading.courses(store, numbers)
        agents = reading.agents(store, numbers[:MOST_FILMS])
        walks = {
            number: Asked(courses[number], agent, store.array(agent), 0)
            for number, agent in agents.items()
            if agent is not None
        }
    # What takes seconds must not hold the snapshot.
    if study is not None and studies is not None:
        found = [each for each in studies.events(store, study) if each["iteration"] <= iteration]
        some = study.shortened(found, MOST_FOUND) if study.shortened else found[-MOST_FOUND:]
        for kind in study.kinds:
            of_kind = [each for each in some if each["kind"] == kind]
            count = sum(each["kind"] == kind for each in found)
            answers[f"{path}/events?kinds={kind}"] = {"events": of_kind, "omitted": count - len(of_kind)}
        best = study.best(found)
        if best is not None:
            answers[f"{path}/programs/{best}"] = studies.tell(store, study, told["config"], best)
    if shown is not None:
        grounds = {number: reading.rounded(shown.ground(course)) for number, course in courses.items()}
        answers[f"{path}/courses"] = grounds
    return answers, walks


def written(
    answers: dict[str, Any],
    walks: dict[int, Asked],
    shown: Shown | None,
    told: dict[str, Any],
    films: Films,
    extra: dict[str, bytes],
) -> str:
    """The file, with the walks played; `extra` are modules that systems bring along."""
    played = films.play(shown, told["config"], list(walks.values())) if shown is not None else []
    for (number, asked), film in zip(walks.items(), played, strict=shown is not None):
        # Every second moment: the page draws what is between.
        half = replace(film, rate=film.rate / 2, moments=film.moments[::2])
        about = {"environment": number, "agent": asked.agent, "seed": 0}
        body = base64.b64encode(packed([(about, half)])).decode()
        answers[f"{_path(told)}/films?pair={number}~{number}~0"] = body
    return _page(answers, {**static_files(), **extra})


def _path(told: dict[str, Any]) -> str:
    return f"runs/{quote(told['name'], safe='')}"


def _chosen(columns: dict[str, Any], most: int) -> list[int]:
    """Active ones first, then the last that were solved, then the last that were born."""
    rows = sorted(
        zip(columns["id"], columns["ended"], columns["solved"], strict=True),
        key=lambda row: (row[1] is not None, -(row[2] if row[2] is not None else -1), -row[0]),
    )
    return [number for number, _, _ in rows[:most]]


def _page(answers: dict[str, Any], files: dict[str, bytes]) -> str:
    modules = {
        f"aiga/{name}": f"data:text/javascript;base64,{base64.b64encode(body).decode()}"
        for name, body in files.items()
        if name.endswith(".js")
    }
    # No "<" in the data, so that nothing in it can end the element it stands in.
    data = json.dumps(answers, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return index_page(
        imports=json.dumps({"imports": modules}),
        style=f"<style>{files['style.css'].decode()}</style>",
        data=f'<script type="application/json" id="recorded">{data}</script>',
        start='<script type="module">import "aiga/main.js";</script>',
        policy=f'<meta http-equiv="content-security-policy" content="{POLICY}">',
    )
