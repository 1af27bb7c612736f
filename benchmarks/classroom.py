"""A class at work: students without browsers, who move a slider every two to four seconds at one server.

    python -m benchmarks.classroom [--students 30] [--seconds 120] [--model resnet20] [--greedy | --training]

Each student is a websocket client that speaks Streamlit's own protocol, so that the real server does all of its work:
it opens the page, keeps the elements that it is sent, sends the states of its sliders, and reruns the fragments that
ask to be rerun at intervals. Every second student follows the teacher: the same moves, each at its own pace. The
others move on their own, at random, the same way each time. With --greedy, one person more starts the longest work that
the pages have, all of it one after the other: a sweep of all networks, a search, a scan, an export and a training. With
--training, that person starts the training alone.

Prints three markdown tables. Times: from sending a move until three metrics say what `compression` computes for it and
a chart has come after it; and until accuracy shows its first number for it. Where an estimate of the size is expected,
the exact size may stand, if another student has had it counted. Counts: moves that the next one
overtook, errors on any page, and students whose page at the end does not show their last move (lost updates). Memory
and processor time: of the server and all of its processes; of memory also how much it grew in the last half.
"""

import argparse
import asyncio
import os
import random
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import DoubleArray, StringArray
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.Slider_pb2 import Slider
from streamlit.proto.WidgetStates_pb2 import WidgetState
from tqdm import tqdm

from benchmarks.journey import START, answer
from benchmarks.setting import conditions, network, table
from compression.networks.macs import layer_macs
from compression.paths import PROJECT
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from pages.ui.settings.controls import BITS
from tests.support.serving import serving

PAUSE_SECONDS = 2.0, 4.0
SETTLE_SECONDS = 10.0
Work = tuple[tuple[str, dict[str, str], str], ...]
GREED: Work = (  # what a greedy person starts: page, its link, key of the button
    (
        "tradeoffs",
        {
            "view": "Sweep",
            "sweep_networks": "resnet20,vgg,mobilenetv2,cnn3,simple_cnn",
            "sweep_bits": "2,3,4,5,6,8",
            "sweep_schemes": "symmetric,affine,k-means",
            "sweep_sparsities": "0,0.13,0.37,0.63",
        },
        "sweep",
    ),
    ("tradeoffs", {"view": "Search", "model": "vgg"}, "search start"),
    ("layers", {"model": "vgg", "bits": "4"}, "scan start"),
    ("deploy", {"model": "mobilenetv2", "bits": "8"}, "deploy"),
    ("recover", {"model": "resnet20", "bits": "2", "epochs": "5"}, "training start"),
)
OPEN_SECONDS = 120.0
CHARTS = 1  # of Plotly; the one of accuracy comes with its first number
ESTIMATE = "≈ "
Metrics = dict[str, str]


class Move(NamedTuple):
    """A slider that is moved to a value, and the spec that the page must show then."""

    label: str
    value: str | float
    spec: CompressionSpec
    pause_seconds: float


@dataclass
class MoveTimes:
    """Milliseconds from sending a move; None for what had not arrived when the next move was sent."""

    shown_ms: float | None = None
    accuracy_ms: float | None = None


class Node(NamedTuple):
    """An element of the page, the fragment that drew it, and the run."""

    element: Any
    fragment: str
    run: str


