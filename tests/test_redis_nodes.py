"""Whom to ask where a key is, and in which order."""

from __future__ import annotations

from trio_cursor.redis_nodes import KnownNodes

A, B, C, D = (("a", 1), ("b", 1), ("c", 1), ("d", 1))


def test_who_led_there_is_asked_first_and_who_did_not_last():
    known = KnownNodes([A, B, A])
    assert known.in_order() == [A, B]
    known.put_last(A)
    assert known.in_order() == [B, A]
    known.put_first(C)
    assert known.in_order() == [C, B, A]
    known.put_last(D)
    assert known.in_order() == [C, B, A]


def test_who_is_configured_is_never_forgotten_and_others_are_when_nobody_names_them_any_more():
    known = KnownNodes([A, B])
    known.hear([C, B])
    assert known.in_order() == [A, B, C]
    known.put_first(C)
    known.hear([D])
    assert known.in_order() == [A, B, D]
    known.hear([("e", port) for port in range(1000)])
    assert len(known.in_order()) == 34
    known.put_first(C)
    assert known.in_order()[:3] == [C, A, B]
    assert len(known.in_order()) == 34
