import assert from "node:assert/strict";
import { test } from "node:test";

import { History, WINDOW_S } from "../../../src/penstock/web/ui/history.js";

const known = (changes = {}) => ({
  gateway: { started_at: 990 },
  models: new Map(),
  calls: new Map(),
  counts: { running: 0, waiting: 0 },
  recent: [],
  ...changes,
});
const at = (history, second) => {
  const index = history.times.indexOf(second);
  return [history.running[index], history.waiting[index]];
};

test("the curve reaches back to what the first snapshot's calls say", () => {
  const recent = [{ received_at: 992, enqueued_s: 0, admitted_s: 2, done_s: 4, wait_reasons: {} }];
  const calls = new Map([["c", { received_at: 995, admitted_at: 997, phase: "streaming" }]]);
  const history = new History();
  history.note(known({ recent, calls, counts: { running: 1, waiting: 0 } }), 1000);
  assert.equal(history.times[0], 990);
  assert.deepEqual(at(history, 991), [0, 0]);
  assert.deepEqual(at(history, 993), [0, 1]);
  assert.deepEqual(at(history, 995), [1, 1]);
  assert.deepEqual(at(history, 998), [1, 0]);
  assert.deepEqual(at(history, 1000), [1, 0]);
});

test("with more calls than are told of, the past is left open", () => {
  const history = new History();
  history.note(known({ counts: { running: 8, waiting: 2000 } }), 1000);
  assert.deepEqual(history.times, [1000]);
});

test("a short peak within one second is kept", () => {
  const history = new History();
  for (const [now_s, running] of [
    [1000, 0],
    [1000.3, 4],
    [1000.6, 0],
    [1001, 0],
  ])
    history.note(known({ counts: { running, waiting: 0 } }), now_s);
  assert.deepEqual(at(history, 1000), [4, 0]);
  assert.deepEqual(at(history, 1001), [0, 0]);
});

test("silence breaks the curve once, and it goes on after", () => {
  const history = new History();
  history.note(known(), 1000);
  history.breakOff(1001);
  history.breakOff(1002);
  history.note(known(), 1005);
  assert.deepEqual(history.times.slice(-3), [1000, 1001, 1005]);
  assert.deepEqual(history.running.slice(-3), [0, null, 0]);
});

test("a load lasts from its start to the phase after it", () => {
  const history = new History();
  const model = (phase, since) => known({ models: new Map([["a", { name: "a", phase, since }]]) });
  history.note(model("starting", 995), 1000);
  history.note(model("starting", 995), 1001);
  assert.deepEqual(history.loads, [{ model: "a", start_s: 995, end_s: null }]);
  history.note(model("ready", 1002.5), 1003);
  assert.deepEqual(history.loads, [{ model: "a", start_s: 995, end_s: 1002.5 }]);
});

test("what is older than the window is forgotten", () => {
  const history = new History();
  for (let second = 1000; second < 1000 + 2 * WINDOW_S; second += 1)
    history.note(known({ gateway: { started_at: 1000 } }), second);
  assert.ok(history.times.length <= WINDOW_S + 2);
  assert.equal(history.times.length, history.running.length);
  assert.equal(history.times.length, history.waiting.length);
});