class Page:
    """The elements of a page by their path, as a browser keeps them from the deltas that it receives."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, ...], Node] = {}

    def take(self, path: tuple[int, ...], node: Node) -> None:
        """Puts an element at its path. It replaces all elements at this path and below it."""
        for other in [other for other in self.nodes if other[: len(path)] == path]:
            del self.nodes[other]
        self.nodes[path] = node

    def finish(self, run: str, fragments: list[str]) -> None:
        """Drops the elements that a run did not draw again: those of its `fragments`, or of the page if it has none."""
        self.nodes = {
            path: node
            for path, node in self.nodes.items()
            if node.run == run or (fragments and node.fragment not in fragments)
        }

    def metrics(self) -> Metrics:
        return {
            node.element.metric.label: node.element.metric.body
            for node in self.nodes.values()
            if node.element.WhichOneof("type") == "metric"
        }

    def slider(self, label: str) -> tuple[Any, str]:
        """Returns the enabled slider of that name and its fragment."""
        for node in self.nodes.values():
            slider = node.element.slider
            if node.element.WhichOneof("type") == "slider" and slider.label == label and not slider.disabled:
                return slider, node.fragment
        raise LookupError(f"there is no slider {label!r}")


def state_of(element: Any) -> WidgetState | None:
    """Returns the state that a browser sends of an untouched widget; None for kinds of elements without a state."""
    kind = element.WhichOneof("type")
    widget = getattr(element, kind)
    match kind:
        case "slider" if widget.type == Slider.SELECT_SLIDER:
            choice = widget.raw_value if widget.set_value else [widget.options[int(at)] for at in widget.default]
            return WidgetState(id=widget.id, string_array_value=StringArray(data=choice))
        case "slider":
            values = widget.value if widget.set_value else widget.default
            return WidgetState(id=widget.id, double_array_value=DoubleArray(data=values))
        case "button_group":
            choice = widget.raw_values if widget.set_value else [widget.options[at].content for at in widget.default]
            return WidgetState(id=widget.id, string_array_value=StringArray(data=choice))
        case "selectbox":
            choice = widget.raw_value if widget.set_value else widget.options[widget.default]
            return WidgetState(id=widget.id, string_value=choice)
        case "checkbox":
            return WidgetState(id=widget.id, bool_value=widget.value if widget.set_value else widget.default)
    return None


def _in_words(metric: Any) -> str:
    return f"{metric.label} {metric.body}"


@dataclass
class Student:
    """One session. `expected` are the metrics of each spec."""

    url: str
    settings: dict[str, Any]
    moves: list[Move]
    expected: dict[CompressionSpec, Metrics]
    page: Page = field(default_factory=Page)
    times: list[MoveTimes] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    opened_ms: float = 0.0
    is_outdated: bool = False
    _states: dict[str, WidgetState] = field(default_factory=dict)
    _timers: dict[str, tuple[float, asyncio.Task]] = field(default_factory=dict)
    _hash: str = ""
    _sent_at: float = 0.0
    _expected_metrics: Metrics | None = None
    _charts: int = 0

    async def attend(self, start: asyncio.Event, until: asyncio.Event) -> None:
        """Opens the page, waits for `start`, moves until `until`, and checks the last move after SETTLE_SECONDS."""
        address = f"{self.url.replace('http', 'ws', 1)}/_stcore/stream"
        async with websockets.connect(address, subprotocols=["streamlit"], max_size=None) as self._socket:
            listener = asyncio.create_task(self._listen())
            self._sent_at = time.perf_counter()
            await self._rerun()
            await asyncio.wait_for(self.opened.wait(), OPEN_SECONDS)
            await start.wait()
            for move in self.moves:
                try:
                    await asyncio.wait_for(until.wait(), move.pause_seconds)
                    break
                except TimeoutError:
                    await self._move(move)
            await asyncio.sleep(SETTLE_SECONDS)
            self.is_outdated = self._expected_metrics is not None and not self._shows(self._expected_metrics)
            for _, timer in self._timers.values():
                timer.cancel()
            listener.cancel()

    async def _move(self, move: Move) -> None:
        slider, fragment = self.page.slider(move.label)
        state = WidgetState(id=slider.id)
        if isinstance(move.value, str):
            state.string_array_value.data.append(move.value)
        else:
            state.double_array_value.data.append(move.value)
        self._states[slider.id] = state
        self.settings[slider.query_param_key] = move.value
        self.times.append(MoveTimes())
        self._expected_metrics, self._charts, self._sent_at = self.expected[move.spec], 0, time.perf_counter()
        await self._rerun(fragment)

    async def _rerun(self, fragment: str = "", automatic: bool = False, page_name: str = "") -> None:
        message = BackMsg()
        rerun = message.rerun_script
        rerun.query_string = urlencode(self.settings)
        rerun.page_script_hash = self._hash
        rerun.page_name = page_name
        rerun.fragment_id = fragment
        rerun.is_auto_rerun = automatic
        rerun.context_info.url = self.url
        rerun.widget_states.widgets.extend(self._states.values())
        await self._socket.send(message.SerializeToString())

    async def _listen(self) -> None:
        async for data in self._socket:
            message = ForwardMsg.FromString(data)
            match message.WhichOneof("type"):
                case "new_session":
                    self._hash = message.new_session.page_script_hash
                    self._run = message.metadata.run
                    if not self._run.fragment_ids:
                        self._forget_timers(list(self._timers))
                case "delta" if message.delta.WhichOneof("type") == "new_element":
                    self._draw(message)
                case "delta" if message.delta.WhichOneof("type") == "add_block":
                    self.page.nodes.pop(tuple(message.metadata.delta_path), None)
                case "auto_rerun":
                    self._remember_timer(message.auto_rerun.fragment_id, message.auto_rerun.interval)
                case "stop_auto_rerun":
                    self._forget_timers(message.stop_auto_rerun.fragment_ids)
                case "script_finished" if message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    self.page.finish(self._run.script_run_id, list(self._run.fragment_ids))
                    if not self.opened.is_set():
                        self.opened_ms = self._since()
                        self.opened.set()

    def _draw(self, message: ForwardMsg) -> None:
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        node = Node(element, message.delta.fragment_id, self._run.script_run_id)
        self.page.take(tuple(message.metadata.delta_path), node)
        if state := state_of(element):
            self._states.setdefault(state.id, state)
        if kind == "exception":
            self.errors.append(element.exception.message)
        if not self.times or self._expected_metrics is None:
            return
        now = self.times[-1]
        self._charts += kind == "plotly_chart"
        if now.shown_ms is None:
            if self._charts >= CHARTS and self._shows(self._expected_metrics):
                now.shown_ms = self._since()
        elif now.accuracy_ms is None and kind == "metric" and re.match(r"Accuracy \d", _in_words(element.metric)):
            now.accuracy_ms = self._since()

    def _shows(self, metrics: Metrics) -> bool:
        shown = self.page.metrics()
        return all(
            shown.get(label) == value
            or (value.startswith(ESTIMATE) and not shown.get(label, ESTIMATE).startswith(ESTIMATE))
            for label, value in metrics.items()
        )

    def _since(self) -> float:
        return 1000 * (time.perf_counter() - self._sent_at)

    def _remember_timer(self, fragment: str, seconds: float) -> None:
        if fragment in self._timers and self._timers[fragment][0] == seconds:
            return
        self._forget_timers([fragment])

        async def again() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self._rerun(fragment, automatic=True)

        self._timers[fragment] = seconds, asyncio.create_task(again())

    def _forget_timers(self, fragments: Any) -> None:
        for fragment in fragments:
            if fragment in self._timers:
                self._timers.pop(fragment)[1].cancel()


@dataclass
class Greedy(Student):
    """One session that starts all of its `work` and stays. Its own times do not count."""

    work: Work = GREED

    async def attend(self, start: asyncio.Event, until: asyncio.Event) -> None:
        address = f"{self.url.replace('http', 'ws', 1)}/_stcore/stream"
        async with websockets.connect(address, subprotocols=["streamlit"], max_size=None) as self._socket:
            listener = asyncio.create_task(self._listen())
            for page, settings, key in self.work:
                self._begin(settings)
                await self._rerun(page_name=page)
                if page == self.work[0][0] and not start.is_set():
                    await asyncio.wait_for(self.opened.wait(), OPEN_SECONDS)
                    await start.wait()
                await asyncio.wait_for(self._press(key), OPEN_SECONDS)
                await asyncio.sleep(SETTLE_SECONDS)
            await until.wait()
            self._forget_timers(list(self._timers))
            listener.cancel()

    def _begin(self, settings: dict[str, str]) -> None:
        """Forgets the page that was shown, as a click on a link does."""
        self.settings, self.page, self._states, self._hash = dict(settings), Page(), {}, ""

    async def _press(self, key: str) -> None:
        """Waits for the button with that key, presses it, and waits until it is another one."""
        while not (found := self._button(key)):
            await asyncio.sleep(0.2)
        self._states[found.element.button.id] = WidgetState(id=found.element.button.id, trigger_value=True)
        await self._rerun(found.fragment)
        del self._states[found.element.button.id]
        while self._button(key):
            await asyncio.sleep(0.2)

    def _button(self, key: str) -> Node | None:
        """Returns the enabled button with that key, if the page has one."""
        for node in self.page.nodes.values():
            button = node.element.button
            if node.element.WhichOneof("type") == "button" and button.id.endswith(f"-{key}") and not button.disabled:
                return node
        return None


def moves(model: str, seed: str, count: int) -> list[Move]:
    """Returns moves of bits and sparsity in turn, at random but the same for the same seed."""
    chance = random.Random(seed)
    bits, sparsity = START
    result = []
    for turn in range(count):
        if turn % 2:
            bits = int(chance.choice([value for value in BITS[1:] if value != str(bits)]))
        else:
            sparsity = chance.choice([share / 100 for share in range(1, 100) if share / 100 != sparsity])
        spec = CompressionSpec(model, PruneSpec(sparsity=sparsity), QuantSpec(bits))
        change = ("Bits per weight", str(bits)) if turn % 2 else ("Sparsity", sparsity)
        result.append(Move(*change, spec, chance.uniform(*PAUSE_SECONDS)))
    return result


def classroom(url: str, model: str, count: int, seconds: float) -> list[Student]:
    """Returns the students: half of them follow the teacher's specs, the others have their own."""
    most = int(seconds / PAUSE_SECONDS[0]) + 1
    teacher_moves = moves(model, "teacher", most)
    students = []
    for number in range(count):
        own = moves(model, f"student {number}", most)
        if number % 2 == 0:
            own = [
                move._replace(pause_seconds=mine.pause_seconds) for move, mine in zip(teacher_moves, own, strict=True)
            ]
        students.append(own)
    float_model = network(model, random=False)
    macs = layer_macs(float_model.module, float_model.example)
    specs = {move.spec for own in students for move in own}
    expected = {
        spec: answer(float_model, macs, spec)["metrics"] for spec in tqdm(specs, "expected answers", leave=False)
    }
    start = {"model": model, "bits": START[0], "sparsity": START[1]}
    return [Student(url, dict(start), own, expected) for own in students]


