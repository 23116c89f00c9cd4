import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import * as format from "../../../src/penstock/web/ui/format.js";

test("unknown is a dash and never 0", () => {
  for (const words of [
    format.span,
    format.wholeSpan,
    format.bytes,
    format.number,
    format.rate,
    format.timeOfDay,
    format.moment,
  ]) {
    assert.equal(words(null), "–");
    assert.equal(words(undefined), "–");
  }
});

test("a span that is over is as exact as it is short", () => {
  const cases = [
    [0, "0 ms"],
    [0.0412, "41 ms"],
    [0.9996, "1.00 s"],
    [3.236, "3.24 s"],
    [9.996, "10.0 s"],
    [59.96, "1 m"],
    [72, "1 m 12 s"],
  ];
  for (const [seconds, words] of cases) assert.equal(format.span(seconds), words);
});

test("a growing span counts whole seconds and never runs backwards below zero", () => {
  const cases = [
    [-3, "0 s"],
    [7.9, "7 s"],
    [60, "1 m"],
    [61, "1 m 1 s"],
    [7260, "2 h 1 m"],
    [86400 * 3 + 3600 * 4, "3 d 4 h"],
  ];
  for (const [seconds, words] of cases) assert.equal(format.wholeSpan(seconds), words);
});

test("a countdown ends at zero", () => {
  assert.equal(format.countdown(244.2), "4:05");
  assert.equal(format.countdown(3661), "1:01:01");
  assert.equal(format.countdown(-5), "0:00");
});

test("bytes, counts and rates are short", () => {
  assert.deepEqual([0, 1023, 1536, 1048575, 5.2 * 1024 ** 3].map(format.bytes), [
    "0 B",
    "1023 B",
    "1.5 KiB",
    "1.0 MiB",
    "5.2 GiB",
  ]);
  assert.equal(format.number(1234567), "1\u202f234\u202f567");
  assert.equal(format.rate(38.16), "38.2");
  assert.equal(format.rate(412.3), "412");
  assert.equal(format.counted(1, "slot"), "1 slot");
  assert.equal(format.counted(2, "slot"), "2 slots");
});

test("a shell reads back what was quoted", () => {
  const text = `it's "$HOME" \`id\` \\ !`;
  assert.equal(execFileSync("sh", ["-c", `printf %s ${format.shellQuoted(text)}`]).toString(), text);
});
