"""A poller on a journal that may not be writable."""

from typing import Any

from batchfsm import JournalError, Monitor
from support.notation import seen

LIFE = seen("vpzc")


class Poller:
    """A monitor on a journal, and the keys that its hook received."""

    def __init__(self, journal: Any) -> None:
        """Register the hook."""
        self.heard: list[str] = []
        self.monitor = Monitor(journal=journal)
        self.monitor.on(name="h")(lambda transition: self.heard.append(transition.key))

    def polled(self, number: int) -> bool:
        """Observe the whole life of a batch; return False if the journal could not be written."""
        try:
            for row in LIFE:
                self.monitor.observe(row | {"id": f"batch_{number}"})
        except JournalError:
            return False
        return True
