"""One live capture from start to end: processes are made, privileges go, records are written until the end."""

import gc
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple, NoReturn, Protocol

from netwatch.attribution.catalogue import Catalogue
from netwatch.engine.engine import Engine
from netwatch.model.errors import ExitCode, NetwatchError, SourceError
from netwatch.model.ledger import Ledger
from netwatch.model.limits import MAX_FLOWS
from netwatch.model.records import FlowBatch, Release
from netwatch.places.local import LocalNetworks
from netwatch.places.places import Places
from netwatch.runtime import datafiles
from netwatch.runtime.filtering import Filter
from netwatch.runtime.guard import GuardState, Mode, apply, kernel, preload, privileges, unprivileged
from netwatch.runtime.live.crew import FIRST_FD, Crew, Gap, seclude
from netwatch.runtime.live.folders import refuse_folders
from netwatch.runtime.live.hook import Hook
from netwatch.runtime.live.ledgers import joined
from netwatch.runtime.live.link import Link
from netwatch.runtime.live.messages import Beat, Message, Ready, Released, Snapshot, encode, flow_batch, release
from netwatch.runtime.live.recorder import Record, Recorder
from netwatch.runtime.live.reload import Again
from netwatch.runtime.live.terminal import Terminal, hangups, write_in_background
from netwatch.runtime.live.worker import Worker
from netwatch.runtime.notify import Notifier
from netwatch.runtime.processes import Processes
from netwatch.runtime.session import Judge, Outputs, Result, draw
from netwatch.runtime.signals import stoppable
from netwatch.sinks.base import Sink
from netwatch.sinks.encode import json_object
from netwatch.sinks.rotation import Standing
from netwatch.sinks.summary import Summary
from netwatch.sources.base import CaptureInfo
from netwatch.sources.live import RING_BLOCKS, SNAPLEN, LiveSource, Opened, open_live

ALARM_S: Final = 2.0  # a worker that does not come round in this time is ended by the system (M9)
LOOK_MS: Final = 100
TEND_S: Final = 1.0  # how often outputs write what waits, and end files whose time is over
JUDGE_S: Final = 2.0  # how often the verdict is looked at
PR_SET_PDEATHSIG: Final = 1
JUDGE_SHARE: Final = 0.1  # of the time that may go into that
END_S: Final = 30.0  # how long the last records may take


@dataclass(frozen=True, slots=True)
class Capture:
    """What to capture. program: cBPF for the kernel, None: everything."""

    interfaces: Sequence[str]
    program: bytes | None = None
    snaplen: int = SNAPLEN
    ring_blocks: int = RING_BLOCKS
    promiscuous: bool = False
    source: str = "auto"
    max_flows: int = MAX_FLOWS


class Means(NamedTuple):
    """What a capture is judged and written with.

    sinks: opens the outputs, once no privilege is left.   folders: where they are.
    hook: a command that is run when the verdict turns.   sandbox: strict, auto or off.
    duration: seconds, None: until it is told to stop.   processes: name the programs of this machine's flows.
    records: where packets are written to.   again: what SIGHUP reads again, None: nothing.
    """

    catalogue: Catalogue
    places: Places
    local_nets: Sequence[str] = ()
    chosen: Filter | None = None
    judge: Judge | None = None
    sinks: Callable[[ExitStack, Standing], Sequence[Sink]] = lambda _stack, _standing: ()
    folders: Sequence[Path] = ()
    hook: str | None = None
    sandbox: Mode = "auto"
    duration: int | None = None
    processes: bool = False
    records: Sequence[Record] = ()
    again: Again | None = None


class State(NamedTuple):
    """How a capture stands.

    ledger: the counters of all capture processes together.   summary: of the flows that ended.   live: the flows that
    had not when they were last told.   seconds: since the start.   gaps: how often the capture process broke down.
    """

    ledger: Ledger
    summary: Summary
    live: Sequence[FlowBatch]
    seconds: float
    gaps: int


class Screen(Protocol):
    """Who is told what happens. verdict: on what was seen until now, when its word is another one than before."""

    def event(self, text: str) -> None: ...

    def state(self, state: State) -> None: ...

    def verdict(self, verdict: Mapping[str, object]) -> None: ...


