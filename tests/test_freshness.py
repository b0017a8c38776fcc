"""Freshness: what was read of each profile, and what others have to wait for."""

from __future__ import annotations

import math

import attrs
import pytest
import trio
from fakes import FakeScanner, workspace

from trio_cursor.cursor.guest import FileStat, Signature
from trio_cursor.freshness import Freshness
from trio_cursor.watched import Watched

PROFILE = "/cursor/User"


def signature(number, *, settled=True):
    return Signature(FileStat(1, number, 4096, number), None, settled)


def watched(name, number=1, **fields):
    item = Watched(workspace(name), signature(number))
    for field, value in fields.items():
        setattr(item, field, value)
    return item


def freshness(*items):
    scanner = FakeScanner(watched={item.workspace.database: item for item in items})
    scanner.has_swept = True
    return Freshness(scanner)


class TestOneDatabase:
    def test_that_was_never_read_holds_everything_up(self):
        assert watched("w1", swept_at=9.0).as_of == -math.inf

    def test_is_as_fresh_as_the_beginning_of_its_last_read(self):
        assert watched("w1", 2, read=signature(1), read_at=5.0, swept_at=9.0).as_of == 5.0

    def test_or_as_the_last_sweep_that_found_it_unchanged(self):
        assert watched("w1", read=signature(1), read_at=5.0, swept_at=9.0).as_of == 9.0
        assert watched("w1", read=signature(1), read_at=5.0, swept_at=3.0).as_of == 5.0

    def test_unless_it_could_have_changed_without_a_trace(self):
        unsettled = signature(1, settled=False)
        item = watched("w1", read=unsettled, read_at=5.0, swept_at=9.0)
        item.signature = unsettled
        assert item.as_of == 5.0

    def test_that_is_absent_empty_or_broken_holds_nothing_up_until_it_changes(self):
        item = watched("w1", nothing=signature(1))
        assert item.as_of == math.inf
        item.signature = signature(2)
        assert item.as_of == -math.inf

    def test_that_is_empty_need_not_have_settled(self):
        assert watched("w1", nothing=signature(1, settled=False)).as_of == math.inf


class TestAProfile:
    def test_is_as_fresh_as_its_least_fresh_ring(self):
        found = freshness(
            watched("w1", read=signature(1), read_at=5.0, swept_at=9.0),
            watched("w2", 2, read=signature(1), read_at=4.0, swept_at=9.0),
            watched(None, read=signature(1), read_at=7.0, swept_at=8.0),
        )
        assert (found.rings(PROFILE), found.conversations(PROFILE)) == (4.0, 8.0)

    def test_that_is_not_there_has_nothing_to_wait_for_once_that_is_known(self):
        found = freshness()
        assert (found.rings(PROFILE), found.conversations(PROFILE)) == (math.inf, math.inf)
        found.scanner.has_swept = False
        assert (found.rings(PROFILE), found.conversations(PROFILE)) == (-math.inf, -math.inf)

    def test_does_not_wait_for_another(self):
        other = Watched(attrs.evolve(workspace("w2"), profile="/nightly"), signature(1))
        found = freshness(watched("w1", read=signature(1), read_at=5.0), other)
        assert (found.rings(PROFILE), found.rings("/nightly")) == (5.0, -math.inf)

    @pytest.mark.parametrize("is_blocked", [True, False])
    def test_is_blocked_by_any_of_its_databases(self, is_blocked):
        found = freshness(watched("w1"), watched("w2", is_blocked=is_blocked))
        assert found.is_blocked(PROFILE) is is_blocked


async def test_what_was_known_holds_until_it_is_renewed_and_everybody_is_told(autojump_clock):
    item = watched("w1", read=signature(1), read_at=5.0)
    found = freshness(item)
    told = []
    found.renewed = lambda: told.append(found.rings(PROFILE))
    assert found.rings(PROFILE) == 5.0
    item.read_at = 6.0
    assert found.rings(PROFILE) == 5.0
    found.renew()
    assert told == [6.0]


async def test_of_thousands_of_databases_not_every_read_is_told(autojump_clock):
    found = freshness(*(watched(f"w{number}") for number in range(600)))
    told = []
    found.renewed = lambda: told.append(trio.current_time())
    for _ in range(100):
        await trio.sleep(0.01)
        found.renew()
    assert 4 <= len(told) <= 6
    await trio.sleep(1)
    found.renew()
    assert told[-1] == trio.current_time()
