"""The command line: `aiga run | view | list | show | replay | export | experiment | bench`.

Mistakes end in one line, "aiga: field: what is allowed", and exit status 2. Everything heavy is imported by
the command that needs it.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from aiga.machine import threads_here
from aiga.runs.words import NAME

if TYPE_CHECKING:
    from aiga.interfaces import System
    from aiga.registry import Entry
    from aiga.runs.store import Store

MAX_SEED = 2**32 - 1

EXAMPLES = """\
examples:
  aiga run poet --minutes 10            ten minutes of POET, in a run with a new name
  aiga run poet --name night            start or continue runs/night; Ctrl-C ends it at the next safe point
  aiga view                             the page: what came to live in the runs of this folder
  aiga show night                       the tree of environments that came to be
  aiga replay night 7 --out walk.gif    see the agent of environment 7 in it
"""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        if match := re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message):
            from aiga.cli.settings import nearest

            names = match[2].replace("'", "").split(", ")
            message = f"COMMAND: one of {', '.join(names)}, not '{match[1]}'{nearest(match[1], names)}"
        message = re.sub(r"^argument (?:-\w/)?(?:--)?([\w-]+)(?:/\S+)?: ", r"\1: ", message)
        message = re.sub(
            r"^the following arguments are required: (?:--)?([\w-]+).*", r"\1: is missing", message
        )
        message = re.sub(r"^unrecognized arguments: (?:--)?(\S+).*", r"\1: no such option", message)
        print(f"aiga: {message}", file=sys.stderr)
        raise SystemExit(2)


def program() -> NoReturn:
    """The command `aiga`: `main`, then the end of the process."""
    # Most of what a user waits for is compiling: what JAX compiles is kept for the next command.
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(caches):  # there are users without a home
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(caches, "aiga"))
        # JAX keeps what took a second; what took less is most of it in a small run.
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        # A core computes what is spread over shards as a device of its own.
        os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(threads_here()))
    try:
        status = main()
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        status = 1
    sinks = sys.modules.get("aiga.runs.sinks")
    if sinks is not None and sinks.opened:
        # Every sink has had its time. What its library still does at exit could wait forever, as W&B's does
        # for a service that hangs.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
    raise SystemExit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, 2 for a mistake, 130 when interrupted at once."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    flags: list[list[str]] = []
    if words[:1] == ["run"]:
        words, flags = _split_flags(words)
    try:
        options = _parser().parse_args(words)
        if options.command is None:
            _parser().print_help()
            return 0
        if flags:
            options.flags = flags
        return options.act(options)
    except SystemExit as exit:
        # Returned and not raised, so that a caller in Python is not ended.
        return exit.code if isinstance(exit.code, int) else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has seen enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not _is_mistake(error):
            raise
        print(f"aiga: {error}", file=sys.stderr)
        return 2


def _is_mistake(error: Exception) -> bool:
    from aiga.cli.settings import UserError
    from aiga.runs.store import RunError

    return isinstance(error, UserError | RunError)


RUN_OPTIONS = (
    "--name",
    "--preset",
    "--config",
    "--seed",
    "--minutes",
    "--hours",
    "--iterations",
    "--runs-dir",
    "--store",
    "--sink",
    "--engine",
    "--workers",
    "--address",
    "--view",
)


def _split_flags(words: list[str]) -> tuple[list[str], list[list[str]]]:
    """`aiga run`'s own words, and the flags that set fields of the configuration, each with its values."""
    own, flags = words[:1], []
    rest: list[str] = own
    for word in words[1:]:
        if word.startswith("--") and word.partition("=")[0] not in (*RUN_OPTIONS, "--help"):
            flags.append([word])
            rest = flags[-1]
        elif word.startswith("-") and not _is_number(word):
            own.append(word)
            rest = own
        else:
            rest.append(word)
    return own, flags


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _parser() -> _Parser:
    parser = _Parser(
        prog="aiga", description="AI-generating algorithms, run, looked at and kept.", epilog=EXAMPLES
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    run = commands.add_parser(
        "run",
        help="start or continue a run",
        description="Starts a run, or continues it where it stopped. Without a bound it goes on until "
        "Ctrl-C, which ends it at the next safe point; killed at any instant, it loses at most the iteration "
        "in flight.",
        add_help=False,
    )
    run.add_argument(
        "system", metavar="SYSTEM", nargs="?", help="poet, or a Python file with a system of your own"
    )
    run.add_argument(
        "-h", "--help", action="store_true", help="this help, with every field of SYSTEM's configuration"
    )
    run.add_argument(
        "--name", type=_name, help="of the run, kept in RUNS_DIR or STORE (default: a new one, SYSTEM-0001)"
    )
    run.add_argument("--preset", help="configuration to start from (default: the system's own)")
    run.add_argument("--config", type=Path, metavar="FILE.toml", help="fields to set; overrides the preset")
    run.add_argument("--seed", type=_seed, help=f"of everything random, 0 to {MAX_SEED} (default: 0)")
    bound = run.add_mutually_exclusive_group()
    bound.add_argument("--minutes", type=_positive, help="stop after so long")
    bound.add_argument("--hours", type=_positive, help="stop after so long")
    run.add_argument("--iterations", type=_count, help="stop when the run has reached this many in all")
    run.add_argument(
        "--engine",
        choices=("threads", "ray", "jax"),
        default="threads",
        help="what plays the episodes or breeds the programs: the native kernel on this machine's cores "
        "(default), on the workers of a Ray cluster, with the same numbers, or, of episodes alone, the world "
        "written in JAX, on a GPU where there is one",
    )
    run.add_argument(
        "--workers", type=_count, help="of --engine ray, one core each (default: this machine's cores)"
    )
    run.add_argument("--address", help="of a Ray cluster, for --engine ray (default: one for this run alone)")
    run.add_argument(
        "--sink",
        action="append",
        choices=("tensorboard", "wandb", "mlflow"),
        default=[],
        help="also write the metrics for this tool, in RUNS_DIR/NAME/SINK; may be given several times. One "
        "that fails does not stop the run",
    )
    run.add_argument(
        "--view",
        action="store_true",
        help="also open the page on it, as aiga view does; on a "
        "terminal it stays open after the run, until Ctrl-C",
    )
    run.set_defaults(act=_run, flags=[], parser=run)

    view = commands.add_parser(
        "view",
        help="look at runs, live",
        description="Serves a page on the runs in RUNS_DIR or STORE, running or finished, to this machine "
        "alone, and opens it. The page reads; the one thing that it leaves behind is a course that you send "
        "into a run.",
    )
    view.add_argument("name", metavar="NAME", type=_name, nargs="?", help="the run to open (default: all)")
    view.add_argument("--port", type=_port, help="to listen on (default: the first free one from 8421)")
    view.add_argument(
        "--listen",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="serve other machines too, through this address of this one, 0.0.0.0 for all of them; whoever "
        "comes needs the token that is printed, or the one in AIGA_TOKEN (default: 127.0.0.1, no token)",
    )
    view.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    view.add_argument(
        "--with",
        dest="files",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.py",
        help="the file of a system of your own, for what it adds to the page; may be given several times",
    )
    view.set_defaults(act=_view)

    listing = commands.add_parser(
        "list", help="the runs there are", description="The runs in RUNS_DIR or STORE."
    )
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(act=_list)

    show = commands.add_parser(
        "show",
        help="what lives in a run",
        description="The tree of a run's environments: which descended from which, their scores, "
        "what was solved.",
    )
    show.add_argument("name", metavar="NAME", type=_name)
    show.add_argument(
        "--json", action="store_true", help="environments and transfers as JSON, courses included"
    )
    show.set_defaults(act=_show)

    replay = commands.add_parser(
        "replay",
        help="watch an agent",
        description="Draws one episode of an agent in an environment of a run.",
    )
    replay.add_argument("name", metavar="NAME", type=_name)
    replay.add_argument("environment", metavar="ENV", type=_index, help="id of the environment")
    replay.add_argument(
        "--agent",
        help="id of the environment whose agent to take, or first digits of an agent's SHA-256 "
        "(default: its own)",
    )
    replay.add_argument("--seed", type=_seed, default=0, help="of the episode (default: 0)")
    replay.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="where to draw it, .gif or .mp4"
    )
    replay.add_argument("--lidar", action="store_true", help="draw what the agent sees")
    replay.set_defaults(act=_replay)

    export = commands.add_parser(
        "export",
        help="take an agent out",
        description="Writes an agent's weights (safetensors) and a stand-alone policy.py that needs NumPy "
        "alone: act(observation) -> action.",
    )
    export.add_argument("name", metavar="NAME", type=_name)
    export.add_argument(
        "agent",
        metavar="AGENT",
        help="id of its environment, or first digits of its SHA-256; of automl-zero: best, or the number of "
        "an improvement, written as program.py",
    )
    export.add_argument("folder", metavar="DIR", type=Path)
    export.set_defaults(act=_export)

    trial = commands.add_parser(
        "experiment",
        help="repeat a paper's control experiment",
        description="Runs a control experiment, several seeds of every arm with the same number of steps, "
        "and prints its table. Stopped or out of time it keeps what it has; the same command goes on. "
        "Without NAME: which there are.",
    )
    trial.add_argument("name", metavar="NAME", nargs="?")
    trial.add_argument(
        "--minutes", type=_positive, help="stop after so long (default: 20, or as long as it usually takes)"
    )
    trial.add_argument("--seeds", type=_count, help="of every arm (default: 5, or as many as it needs)")
    trial.add_argument(
        "--steps",
        type=_count,
        help="of every trial, individuals where programs are bred (default: the experiment's number, or what "
        "the minutes allow, by the first one)",
    )
    trial.add_argument(
        "--folder",
        type=_name,
        help="in RUNS_DIR, for runs and results; experiments in one folder share the runs of the arms that "
        "they have in common (default: experiments; where programs are bred, one for each experiment)",
    )
    trial.add_argument(
        "--arm",
        action="append",
        help="run this one alone; may be given several times, where arms stand for themselves (default: all)",
    )
    trial.set_defaults(act=_experiment)

    bench = commands.add_parser(
        "bench",
        help="measure",
        description="Runs a benchmark beside its rivals. Without NAME: which there are.",
    )
    bench.add_argument("name", metavar="NAME", nargs="?")
    bench.add_argument("--json", action="store_true", help="as JSON")
    bench.add_argument(
        "--engine",
        choices=("native", "jax"),
        help="of walker: the kernel beside its rivals (default), or the world written in JAX, on a GPU where "
        "there is one",
    )
    bench.set_defaults(act=_bench)

    for command in (run, view, listing, show, replay, export, trial):
        command.add_argument(
            "--runs-dir", type=Path, default=Path("runs"), help="where runs are kept (default: runs)"
        )
    for command in (run, view, listing, show, replay, export):
        command.add_argument(
            "--store",
            metavar="URL",
            help="a PostgreSQL database to keep runs in instead, postgresql://USER@HOST/DATABASE; a password "
            "comes from PGPASSWORD or ~/.pgpass",
        )
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib import metadata

        print(f"aiga {metadata.version('aiga')}")
        parser.exit()


