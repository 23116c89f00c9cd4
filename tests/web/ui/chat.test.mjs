import assert from "node:assert/strict";
import { test } from "node:test";

import { ChatError, pieces } from "../../../src/penstock/web/ui/chat.js";

test("a line of the stream says text, thought, a note, or nothing", () => {
  assert.deepEqual(pieces('data: {"choices":[{"delta":{"content":"Hi"}}]}'), [{ kind: "text", text: "Hi" }]);
  assert.deepEqual(pieces('data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}'), [
    { kind: "thought", text: "hm" },
  ]);
  assert.deepEqual(pieces(": queued position=3"), [{ kind: "note", text: "queued position=3" }]);
  assert.deepEqual(pieces('data: {"choices":[],"usage":{}}'), []);
  assert.deepEqual(pieces(""), []);
});

test("an error within the stream ends the answer with its words", () => {
  assert.throws(() => pieces('data: {"error":{"message":"the engine died"}}'), new ChatError("the engine died", null));
});
