"""What the client of a waiting stream is told, and when: comments, or words about the load where it is to have them."""

from __future__ import annotations

from penstock.core.accounting.outcomes import CallPhase
from penstock.protocols.dialect import Dialect
from penstock.runtime.calls.answer import Answer
from penstock.runtime.calls.call import Call
from penstock.runtime.calls.catalog import Target
from penstock.runtime.calls.told import waiting_comment, waiting_text

COMMENT_EVERY_S = 10.0
TEXT_AFTER_S = 1.0
TEXT_EVERY_S = 5.0
"""How often a waiting stream gets a comment; when it gets its first words about the load, and how often more."""


class StreamWait:
    """One call's wait on a stream."""

    __slots__ = ("_answer", "_call", "_dialect", "_sends_text")

    def __init__(self, call: Call, answer: Answer, dialect: Dialect, target: Target) -> None:
        self._call = call
        self._answer = answer
        self._dialect = dialect
        self._sends_text = target.settings.send_loading_state

    def begin(self) -> None:
        """Have it told from time to time, until it waits no more."""
        context = self._call.context
        after_s = TEXT_AFTER_S if self._sends_text else context.comments_after_s
        if after_s is not None:
            context.patience.remind(self, context.clock() + after_s)

    def say_waiting(self, now_s: float) -> float | None:
        call = self._call
        if call.phase is not CallPhase.QUEUED:
            return None
        text = self._dialect.waiting_text(waiting_text(call), call.model) if self._sends_text else b""
        self._answer.say_waiting(text or waiting_comment(call))
        return TEXT_EVERY_S if text else COMMENT_EVERY_S