def _kind(allowed: str) -> Any:
    """Makes a parsing function raise the one line of what is allowed."""

    def decorate(parse: Any) -> Any:
        def convert(text: str) -> Any:
            try:
                return parse(text)
            except ValueError:
                raise argparse.ArgumentTypeError(f"{allowed}, not '{text}'") from None

        return convert

    return decorate


@_kind("letters, digits, '.', '_' and '-', not beginning with '.', at most 100")
def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError
    return text


@_kind(f"a whole number from 0 to {MAX_SEED}")
def _seed(text: str) -> int:
    if not 0 <= (seed := int(text)) <= MAX_SEED:
        raise ValueError
    return seed


@_kind("a whole number from 0 to 65535, 0 for any")
def _port(text: str) -> int:
    if not 0 <= (number := int(text)) <= 65535:
        raise ValueError
    return number


@_kind("a number above 0")
def _positive(text: str) -> float:
    if not 0 < (number := float(text)) < float("inf"):
        raise ValueError
    return number


@_kind("a whole number from 1")
def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


@_kind("a whole number from 0")
def _index(text: str) -> int:
    if (number := int(text)) < 0:
        raise ValueError
    return number


# -- aiga run -----------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    from aiga.cli.settings import UserError
    from aiga.registry import SYSTEMS

    if options.system is None:
        if options.help:
            options.parser.print_help()
            print(f"\nsystems: {', '.join(SYSTEMS)}; aiga run SYSTEM --help lists the fields of one")
            return 0
        raise UserError(f"SYSTEM: is missing; there is {', '.join(SYSTEMS)}")
    entry = _entry(options.system)
    if options.help:
        return _run_help(options, entry)
    return _start(options, entry)


