import assert from "node:assert/strict";
import { test } from "node:test";

import { median, stretches, tokensPerSecond } from "../../../src/penstock/web/ui/spans.js";

const record = (changes) => ({
  enqueued_s: 0,
  admitted_s: 3,
  first_token_s: 4,
  done_s: 10,
  wait_reasons: { model_cap: 1, loading: 2 },
  load_wait_s: 2,
  completion_tokens: 61,
  engine_decode_ms: null,
  ...changes,
});
const parts = (changes) => Object.fromEntries(stretches(record(changes)).map(({ part, seconds }) => [part, seconds]));

test("the parts of a call add up to its time", () => {
  assert.deepEqual(parts({}), { queue: 1, load: 2, prompt: 1, decode: 6 });
});

test("without a first token the time in the slot is the engine's, unsplit", () => {
  assert.deepEqual(parts({ first_token_s: null, load_wait_s: 0 }), { queue: 3, engine: 7 });
});

test("an answer in one piece has no first token, whatever its record says", () => {
  assert.deepEqual(parts({ streamed: false, load_wait_s: 0 }), { queue: 3, engine: 7 });
  assert.equal(tokensPerSecond(record({ streamed: false })), null);
  assert.equal(tokensPerSecond(record({ streamed: false, engine_decode_ms: 1000 })), 61);
});

test("a call that left the queue has only waited, and its load wait is read from its reasons", () => {
  assert.deepEqual(parts({ admitted_s: null, first_token_s: null, load_wait_s: null, done_s: 5 }), {
    queue: 3,
    load: 2,
  });
});

test("a refused call has no parts", () => {
  assert.deepEqual(
    parts({ enqueued_s: null, admitted_s: null, first_token_s: null, load_wait_s: null, done_s: 0.001 }),
    {},
  );
  assert.deepEqual(stretches(record({ done_s: null })), []);
});

test("a load never takes more of the bar than the wait", () => {
  assert.deepEqual(parts({ load_wait_s: 99 }), { load: 3, prompt: 1, decode: 6 });
});

test("tokens per second are the engine's own, else measured after the first token, else unknown", () => {
  assert.equal(tokensPerSecond(record({ engine_decode_ms: 1000 })), 61);
  assert.equal(tokensPerSecond(record({})), 10);
  assert.equal(tokensPerSecond(record({ completion_tokens: 1 })), null);
  assert.equal(tokensPerSecond(record({ first_token_s: null })), null);
  assert.equal(tokensPerSecond(record({ completion_tokens: null })), null);
});

test("the median leaves out what is unknown", () => {
  assert.equal(median([3, null, 1, undefined, 2]), 2);
  assert.equal(median([null]), null);
});
