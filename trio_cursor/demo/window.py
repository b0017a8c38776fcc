"""A window of Cursor: opens its database, writes while somebody works in it, closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_cursor.demo import ui_state
from trio_cursor.demo.ring import PROMPTS_KEY, Prompts

if TYPE_CHECKING:
    from random import Random

    from trio_cursor.demo.database import Database
    from trio_cursor.demo.places import Place
    from trio_cursor.demo.ring import RingItem


class Window:
    """One directory of `workspaceStorage` and what happens in it."""

    def __init__(self, place: Place, database: Database, random: Random, *, has_tables: bool = False) -> None:
        self.place = place
        self.has_tables = has_tables
        self.database = database
        self._random = random
        self._prompts = Prompts(None)
        # A database with WAL is one of a build that has moved the heads to the global database.
        self.lists_conversations = not database.storage.use_wal
        self._composers = ui_state.Composers(database.storage, random, heads_here=self.lists_conversations)

    @property
    def is_open(self) -> bool:
        return self.database.storage.is_open

    def open(self, *, last_try: bool = False) -> None:
        """Open the window; `StorageBusyError` asks to come again."""
        self.database.open(last_try=last_try)
        ui_state.opened(self.database.storage)
        self._prompts = Prompts(self.database.storage.items.get(PROMPTS_KEY))

    def ask(self, item: RingItem, composer_id: str | None = None) -> None:
        """Somebody asks for something, in the conversation of this id if it is known."""
        self.database.add(item)
        self._prompts.append(item)
        if item.type in ("composer", "chat"):
            self._composers.use(item, composer_id)

    def fidget(self) -> None:
        ui_state.fidget(self.database.storage, self._random)

    def save_state(self) -> None:
        """`onWillSaveState`: every minute and at close VS Code collects what nobody has set yet."""
        self.database.storage.set(PROMPTS_KEY, self._prompts.value())

    def close(self) -> None:
        self.save_state()
        self.database.close()
