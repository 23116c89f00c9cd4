import assert from "node:assert/strict";
import { test } from "node:test";

import { callWords, outcomeTone, phaseTone, waitWords } from "../../../src/penstock/web/ui/wording.js";

const call = (wait_reason, changes = {}) => ({
  model: "qwen",
  key: "ann",
  phase: "queued",
  wait_reason,
  wait_for: null,
  ...changes,
});

test("every reason to wait has its own words", () => {
  const codes = [
    "none",
    "model_cap",
    "key_cap",
    "budget_full",
    "reserved",
    "exclusive",
    "aged_in",
    "loading",
    "draining",
    "hold",
    "memory",
    "paused",
  ];
  const words = codes.map((code) => waitWords(call(code, { wait_for: "llama" }), { slots: 4 }));
  assert.equal(new Set(words).size, codes.length);
  assert.ok(words.every((sentence) => sentence.includes(" ")));
});

test("the words name what is known", () => {
  assert.equal(waitWords(call("model_cap"), { slots: 4 }), "all 4 slots busy");
  assert.equal(waitWords(call("model_cap"), { slots: 1 }), "the one slot is busy");
  assert.equal(waitWords(call("model_cap"), undefined), "every slot is busy");
  assert.equal(waitWords(call("loading", { wait_for: "qwen" }), undefined), "qwen is being loaded");
  assert.equal(waitWords(call("loading"), undefined), "it is loaded when its turn comes");
  assert.equal(
    waitWords(call("draining", { wait_for: "llama" }), undefined),
    "llama finishes its work, then makes room",
  );
});

test("a reason or phase of a later version is shown as it is, not hidden", () => {
  assert.equal(waitWords(call("solar_flare"), undefined), "solar flare");
  assert.equal(waitWords(call(null), undefined), "waits for its turn");
  assert.equal(callWords("deep_thought"), "deep thought");
  assert.equal(phaseTone("dreaming"), "quiet");
});

test("what failed is told apart from what was refused or left", () => {
  assert.equal(outcomeTone("completed"), "good");
  assert.equal(outcomeTone("upstream_error"), "bad");
  assert.equal(outcomeTone("client_abandoned"), "wait");
  assert.equal(outcomeTone("rejected_invalid"), "wait");
});