def _entry(system: str) -> Entry:
    from aiga.cli.settings import UserError, nearest
    from aiga.registry import SYSTEMS, from_file

    if system.endswith(".py"):
        try:
            return from_file(Path(system))
        except ValueError as error:
            raise UserError(str(error)) from None
    if system not in SYSTEMS:
        raise UserError(f"system: one of {', '.join(SYSTEMS)}, not '{system}'{nearest(system, SYSTEMS)}")
    return SYSTEMS[system]


def _run_help(options: argparse.Namespace, entry: Entry) -> int:
    import tyro

    from aiga.cli.settings import from_preset, presets, resolve

    default = entry.config()
    kind, preset = type(default), options.preset or entry.preset
    base = resolve(default, from_preset(kind, options.system, preset) if preset else {})
    print(f"aiga run {options.system}: {entry.summary}\n")
    options.parser.print_help()
    if names := presets(options.system):
        print(f"\npresets: {', '.join(names)} (default: {entry.preset or 'none of them'})")
    print(f"\nevery field of the configuration, with its value in {preset or 'the default'}:\n")
    tyro.cli(
        kind,
        args=["--help"],
        default=base,
        prog=f"aiga run {options.system}",
        config=(tyro.conf.FlagConversionOff,),
    )
    return 0


def _start(options: argparse.Namespace, entry: Entry) -> int:
    from aiga.cli.progress import Progress
    from aiga.runs.codec import plain
    from aiga.runs.loop import drive, stop_on_signals
    from aiga.runs.sinks import About, check, outlets
    from aiga.runs.store import Lost, Run, Store, Unwritable

    check(options.sink)
    name, config, seed = _settings(options, entry)
    seconds = options.minutes * 60 if options.minutes else options.hours * 3600 if options.hours else None
    run = Run(Path(options.system).name, seed, plain(config))
    # A name that nobody gave is a reserved one.
    opened = Store.open(options.runs_dir / name, write=True, url=options.store, reserved=options.name is None)
    with ExitStack() as beside, opened as store:
        progress = Progress(store, f"aiga run {options.system} --name {name}", options.iterations, seconds)

        def begun(iteration: int, changed: list[str]) -> None:
            verb = f"goes on from iteration {iteration}" if iteration else "starts"
            progress.say(f"{store}: {options.system}, seed {seed}, {verb}")
            if changed:
                progress.say(
                    f"note: other versions than last time may give other numbers: {'; '.join(changed)}"
                )
            progress.begin(iteration)
            if options.view:
                beside.enter_context(_page(options, name))

        def stopping() -> None:
            progress.say("stopping after this iteration; Ctrl-C again stops at once and loses it")

        try:
            about = About(name, run, options.runs_dir / name)
            with (
                _system(options, entry, config) as system,
                stop_on_signals(stopping) as stop,
                outlets(options.sink, about, progress.say) as sinks,
                progress,
            ):
                drive(
                    system,
                    store,
                    run,
                    iterations=options.iterations,
                    seconds=seconds,
                    stop=stop,
                    listen=[progress.step, *(sink.step for sink in sinks)],
                    begun=begun,
                )
        except Lost as error:
            raise Lost(f"{error}; started again, the run goes on from its last commit") from None
        except Unwritable as error:
            last = f"iteration {progress.iteration}" if progress.iteration else "its last commit"
            raise Unwritable(f"{error}; the run is as {last} left it") from None
        except KeyboardInterrupt:
            print(f"stopped at once, as iteration {progress.iteration} left it", file=sys.stderr)
            raise
        print(_closing(store, options))
        store.close()
        if options.view and sys.stdout.isatty():
            print("the page stays open; Ctrl-C ends it")
            with suppress(KeyboardInterrupt):
                signal.pause()
    return 0