class Load(NamedTuple):
    memory_mb: float
    processor_seconds: float


def load(pid: int) -> Load:
    """Returns the memory and processor time of a process and all of its descendants on Linux; nan elsewhere."""
    if not Path("/proc/self/stat").exists():
        return Load(float("nan"), float("nan"))
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
    family = {pid}
    while more := {child for child, stat in stats.items() if int(stat[1]) in family} - family:
        family |= more
    pages = sum(int(stats[member][21]) for member in family)
    ticks = sum(int(stats[member][11]) + int(stats[member][12]) for member in family)
    return Load(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, ticks / os.sysconf("SC_CLK_TCK"))


async def lesson(students: list[Student], pid: int, seconds: float) -> list[Load]:
    """Runs the lesson. Returns the server's load at its start, every ten seconds, and at its end."""
    start, until = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for student in students:
            group.create_task(student.attend(start, until))
        for student in students:
            await asyncio.wait_for(student.opened.wait(), OPEN_SECONDS)
        loads = [load(pid)]
        start.set()
        began = time.monotonic()
        while (remaining := began + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(10, remaining))
            loads.append(load(pid))
        until.set()
    return loads


def times(name: str, values: list[float]) -> tuple[str, ...]:
    if not values:
        return name, "0", "", "", ""
    figures = (np.median(values), np.percentile(values, 95), max(values))
    return name, str(len(values)), *(f"{value:,.0f}" for value in figures)