def watch(capture: Capture, means: Means, screen: Screen) -> Result:
    """Capture until a signal, the end of `duration`, or the end of the capture processes.

    Raises SourceError where nothing can be captured, CrewError, SinkError, GuardError.
    """
    write_in_background()
    preload()
    if means.sandbox != "off" and os.geteuid() == 0:
        refuse_folders([*means.folders, *(one.path.parent for one in means.records)])
    if means.judge is not None:
        means.judge.prepare()
    vendor = datafiles.vendors()
    vendor.load()
    means.places.load()
    recorders = [Recorder(_open(capture, means), one, capture.snaplen, means.sandbox) for one in means.records]
    opened = _open(capture, means)
    local = LocalNetworks(means.local_nets)

    def engine() -> Engine:
        return Engine(
            means.catalogue, means.places, vendor.vendor, local, max_flows=capture.max_flows, draw=draw, streamed=True
        )

    gc.freeze()
    notifier = Notifier()
    hook = None if means.hook is None else Hook(means.hook, lambda: privileges.become(unprivileged()))
    crew = Crew(lambda link: _work(link, opened, engine, means.sandbox))
    opened.close()
    with ExitStack() as stack:
        stack.callback(crew.close)
        if hook is not None:
            stack.callback(hook.close)
        processes = Processes(means.sandbox) if means.processes else None
        if processes is not None:
            stack.callback(processes.close)
        for recorder in recorders:
            stack.callback(recorder.close)
        crew.start()
        ready = [*crew.ready, *(recorder.ready() for recorder in recorders)]
        readable = means.again.paths() if means.again is not None else ()
        state = apply("output", read=readable, write=means.folders, mode=means.sandbox)
        _say_guard(screen, state, ready)

        def outputs(run: Standing) -> Outputs:
            return Outputs(means.chosen, means.judge, means.sinks(stack, run), lenient=True)

        stack.callback(notifier.close)
        notifier.ready()
        return _Run(capture, means, screen, crew, outputs, hook, notifier, processes, recorders).run()


def _open(capture: Capture, means: Means) -> Opened:
    """Open the capture once: each process that reads packets has a ring of its own."""
    opened = open_live(
        capture.interfaces,
        snaplen=capture.snaplen,
        ring_blocks=capture.ring_blocks,
        promiscuous=capture.promiscuous,
        program=capture.program,
        kind=capture.source,
    )
    if means.sandbox != "off":
        opened.move(FIRST_FD)
    return opened


def _work(link: Link, opened: Opened, engine: Callable[[], Engine], sandbox: Mode) -> NoReturn:
    """Be a capture process: give up everything, wait until it is wanted, work."""
    seclude(link, None if sandbox == "off" else FIRST_FD)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # also where it hangs, it does not outlive who made it
    state = apply("worker", mode=sandbox)
    link.send(encode(Ready(list(state.missing))))
    while not (said := link.receive()):
        if link.closed:
            os._exit(0)
        link.wait()
    Worker(
        link,
        LiveSource(opened),
        engine,
        alive=lambda: signal.setitimer(signal.ITIMER_REAL, ALARM_S),
        said=said[1:],  # the first one is GO
    ).run()
    os._exit(0)


def _say_guard(screen: Screen, state: GuardState, ready: Iterable[Ready]) -> None:
    missing = dict.fromkeys([*state.missing, *(word for one in ready for word in one.missing)])
    if missing:
        screen.event(f"the sandbox is not whole: {', '.join(missing)}")