def _page(options: argparse.Namespace, name: str) -> AbstractContextManager[None]:
    """The page on the run, in a process of its own."""
    from aiga.viewer.serving import beside

    words = ["--runs-dir", str(options.runs_dir)]
    words += ["--store", options.store] if options.store else []
    words += ["--with", options.system] if options.system.endswith(".py") else []
    return beside([*words, "--", name])


@contextmanager
def _system(options: argparse.Namespace, entry: Entry, config: Any) -> Iterator[System[Any]]:
    """The system, with the engine that was asked for."""
    from aiga.cli.settings import UserError

    for name in ("workers", "address"):
        if getattr(options, name) is not None and options.engine != "ray":
            raise UserError(f"{name}: goes with --engine ray alone")
    if options.engine == "threads":
        yield entry.build(config)
        return
    if entry.evaluator is None and not (entry.spreads and options.engine == "ray"):
        some = "threads or ray" if entry.spreads else "threads"
        raise UserError(f"engine: {some}, as {options.system} brings its own evaluation")
    if options.engine == "jax":
        assert entry.evaluator is not None
        yield entry.build(config, entry.evaluator(config, "jax", 0))
        return
    from functools import partial

    from aiga.play.cluster import cluster, pool

    workers, address = options.workers or threads_here(), options.address
    try:
        if entry.evaluator is None:
            with pool(workers, address) as spread:
                yield entry.build(config, spread)
        else:
            with cluster(partial(entry.evaluator, config, "native", 1), workers, address) as evaluate:
                yield entry.build(config, evaluate)
    except ImportError:
        raise UserError("engine: ray is not installed: pip install 'aiga[ray]'") from None
    except ConnectionError as error:
        raise UserError(f"address: {options.address}: {error}") from None


