"""An event log with a month of work in it, the same for every seed: what a page is to show."""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta

from trio_cursor.eventlog import append_events, open_for_writing, transaction
from trio_cursor.events import build_event
from trio_cursor.records import Generation, Session, Workspace

PLACES = ("shop-backend", "weather-station", "notes-app", "paper-on-bees", "home-server")
_MODELS = ("claude-4.5-sonnet", "gpt-5.1-codex", "gemini-3-pro", None)
_CART = """\
The total is computed twice: once from the cart, once from the order that was begun.
I have removed the second one.

```python
def total(cart: Cart) -> Money:
    return sum((line.price for line in cart), Money(0))
```

The test that showed it passes now."""
_TALKS = (
    ("Why does the total of the cart change when I reload the page?", _CART),
    (
        "The sensor says 85 degrees after each restart. Is that the sensor or the code?",
        "The sensor: 85 °C is what it gives before its first measurement. Wait 750 ms after the start.",
    ),
    (
        "Explain what this regular expression matches, with three examples",
        "An ISO date by its form, not by its meaning: `2026-02-28` matches, and `2026-02-31` does as well.",
    ),
    (
        "Rename `get_data` to what it really does, everywhere",
        "It is `load_measurements` now, in 14 files. All 214 tests pass.",
    ),
    (
        "Which index does this query need?",
        "One on `(customer, created_at)`: the query then reads 40 rows instead of 1.2 million.",
    ),
    (
        "Turn the callback into an async generator and keep its name",
        "Done. Whoever called it with a function iterates over it now; there were three such places.",
    ),
    (
        "Summarise chapter two in five sentences",
        "Bees find their way by the sun, by landmarks and by smell. Which of them do they need?",
    ),
    (
        "The backup takes an hour since Tuesday. Where does the time go?",
        "Into `node_modules`: the rule that leaves it out names a folder that was moved on Tuesday.",
    ),
)


def workspace(name):
    path = f"/home/demo/projects/{name}"
    return Workspace(
        f"/home/demo/{name}/state.vscdb", "/home/demo", f"w-{name}", path, None, f"{hash_of(name):016x}"
    )


def hash_of(name):
    return random.Random(name).getrandbits(64)


def generation(chance, at_ms, place, **fields):
    """One that could have been."""
    id_ = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    status = chance.choices(("completed", "aborted", "error"), (40, 3, 1))[0]
    tokens = chance.choice((None, None, chance.randrange(200, 9000)))
    question, answer = chance.choice(_TALKS)
    made = {
        "generation_type": chance.choices(("composer", "chat", "cmdk"), (6, 3, 2))[0],
        "conversation_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "model": chance.choices(_MODELS, (8, 5, 3, 1))[0],
        "duration_ms": int(min(chance.lognormvariate(9.2, 1), 900_000)),
        "tokens_used": tokens,
        "prompt_text": question,
        "response_text": answer if status == "completed" else None,
        "tool_calls": tuple(
            {"name": name, "status": "completed"}
            for name in chance.sample(
                ("read_file", "grep", "edit_file", "run_terminal_cmd"), chance.randrange(4)
            )
        ),
        **fields,
    }
    return Generation(id_, id_, place, "ring+conversations", status, at_ms, "ring", **made)


def event_of(made, *, captured_at=None):
    session = Session(f"scan_{made.workspace.id}", made.workspace.database, "discovery", made.timestamp)
    return build_event(
        made,
        session=session,
        captured_at=made.timestamp if captured_at is None else captured_at,
        host="workstation",
        max_text_bytes=1 << 20,
    )


def write_log(directory, generations):
    """Make an event log of them, in their order."""
    connection = open_for_writing(directory)
    try:
        with transaction(connection):
            append_events(connection, [((made.key,), event_of(made)) for made in generations])
    finally:
        connection.close()


def month(now, *, seed=7):
    """Some days of work with weekends and evenings, up to this local time."""
    chance = random.Random(seed)
    places = [workspace(name) for name in PLACES]
    found = []
    for back in range(33, -1, -1):
        day = (now - timedelta(days=back)).replace(hour=0, minute=0, second=0, microsecond=0)
        # The week ends two days before today, so that today is one of work.
        many = chance.randrange(3, 9) if back % 7 in (2, 3) else chance.randrange(25, 60)
        for _ in range(many):
            hour = min(max(chance.gauss(14, 3.6), 6.5), 23.5)
            at = day + timedelta(hours=hour)
            if at < now:
                place = chance.choices(places, (9, 6, 4, 3, 2))[0]
                found.append(generation(chance, int(at.timestamp() * 1000), place))
    return sorted(found, key=lambda made: made.timestamp)


def local_now():
    return datetime.now().astimezone()