class _Run:
    """The loop of the process that owns the outputs."""

    def __init__(
        self, capture: Capture, means: Means, screen: Screen, crew: Crew, outputs: Callable[[Standing], Outputs],
        hook: Hook | None, notifier: Notifier, processes: Processes | None, recorders: Sequence[Recorder],
    ) -> None:  # fmt: skip
        self._capture = capture
        self._means = means
        self._screen = screen
        self._crew = crew
        self._past: list[Beat] = []  # of workers that broke down, as they told last
        self._live: list[FlowBatch] = []
        self._told = 0  # flows that came
        self._begun = monotonic()
        self._hook = hook
        self._notifier = notifier
        self._processes = processes
        self._watched_at = self._begun
        self._verdict: object = None
        self._judge_at = self._begun + JUDGE_S
        self._recorders = recorders
        self._terminal = Terminal()
        self._hung_up = self._waiting = False
        self._tended_at = self._begun
        self._outputs = outputs(self)

    def run(self) -> Result:
        stopping_at: float | None = None
        with stoppable(self._stop), hangups(self._note_hangup):
            while not self._crew.finished:
                for message in self._crew.messages(LOOK_MS):
                    self._take(message)
                for text in self._processes.poll() if self._processes is not None else ():
                    self._screen.event(text)
                now = monotonic()
                self._look_after(now)
                if self._means.duration is not None and now - self._begun >= self._means.duration:
                    self._stop()
                if self._notifier.watchdog_s is not None and now - self._watched_at >= self._notifier.watchdog_s:
                    self._watched_at = now
                    self._notifier.watchdog()
                if now >= self._judge_at:
                    self._judge()
                stopping_at = stopping_at or (now if self._crew.stopping else None)
                if stopping_at is not None and now - stopping_at > END_S:
                    raise SourceError("the capture process does not end; what it told until now is written")
                self._screen.state(
                    State(joined(self._beats()), self._outputs.summary, self._live, now - self._begun, len(self._past))
                )
        self._notifier.stopping()
        return self._close()

    def record(self, summary: Summary) -> Mapping[str, object]:
        """Return the summary record of some of the records, with the counters as they stand."""
        ledger = joined(self._beats())
        return summary.record([self._info(ledger)], ledger, self._means.places.databases, self._means.catalogue)

    def say(self, text: str) -> None:
        """Tell the user."""
        self._screen.event(text)

    def _stop(self) -> None:
        self._crew.stop()
        for recorder in self._recorders:
            recorder.stop()

    def _note_hangup(self) -> None:
        self._hung_up = True

    def _look_after(self, now: float) -> None:
        """See to the outputs, to who writes packets, and to the terminal."""
        for recorder in self._recorders:
            for text in recorder.events():
                self._screen.event(text)
        if now - self._tended_at >= TEND_S:
            self._tended_at = now
            self._outputs.tend()
        if self._outputs.waiting != self._waiting:
            self._waiting = self._outputs.waiting
            self._screen.event(
                "the disk is full: records wait in memory" if self._waiting else "records are written again"
            )
        problems, self._outputs.problems = self._outputs.problems, []
        for text in problems:
            self._screen.event(text)
        if self._outputs.deserted:
            self._stop()
        if self._hung_up:
            self._hung_up = False
            if self._terminal.closed:
                self._terminal.leave()
                self._stop()
            else:
                self._reload()

    def _reload(self) -> None:
        """Read everything again; what cannot be used changes nothing."""
        again, judge = self._means.again, self._means.judge
        if again is None:
            return
        try:
            fresh = again.read()
        except (NetwatchError, OSError) as error:
            self._screen.event(f"not read again: {error}; what held before still holds")
            return
        if not self._crew.tell(fresh.message):
            self._screen.event("not read again: the capture process is too busy; try again later")
            return
        if judge is not None and fresh.policy is not None:
            judge.renew(fresh.policy, fresh.catalogue, fresh.places)
        self._outputs.choose(fresh.chosen)
        self._means = self._means._replace(catalogue=fresh.catalogue, places=fresh.places, chosen=fresh.chosen)
        self._screen.event(f"signatures {fresh.catalogue.version}, databases and policy were read again")

    def _take(self, message: Message | Gap) -> None:
        match message:
            case Released():
                self._write(release(message))
            case Snapshot(flows=flows):
                self._live = [flow_batch(one) for one in flows]
            case Beat(events=events):
                for text in events:
                    self._screen.event(text)
            case Gap():
                self._mend(message)
            case _:
                pass

    def _judge(self) -> None:
        """Look whether the verdict has turned."""
        begun = monotonic()
        ledger = joined(self._beats())
        means = self._means
        verdict = self._outputs.preview([self._info(ledger)], ledger, means.places, means.catalogue, self._live)
        self._judge_at = monotonic() + max(JUDGE_S, (monotonic() - begun) / JUDGE_SHARE)
        if verdict is not None and verdict["verdict"] != self._verdict:
            self._verdict = verdict["verdict"]
            self._screen.verdict(verdict)
            if self._hook is not None:
                self._hook.run(json_object(verdict).encode("ascii"))

    def _info(self, ledger: Ledger) -> CaptureInfo:
        beats = self._beats()
        first = min((beat.first for beat in beats if beat.first), default=None)
        last = max((beat.clock for beat in beats if beat.clock), default=None)
        name = ",".join(self._capture.interfaces)
        return CaptureInfo(name, "live", sum(ledger.states), first, last, complete=not self._past)

    def _mend(self, gap: Gap) -> None:
        """Write what a worker that broke down had under way, as far as it is known, and count what is not."""
        before = self._told
        for one in gap.snapshot.flows if gap.snapshot is not None else ():
            self._write(Release(flow_batch(one), []))
        if gap.beat is not None:
            self._past.append(gap.beat)
        self._live = []
        self._screen.event(
            f"the capture process broke down ({gap.why}); another one took over; {self._told - before} flows that were "
            f"under way are written as they stood"
        )

    def _write(self, one: Release) -> None:
        self._told += len(one.flows)
        self._outputs.take(iter([one if self._processes is None else self._processes.named(one)]))

    def _beats(self) -> list[Beat]:
        """Return what each capture process told last."""
        return [*self._past, *([self._crew.beat] if self._crew.beat is not None else [])]

    def _close(self) -> Result:
        ledger = joined(self._beats())
        ledger.flows_ended = ledger.flows_created  # those of a worker that broke down ended with it
        ledger.export_dropped += self._outputs.dropped + max(0, ledger.flows_created - self._told)
        if self._means.sandbox == "off":
            ledger.anomalies["sandbox_off"] += 1
        record, verdict = self._outputs.close(
            [self._info(ledger)], ledger, self._means.places, self._means.catalogue, partial=bool(self._past)
        )
        messages = [] if self._processes is None else [self._processes.report()]
        for recorder in self._recorders:
            messages += recorder.finish()
        if self._past:
            messages.append(f"{len(self._past)} times the capture was interrupted: the ledger counts what was lost")
        return Result(record, ExitCode.OK, [*messages, *self._means.places.notices], verdict)