def _settings(options: argparse.Namespace, entry: Entry) -> tuple[str, Any, int]:
    """The run's name, configuration and seed: of a run that exists its own, which may not be changed."""
    from aiga.cli.settings import UserError, changed, from_flags, from_preset, from_toml, resolve, stored

    default = entry.config()
    kind = type(default)
    asked = [from_toml(kind, options.config)] if options.config else []
    asked.append(from_flags(kind, options.flags))
    existing = _existing(options)
    if existing is None:
        preset = options.preset or entry.preset
        base = [from_preset(kind, options.system, preset)] if preset else []
        config = resolve(default, *base, *asked)
        name = options.name or _fresh_name(options, Path(options.system).stem)
        return name, config, options.seed or 0

    system = Path(options.system).name
    if existing.system != system:
        raise UserError(f"name: {options.name} is a run of {existing.system}, not of {system}")
    if options.seed not in (None, existing.seed):
        raise UserError(
            f"seed: {existing.seed} in {options.name}, and a run keeps it; start another with a new --name"
        )
    before = stored(default, existing.config)
    if options.preset:
        asked.insert(0, from_preset(kind, options.system, options.preset))
    wanted = {field: value for layer in asked for field, value in layer.items()}
    resolve(default, before, wanted)
    if change := changed(before, wanted):
        field, old, new = change
        raise UserError(
            f"{field}: {old} in {options.name}, and a run keeps it; {new} needs a run with a new --name"
        )
    return options.name, resolve(default, before), existing.seed


def _existing(options: argparse.Namespace) -> Any:
    from aiga.runs.store import Store, runs_of

    if options.name is None or not runs_of(options.runs_dir, options.store).database(options.name).exists():
        return None
    with Store.open(options.runs_dir / options.name, url=options.store) as store:
        run = store.run()
        if run is not None:
            store.verify()
        return run


