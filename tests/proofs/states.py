"""Property tests of the outbox: no sequence of events breaks its invariants or leaves its states.

Hypothesis chooses what happens: letters are queued, three dispatchers take them, each stopped
before every transaction and at the dot, overtaken, killed; the relay answers whatever there is
to answer; the clock jumps; people stop, cancel, release and close. After each step every message
is held against `tests.proofs.state_table` and the ledger's invariants (I3 to I8), and
in the end all must come to a final state.
"""

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, initialize, rule

from leadcapture.models import MessageKind, SuppressionScope
from leadcapture.outbox.replies import Phase
from tests.both import Place
from tests.proofs.copied import Copies
from tests.proofs.finding import Finding
from tests.proofs.outbox_world import World
from tests.proofs.relay_script import ANSWERS, TAKES, Answer

MINUTES = (0.02, 1, 2.1, 7, 11.1, 31, 60, 240, 1440, -60)
SCOPES = (SuppressionScope.FOLLOW_UPS, SuppressionScope.FOLLOW_UPS, SuppressionScope.ALL)
KEEPS = (None, timedelta(minutes=30), timedelta(hours=48))

workers = st.integers(0, 2)
people = st.integers(0, 2)
answers = st.sampled_from(ANSWERS)
# What closes no gate comes oftener, or little would leave at all.
usual = st.sampled_from((TAKES, *(a for a in ANSWERS if a.reply.phase is Phase.DOT)))


class Deliveries(RuleBasedStateMachine):
    """What may happen to an outbox, in any order."""

    def __init__(self, world: World, done: Callable[[World], None]) -> None:
        super().__init__()
        self.world = world
        self._done = done

    @initialize(kinds=st.lists(st.sampled_from(list(MessageKind)), min_size=1, max_size=4))
    def begin(self, kinds: list[MessageKind]) -> None:
        for number, kind in enumerate(kinds):
            self.world.queue(kind, number % 3)

    @rule(
        kind=st.sampled_from(list(MessageKind)),
        person=people,
        due_in=st.sampled_from((timedelta(0), timedelta(0), timedelta(hours=1))),
        keeps=st.sampled_from(KEEPS),
    )
    def queue(
        self, kind: MessageKind, person: int, due_in: timedelta, keeps: timedelta | None
    ) -> None:
        self.world.queue(kind, person, due_in, keeps)

    @rule(worker=workers, answer=usual, steps=st.integers(1, 6))
    def work(self, worker: int, answer: Answer, steps: int) -> None:
        self.world.work(worker, answer, steps)

    @rule(worker=workers, answer=usual)
    def finish_letter(self, worker: int, answer: Answer) -> None:
        self.world.work_to_the_end(worker, answer)

    @rule(worker=workers, answer=answers)
    def meet_trouble(self, worker: int, answer: Answer) -> None:
        self.world.work_to_the_end(worker, answer)
        self.world.open_queue()

    @rule()
    def settle_doubts(self) -> None:
        self.world.wait(timedelta(minutes=31))
        self.world.keep_up()

    @rule(worker=workers)
    def lose(self, worker: int) -> None:
        self.world.lose(worker)

    @rule(minutes=st.sampled_from(MINUTES))
    def wait(self, minutes: float) -> None:
        self.world.wait(timedelta(minutes=minutes))

    @rule()
    def keep_up(self) -> None:
        self.world.keep_up()
        assert not self.world.overdue(), "I3: past its lease, and upkeep left it there"

    @rule(person=people, scope=st.sampled_from(SCOPES))
    def stop(self, person: int, scope: SuppressionScope) -> None:
        self.world.stop(person, scope)

    @rule(person=people)
    def answer_lead(self, person: int) -> None:
        self.world.answer_lead(person)

    @rule()
    def release(self) -> None:
        self.world.release()

    @rule()
    def hear_of_arrivals(self) -> None:
        self.world.hear_of_arrivals()

    @rule(closed=st.booleans())
    def pause(self, closed: bool) -> None:
        if closed:
            self.world.hold_queue()
        else:
            self.world.open_queue()

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.world.finish()
                self._done(self.world)
        finally:
            self.world.close()


def prove_states(
    new_world: Callable[[], World],
    examples: int,
    steps: int,
    chosen_seed: int,
    done: Callable[[World], None] = lambda world: None,
) -> None:
    """Try so many sequences of so many events; raises AssertionError with the shortest bad one."""
    tried = get_state_machine_test(
        lambda: Deliveries(new_world(), done),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    seed(chosen_seed)(tried)()


def states(place: Place, quick: bool, chosen_seed: int) -> Finding:
    """I3-I8: no sequence of events breaks an invariant or ends outside the states."""
    place.engine.dispose()
    copies = Copies(place.url, Path(place.folder))
    examples, steps = (40, 30) if quick else (250, 60)
    letters = taken = doubts = sequences = 0

    def count(world: World) -> None:
        nonlocal letters, taken, doubts, sequences
        sequences += 1
        letters += len(world.standings)
        taken += len(world.taken)
        doubts += sum(standing.doubts for standing in world.standings.values())

    faults: list[str] = []
    try:
        prove_states(lambda: World(copies.new(), place.folder), examples, steps, chosen_seed, count)
    except AssertionError as error:
        faults.append("\n".join([str(error), *getattr(error, "__notes__", [])]))
    finally:
        copies.drop()
    sentence = f"{sequences} sequences, {letters} letters, {taken} copies, {doubts} doubts"
    return Finding(sentence, faults)
