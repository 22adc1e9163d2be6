// What node's programs have in common; see shop.py, whose counterpart this is.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");

const CLIENTS = Number(process.env.CLIENTS);
const ROUNDS = Number(process.env.ROUNDS);
const INSERTED = 5;
const COPIED = 20; // purchases of a round, by INSERT and by COPY

const text = (client) => `it's client ${client}: \\ "quotes", ünïcödé and a % sign`;

// check fails unless both are the same value, deeply.
function check(got, want, what) {
  assert.deepStrictEqual(got, want, what);
}

// fails wants work to fail with this SQLSTATE.
async function fails(code, work, what) {
  let error;
  try {
    await work();
  } catch (e) {
    error = e;
  }
  check(error && error.code, code, `${what}: ${error}`);
}

const numbers = (n) => Array.from({ length: n }, (_, i) => i);

// together runs work(client) for all clients at once and ends the process.
async function together(what, work) {
  try {
    await Promise.all(numbers(CLIENTS).map(work));
  } catch (e) {
    console.error(e);
    process.exit(1);
  }
  console.log(what);
}

// version is a module's, whose package.json need not be open to require.
function version(module) {
  let folder = path.dirname(require.resolve(module));
  while (!fs.existsSync(path.join(folder, "package.json")) || !manifest(folder).version) folder = path.dirname(folder);
  return `${module} ${manifest(folder).version}`;
}

const manifest = (folder) => JSON.parse(fs.readFileSync(path.join(folder, "package.json")));

module.exports = { CLIENTS, ROUNDS, INSERTED, COPIED, check, fails, numbers, text, together, version };