def _fresh_name(options: argparse.Namespace, system: str) -> str:
    """SYSTEM-0001 or the first number after those taken, reserved, so that nobody else takes it."""
    from aiga.runs.store import runs_of

    runs = runs_of(options.runs_dir, options.store)
    pattern = re.compile(rf"{re.escape(system)}-(\d+)")
    number = max((int(match[1]) for name in runs.taken() if (match := pattern.fullmatch(name))), default=0)
    while True:
        number += 1
        if runs.reserve(name := f"{system}-{number:04}"):
            return name


def _where(options: argparse.Namespace) -> str:
    """The options that lead back to where the runs are. A password is left out."""
    import shlex

    from aiga.runs.store import runs_of

    folder = "" if options.runs_dir == Path("runs") else f" --runs-dir {options.runs_dir}"
    if options.store is None:
        return folder
    return f" --store {shlex.quote(str(runs_of(options.runs_dir, options.store)))}{folder}"


def _closing(store: Store, options: argparse.Namespace) -> str:
    """What emerged, and what to do next."""
    from aiga.runs.words import counted, course_in_words

    name, summary, where = store.name, store.summary(), _where(options)
    lines = [f"{name}: iteration {summary.iteration}" + _with_steps(summary.metrics.get("steps"))]
    rows = store.rows("environments")
    if rows:
        living = f"{summary.active} active, {summary.archived} archived"
        born = f"{counted(summary.environments, 'environment')} ({living})"
        lines.append(f"  {born}, {summary.solved} solved, {counted(summary.transfers, 'transfer')}")
    if summary.best_transfer:
        source, target, gain, kind = summary.best_transfer
        lines.append(f"  best transfer: the agent of {source} into {target}, {kind}, {gain:+.1f}")
    solved = [row for row in rows if row["solved"] is not None]
    if solved:
        last = max(solved, key=lambda row: (row["solved"], row["id"]))
        words = course_in_words(last["course"])
        lines.append(f"  solved last: environment {last['id']} at iteration {last['solved']} ({words})")
    lines.append(f"continue:  aiga run {options.system} --name {name}{where}")
    lines.append(f"look:      aiga view {name}{where}, or aiga show {name}{where}")
    if rows:
        seen = max(solved or rows, key=lambda row: (row["solved"] or 0, row["id"]))
        lines.append(f"watch:     aiga replay {name} {seen['id']} --out walk.gif{where}")
    return "\n".join(lines)


def _with_steps(steps: float | None) -> str:
    return f", {steps:,.0f} steps" if steps else ""


# -- aiga view ----------------------------------------------------------------------------------------------


def _view(options: argparse.Namespace) -> int:
    from aiga.cli.settings import UserError
    from aiga.registry import SYSTEMS, from_file
    from aiga.runs.store import Store
    from aiga.viewer.app import Page
    from aiga.viewer.serving import serve

    if options.name is not None:
        Store.open(options.runs_dir / options.name, url=options.store).close()
    entries, extra = dict(SYSTEMS), {}
    for path in options.files:
        try:
            entries[path.name] = entry = from_file(path)
            extra |= {file.relative_to(path.parent).as_posix(): file.read_bytes() for file in entry.files}
        except (ValueError, OSError) as error:
            raise UserError(f"with: {error}") from None

    def told(address: str) -> None:
        if options.name is not None:
            address += f"#/{options.name}"
        print(f"{address}\nCtrl-C ends it", flush=True)
        # With a token it is not opened: a browser's command line is for all on this machine to read.
        if not options.no_browser and sys.stdout.isatty() and "?token=" not in address:
            import webbrowser

            webbrowser.open(address)

    page = Page(options.runs_dir, options.store, entries, extra)
    try:
        serve(page, options.listen, options.port, told)
    except OSError as error:
        where = f"port: {options.port}" if options.port else f"listen: {options.listen}"
        raise UserError(f"{where}: {error.strerror or error}") from None
    return 0


# -- the others ---------------------------------------------------------------------------------------------


def _read(options: argparse.Namespace) -> Store:
    """The store of a run that has begun."""
    from aiga.runs.store import RunError, Store

    store = Store.open(options.runs_dir / options.name, url=options.store)
    if store.run() is None:
        store.close()
        raise RunError(f"{options.name}: has not begun yet")
    return store


