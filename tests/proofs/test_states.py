"""The short form of the property tests of the outbox, and the sequences that once went wrong."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from leadcapture.models import MessageKind, SuppressionScope
from leadcapture.outbox.replies import Phase, Reply
from tests.databases import PostgresDatabases, SqliteFiles
from tests.proofs.outbox_world import World
from tests.proofs.relay_script import Answer
from tests.proofs.states import prove_states

LOST_TAKEN = Answer(Reply(Phase.DOT), takes=True)
LOST = Answer(Reply(Phase.DOT))
# A worker's steps before the dot: idle, claim, rendering, intent; a follow-up's claim has two.
TO_THE_DOT = {MessageKind.PACKET: 5, MessageKind.FOLLOW_UP: 6}
TO_A_PACKETS_DOT = TO_THE_DOT[MessageKind.PACKET]


@pytest.fixture
def new_world(
    databases: SqliteFiles | PostgresDatabases, tmp_path: Path
) -> Iterator[Callable[[], World]]:
    """Makes one outbox after the other, each over a database of its own."""
    made: list[World] = []

    def new() -> World:
        if made:
            made[-1].close()
            databases.take_back()
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(World(databases.new(folder), folder))
        return made[-1]

    yield new
    if made:
        made[-1].close()


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    return new_world()


def states_of(world: World) -> list[str]:
    return [standing.state for standing in world.standings.values()]


def test_no_sequence_of_events_breaks_the_outbox(new_world: Callable[[], World]) -> None:
    """I3-I8; five hundred longer ones: ``python -m tests.proofs --only states``."""
    prove_states(new_world, examples=15, steps=25, chosen_seed=3)


def test_a_worker_that_wakes_after_its_lease_sends_one_copy_more_at_most(world: World) -> None:
    """I5, SC-11: suspended at the dot, thought dead, overtaken by the second copy."""
    world.queue(MessageKind.PACKET)
    world.work(0, steps=TO_A_PACKETS_DOT)
    assert states_of(world) == ["sending"]
    world.wait(timedelta(minutes=11.1))
    world.keep_up()
    world.wait(timedelta(minutes=31))
    world.keep_up()
    world.work_to_the_end(1)
    world.work_to_the_end(0)
    assert states_of(world) == ["sent"]
    assert len(world.taken) == 2
    world.finish()


def test_a_follow_up_whose_worker_wakes_late_is_still_one_copy(world: World) -> None:
    """I5: doubt is settled as sent and never sent again."""
    world.queue(MessageKind.FOLLOW_UP)
    world.work(0, steps=TO_THE_DOT[MessageKind.FOLLOW_UP])
    assert states_of(world) == ["sending"]
    world.wait(timedelta(minutes=11.1))
    world.keep_up()
    world.wait(timedelta(minutes=31))
    world.keep_up()
    world.work_to_the_end(1)
    world.work_to_the_end(0)
    assert states_of(world) == ["sent"]
    assert len(world.taken) == 1


def test_a_worker_that_is_overtaken_before_its_intent_sends_nothing(world: World) -> None:
    """The fence: its body has left, its dot never does."""
    world.queue(MessageKind.PACKET)
    world.work(0, steps=TO_A_PACKETS_DOT - 1)
    assert states_of(world) == ["claimed"]
    world.wait(timedelta(minutes=2.1))
    world.keep_up()
    world.work(1, steps=TO_A_PACKETS_DOT - 1)
    world.work_to_the_end(0)
    assert world.taken == []
    world.work_to_the_end(1)
    assert len(world.taken) == 1


@pytest.mark.parametrize("step", range(1, 8))
@pytest.mark.parametrize("kind", [MessageKind.PACKET, MessageKind.FOLLOW_UP])
def test_a_stop_beats_the_intent_wherever_the_worker_stands(
    world: World, step: int, kind: MessageKind
) -> None:
    """I7, MD-16: committed before the intent there is no copy, after it there is the one."""
    world.queue(kind)
    world.work(0, steps=step)
    world.stop(0, SuppressionScope.ALL)
    world.work_to_the_end(0)
    assert len(world.taken) == (1 if step >= TO_THE_DOT[kind] else 0)
    world.finish()


def test_a_stop_turns_what_is_claimed_in_its_own_transaction(world: World) -> None:
    """Rule 6 of `leadcapture.outbox`: who looks right after it finds nothing that may leave."""
    world.queue(MessageKind.FOLLOW_UP)
    world.work(0, steps=TO_THE_DOT[MessageKind.FOLLOW_UP] - 1)
    world.stop(0, SuppressionScope.FOLLOW_UPS)
    assert states_of(world) == ["suppressed"]


@pytest.mark.parametrize("step", range(1, 9))
@pytest.mark.parametrize("kind", [MessageKind.PACKET, MessageKind.FOLLOW_UP])
@pytest.mark.parametrize("answer", [LOST, LOST_TAKEN])
def test_a_worker_may_die_wherever_it_stands(
    world: World, step: int, kind: MessageKind, answer: Answer
) -> None:
    """MD-02: nothing is lost, and a copy too many has its doubt on record."""
    world.queue(kind)
    world.work(0, answer, steps=step)
    world.lose(0)
    world.finish()
    assert states_of(world) == ["sent"]
    if kind is MessageKind.PACKET:
        assert world.taken


def test_two_doubts_end_with_a_person(world: World) -> None:
    """U ≤ 2: the third try is nobody's but a person's."""
    world.queue(MessageKind.PACKET)
    for _ in range(2):
        world.work_to_the_end(0, LOST)
        world.wait(timedelta(minutes=31))
        world.keep_up()
    assert states_of(world) == ["held"]
    world.work_to_the_end(1)
    assert world.taken == []
    world.release()
    world.work_to_the_end(1)
    assert len(world.taken) == 1


def test_the_clock_may_go_back_an_hour(world: World) -> None:
    """SC-07: a lease that seems longer delays, it does not double."""
    world.queue(MessageKind.PACKET)
    world.work(0, steps=TO_A_PACKETS_DOT)
    world.wait(timedelta(hours=-1))
    world.keep_up()
    world.work_to_the_end(1)
    assert world.taken == []
    world.work_to_the_end(0)
    assert len(world.taken) == 1
    world.finish()