def report(students: list[Student], loads: list[Load], seconds: float) -> None:
    moves_made = [each for student in students for each in student.times]
    panels = [each.shown_ms for each in moves_made if each.shown_ms is not None]
    accuracy = [each.accuracy_ms for each in moves_made if each.accuracy_ms is not None]
    rows = [
        times("page opened, all at once", [student.opened_ms for student in students]),
        times("fast panels", panels),
        times("first accuracy number", accuracy),
    ]
    print(table(("what", "times", "median ms", "95th percentile ms", "longest ms"), rows), end="\n\n")
    errors = [error for student in students for error in student.errors]
    counts = [
        ("moves", len(moves_made)),
        ("overtaken before the fast panels came", len(moves_made) - len(panels)),
        ("overtaken before accuracy came", len(moves_made) - len(accuracy)),
        ("lost updates", sum(student.is_outdated for student in students)),
        ("errors", len(errors)),
    ]
    print(table(("how often", "count"), counts), end="\n\n")
    early = loads[min(3, len(loads) - 1)]
    growth = loads[-1].memory_mb - loads[len(loads) // 2].memory_mb
    processor_seconds = loads[-1].processor_seconds - loads[0].processor_seconds
    rest = [
        (
            "memory at the start, after 30 s, at the end",
            ", ".join(f"{x.memory_mb:,.0f}" for x in (loads[0], early, loads[-1])) + " MB",
        ),
        (f"memory grew in the last {seconds / 2:.0f} s by", f"{growth:,.0f} MB"),
        (
            "processor time",
            f"{processor_seconds:,.1f} s in {seconds:.0f} s, "
            f"{1000 * processor_seconds / max(1, len(moves_made)):,.0f} ms per move",
        ),
    ]
    print(table(("server", "measured"), rest))
    for error in sorted(set(errors)):
        print(f"\n{errors.count(error)} times: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--model", default="resnet20")
    one_more = parser.add_mutually_exclusive_group()
    one_more.add_argument("--greedy", action="store_true", help="one person more starts all long work that there is")
    one_more.add_argument("--training", action="store_true", help="one person more starts a training")
    options = parser.parse_args()
    with serving(PROJECT) as server:
        students = classroom(server.url, options.model, options.students, options.seconds)
        os.nice(5)
        work = GREED if options.greedy else GREED[-1:] if options.training else ()
        greedy = [Greedy(server.url, {}, [], {}, work=work)] if work else []
        loads = asyncio.run(lesson([*students, *greedy], server.pid, options.seconds))
    print(f"{options.students} students, {options.model}, {options.seconds:.0f} s; {conditions()}\n")
    report(students, loads, options.seconds)
    for error in greedy[0].errors if greedy else ():
        print(f"\nthe greedy person's page: {error}")


if __name__ == "__main__":
    main()
