import assert from "node:assert/strict";
import { test } from "node:test";

import { fromSnapshot, Store, withDelta } from "../../../src/penstock/web/ui/store.js";

const snapshot = () => ({
  seq: 5,
  now: 100,
  gateway: { version: "1", health: "ok" },
  models: { a: { name: "a" }, b: { name: "b" } },
  calls: { c1: { id: "c1" } },
  counts: { running: 1, waiting: 0 },
  recent: [{ id: "r1" }],
});

test("a delta changes what it names and keeps the rest as it is", () => {
  const before = fromSnapshot(snapshot());
  const after = withDelta(before, { seq: 6, now: 101, models: { a: { name: "a", phase: "ready" } } });
  assert.equal(after.models.get("a").phase, "ready");
  assert.equal(after.calls, before.calls);
  assert.equal(after.recent, before.recent);
  assert.equal(before.models.get("a").phase, undefined);
});

test("null means gone", () => {
  const after = withDelta(fromSnapshot(snapshot()), { seq: 6, now: 101, calls: { c1: null }, models: { b: null } });
  assert.deepEqual([...after.calls.keys()], []);
  assert.deepEqual([...after.models.keys()], ["a"]);
});

test("an old delta changes nothing", () => {
  const known = fromSnapshot(snapshot());
  assert.equal(withDelta(known, { seq: 5, now: 99, counts: { running: 9, waiting: 9 } }), known);
});

test("new records stand first, each once, and at most a hundred", () => {
  let known = fromSnapshot(snapshot());
  for (let seq = 6; seq < 200; seq += 1) known = withDelta(known, { seq, now: seq, recent: [{ id: `r${seq}` }] });
  known = withDelta(known, { seq: 200, now: 200, recent: [{ id: "r199" }] });
  assert.equal(known.recent.length, 100);
  assert.deepEqual(
    known.recent.slice(0, 2).map((record) => record.id),
    ["r199", "r198"],
  );
});

test("a model named like a part of JavaScript is a model like any other", () => {
  const hostile = JSON.parse('{"__proto__": {"name": "__proto__"}, "constructor": {"name": "constructor"}}');
  const known = fromSnapshot({ ...snapshot(), models: hostile });
  assert.deepEqual([...known.models.keys()], ["__proto__", "constructor"]);
  const after = withDelta(known, { seq: 6, now: 1, models: JSON.parse('{"__proto__": null}') });
  assert.deepEqual([...after.models.keys()], ["constructor"]);
});

test("the store tells its listeners of change, and of nothing else", () => {
  const store = new Store();
  let told = 0;
  const stop = store.subscribe(() => (told += 1));
  store.apply({ seq: 1, now: 1 });
  assert.equal(told, 0);
  store.replace(snapshot());
  store.apply({ seq: 6, now: 2 });
  store.apply({ seq: 6, now: 2 });
  store.connectionIs("live");
  store.connectionIs("live");
  assert.equal(told, 3);
  stop();
  store.connectionIs("reconnecting");
  assert.equal(told, 3);
});

test("a snapshot after a restart replaces all, though its numbers begin anew", () => {
  const store = new Store();
  store.replace({ ...snapshot(), seq: 900 });
  store.replace({ ...snapshot(), seq: 1 });
  store.apply({ seq: 2, now: 2, counts: { running: 7, waiting: 0 } });
  assert.equal(store.known.counts.running, 7);
});

test("the last sample of the host stays until there is another", () => {
  const before = withDelta(fromSnapshot(snapshot()), { seq: 6, now: 101, host: { cpu_pct: 3 } });
  const after = withDelta(before, { seq: 7, now: 102 });
  assert.equal(after.host, before.host);
  assert.equal(withDelta(after, { seq: 8, now: 103, host: { cpu_pct: 9 } }).host.cpu_pct, 9);
});

test("an admin and a gateway without keys may change, a viewer may not", () => {
  const store = new Store();
  assert.equal(store.mayChange, true);
  store.keyIs({ name: "ann", role: "viewer" });
  assert.equal(store.mayChange, false);
  store.keyIs({ name: "ann", role: "admin" });
  assert.equal(store.mayChange, true);
});