def _list(options: argparse.Namespace) -> int:
    import json

    from aiga.runs.store import RunError, Store, runs_of

    found: list[dict[str, Any]] = []
    runs = runs_of(options.runs_dir, options.store)
    for name in runs.names():
        row: dict[str, Any] = {"name": name, "running": runs.database(name).is_running()}
        try:
            with Store.open(options.runs_dir / name, url=options.store) as store:
                run = store.run()
                if run is not None:
                    summary = store.summary()
                    row |= {"system": run.system, "seed": run.seed, "iteration": summary.iteration}
                    row |= {"environments": summary.environments, "solved": summary.solved}
                    row |= {"steps": int(summary.metrics.get("steps") or 0)}
        except RunError as error:
            row["error"] = str(error)
        found.append(row)
    if options.json:
        print(json.dumps(found))
    elif not found:
        print(f"no runs in {runs}; start one: aiga run poet --minutes 10{_where(options)}")
    else:
        print(_table(found))
    return 0


def _table(found: list[dict[str, Any]]) -> str:
    columns = ("name", "system", "seed", "iteration", "environments", "solved", "steps")
    lines = [[*columns, ""]]
    for row in found:
        state = row.get("error") or ("running" if row["running"] else "" if "system" in row else "not begun")
        lines.append(
            [
                f"{value:,}" if (value := row.get(column, "")) == row.get("steps", ...) else str(value)
                for column in columns
            ]
            + [state]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=False))
        )
        + (f"  {line[-1]}" if line[-1] else "")
        for line in lines
    )


def _show(options: argparse.Namespace) -> int:
    import json
    import shutil

    from aiga.cli.show import as_data, as_text

    tty = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if tty else 10**6
    with _read(options) as store, store.snapshot():
        store.verify()
        if options.json:
            said = json.dumps(as_data(store), allow_nan=False)
        else:
            said = as_text(store, width, colour=tty and "NO_COLOR" not in os.environ)
    print(said)
    return 0


def _replay(options: argparse.Namespace) -> int:
    from aiga.cli.settings import UserError
    from aiga.registry import SYSTEMS

    with _read(options) as store:
        run = store.run()
        assert run is not None
        entry = SYSTEMS.get(run.system)
        if entry is None or entry.replay is None:
            raise UserError(f"name: {options.name} is a run of {run.system}, which cannot be drawn")
        rows = {row["id"]: row for row in store.rows("environments")}
        row = rows.get(options.environment)
        if row is None:
            last = f"0 to {max(rows)}" if rows else "none yet"
            raise UserError(
                f"ENV: the id of an environment of {options.name} ({last}), not {options.environment}"
            )
        suffix = options.out.suffix.lower()
        if suffix not in (".gif", ".mp4"):
            raise UserError(f"out: a file that ends in .gif or .mp4, not '{options.out}'")
        if suffix == ".mp4":
            try:
                import av  # noqa: F401
            except ImportError:
                raise UserError("out: .mp4 needs av: pip install 'aiga[video]'") from None
        if not options.out.absolute().parent.is_dir():
            raise UserError(f"out: {options.out.parent}: no such folder")
        agent = store.find_agent(str(options.environment) if options.agent is None else options.agent)
        weights = store.array(agent)
    try:
        said = entry.replay(run.config, row["course"], weights, options.seed, options.out, options.lidar)
    except OSError as error:
        raise UserError(f"out: {options.out}: {error.strerror or error}") from None
    except ValueError as error:
        raise UserError(str(error)) from None
    print(f"{options.out}: agent {agent[:12]} in environment {options.environment}: {said}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from aiga.cli.export import export
    from aiga.cli.settings import UserError, resolve, stored
    from aiga.registry import SYSTEMS

    with _read(options) as store:
        run = store.run()
        assert run is not None
        entry = SYSTEMS.get(run.system)
        if entry is not None and entry.source is not None:
            return _export_source(options, entry.source, run.config, store.rows("events"))
        if entry is None or entry.policy is None:
            raise UserError(f"name: {options.name} is a run of {run.system}, whose agents do not stand alone")
        agent = store.find_agent(options.agent)
        weights = store.array(agent)
    default = entry.config()
    policy = entry.policy(resolve(default, stored(default, run.config)))
    try:
        files = export(
            weights, policy, options.folder, {"agent": agent, "run": options.name, "system": run.system}
        )
    except OSError as error:
        raise UserError(f"DIR: {options.folder}: {error.strerror}") from None
    for file in files:
        print(file)
    return 0


def _export_source(options: argparse.Namespace, source: Any, config: Any, events: Any) -> int:
    from aiga.cli.settings import UserError

    try:
        text = source(config, events, options.agent)
        options.folder.mkdir(parents=True, exist_ok=True)
        (options.folder / "program.py").write_text(text)
    except ValueError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"DIR: {options.folder}: {error.strerror}") from None
    print(options.folder / "program.py")
    return 0


