"""Answers as engines really send them, and a way to let a meter watch them."""

from __future__ import annotations

from penstock.core.calls.message import CallFacts
from penstock.protocols.dialect import Dialect, Meter

EVENTS = b"text/event-stream"
JSON = b"application/json; charset=utf-8"

RESPONSES_STREAM = b"""\
event: response.created
data: {"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress"}}

event: response.in_progress
data: {"type":"response.in_progress","response":{"id":"resp_1","object":"response","status":"in_progress"}}

event: response.output_item.added
data: {"type":"response.output_item.added","item":{"content":[],"id":"msg_1","role":"assistant","type":"message"}}

event: response.content_part.added
data: {"type":"response.content_part.added","item_id":"msg_1","part":{"type":"output_text","text":""}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"msg_1","delta":" say \\"usage\\":{} and \\"response\\""}

event: response.output_text.done
data: {"type":"response.output_text.done","item_id":"msg_1","text":" When"}

event: response.completed
data: {"type":"response.completed","response":{"id":"resp_1","object":"response","status":"completed","error":null,\
"output":[{"type":"message","status":"completed","id":"msg_1","content":[{"type":"output_text","text":" When"}]}],\
"usage":{"input_tokens":16,"output_tokens":3,"total_tokens":19,"input_tokens_details":{"cached_tokens":15},\
"output_tokens_details":{"reasoning_tokens":1}}},"timings":{"cache_n":15,"prompt_n":1,"prompt_ms":0.478,\
"predicted_n":3,"predicted_ms":0.392}}

"""

MESSAGES_STREAM = b"""\
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"a",\
"stop_reason":null,"stop_sequence":null,"usage":{"cache_read_input_tokens":15,"input_tokens":1,"output_tokens":1}}}

event: ping
data: {"type": "ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",\
"text":" say \\"usage\\":{} and \\"error\\""}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":3}}

event: message_stop
data: {"type":"message_stop"}

"""

COMPLETION_STREAM = b"""\
data: {"index":0,"content":" say \\"stop\\":true and \\"timings\\"","tokens":[567],"stop":false,"id_slot":-1,\
"tokens_predicted":1,"tokens_evaluated":4}

data: {"index":0,"content":"","tokens":[],"id_slot":0,"stop":true,"model":"a","tokens_predicted":3,\
"tokens_evaluated":4,"generation_settings":{"seed":1,"stop":[]},"prompt":"hello there","truncated":false,\
"stop_type":"limit","stopping_word":"","tokens_cached":6,"timings":{"cache_n":3,"prompt_n":1,"prompt_ms":0.25,\
"predicted_n":3,"predicted_ms":0.5,"draft_n":8,"draft_n_accepted":2}}


"""


def meter(dialect: Dialect, content_type: bytes = EVENTS, *, hides_usage_chunk: bool = False) -> Meter:
    return dialect.meter(CallFacts("a", (b"",), hides_usage_chunk=hides_usage_chunk), content_type)


def run(watching: Meter, *pieces: bytes) -> bytes:
    return b"".join(watching.feed(piece) for piece in pieces) + watching.finish()


def watched(dialect: Dialect, answer: bytes, content_type: bytes | None = None) -> Meter:
    """The meter, after a whole answer that nothing may change. None = events, unless it is a document."""
    guess = EVENTS if answer.startswith((b"data", b"event", b":")) else JSON
    watching = meter(dialect, guess if content_type is None else content_type)
    assert run(watching, answer) == answer
    return watching