def _experiment(options: argparse.Namespace) -> int:
    from aiga.cli.settings import UserError, from_preset, nearest, presets, resolve
    from aiga.experiments import EXPERIMENTS
    from aiga.experiments.lab import Lab, OutOfTime
    from aiga.registry import SYSTEMS
    from aiga.runs.loop import stop_on_signals
    from aiga.runs.words import counted

    if options.name is None:
        width = max(map(len, EXPERIMENTS))
        print("\n".join(f"{name:{width}}  {each.summary}" for name, each in EXPERIMENTS.items()))
        return 0
    if options.name not in EXPERIMENTS:
        names = ", ".join(EXPERIMENTS)
        raise UserError(f"NAME: one of {names}, not '{options.name}'{nearest(options.name, EXPERIMENTS)}")
    experiment = EXPERIMENTS[options.name]
    arms = options.arm or experiment.arms
    if options.arm and not experiment.alone:
        raise UserError(f"--arm: not of {options.name}, whose arms are only told together")
    for arm in set(arms) - set(experiment.arms):
        known = ", ".join(repr(each) for each in experiment.arms)
        raise UserError(f"--arm: one of {known}, not {arm!r}{nearest(arm, experiment.arms)}")
    folder = options.runs_dir / (options.folder or experiment.folder)
    seeds, system = options.seeds or experiment.seeds, experiment.system
    default = SYSTEMS[system].config()
    configs = {name: resolve(default, from_preset(type(default), system, name)) for name in presets(system)}
    with (
        stop_on_signals() as stop,
        Lab(
            folder,
            options.name,
            tuple(arms),
            range(seeds),
            experiment.runs or len(arms),
            (options.minutes or experiment.minutes) * 60,
            options.steps,
            stop,
            lambda line: print(f"{line}\n", end="", flush=True),  # in one piece, as trials may be threads
            experiment.unit,
        ) as lab,
    ):
        try:
            experiment.run(lab, configs)
            end = counted(seeds, "seed")
        except OutOfTime:
            end = "not finished; the same command goes on"
        found = lab.results.values()
        steps = f"{lab.steps:,} {experiment.unit} a trial, " if lab.steps else ""
        print(f"\n{experiment.summary}: {steps}{end}\n")
        print(experiment.tell(lab))
        if found:
            picture = folder / f"{options.name}.png"
            experiment.draw(lab, picture)
            print(f"\n{folder / 'results.db'}, {picture}")
    return 0


def _bench(options: argparse.Namespace) -> int:
    import json

    from aiga.cli.settings import UserError, nearest
    from aiga.registry import BENCHMARKS

    if options.name is None:
        print(json.dumps(sorted(BENCHMARKS)) if options.json else "\n".join(sorted(BENCHMARKS)))
        return 0
    if options.name not in BENCHMARKS:
        names = ", ".join(BENCHMARKS)
        raise UserError(f"NAME: one of {names}, not '{options.name}'{nearest(options.name, BENCHMARKS)}")
    if options.engine and options.name != "walker":
        raise UserError("engine: goes with walker alone")
    data, text = BENCHMARKS[options.name](**({"engine": options.engine} if options.engine else {}))
    print(json.dumps(data, allow_nan=False) if options.json else text)
    return 0
