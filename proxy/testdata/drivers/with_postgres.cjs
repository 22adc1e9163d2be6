// node's postgres (postgres.js): named statements for every text, requests sent ahead of their answers, with and without prepare.
"use strict";

const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
const postgres = require("postgres");
const { CLIENTS, ROUNDS, INSERTED, COPIED, check, fails, numbers, text, together, version } = require("./shop.cjs");

async function values(sql, id, round) {
  const [row] = await sql`SELECT ${id}::int AS number, ${text(id)}::text AS text, ${Buffer.from([0, 1, 255])}::bytea AS bytes,
    ${[id, round]}::int[] AS list, ${null}::text AS nothing, ${sql.json({ id })}::jsonb AS doc`;
  check({ ...row, bytes: [...row.bytes] }, { number: id, text: text(id), bytes: [0, 1, 255], list: [id, round], nothing: null, doc: { id } }, "values");
}

async function transfer(sql, id, round) {
  const enough = new Error("enough");
  try {
    await sql.begin(async (tx) => {
      const [before] = await tx`UPDATE account SET balance = balance - 7 WHERE id = ${id} RETURNING balance`;
      check((await tx`UPDATE account SET balance = balance + 7 WHERE id = ${50 + round}`).count, 1, "rows changed");
      await fails("23514", () => tx.savepoint((sp) => sp`UPDATE account SET balance = -1 WHERE id = ${id}`), "a negative balance");
      const [after] = await tx`SELECT balance FROM account WHERE id = ${id}`;
      check(after, before, "the balance");
      if (round % 3 === 2) throw enough;
    });
  } catch (e) {
    if (e !== enough) throw e;
  }
}

async function wrong(sql) {
  await fails("22012", () => sql`SELECT ${1}::int / 0`, "division");
  await fails("42601", () => sql`SELEC ${1}`, "no statement");
  await fails("23505", () => sql`INSERT INTO account VALUES (${1}, 1)`, "a duplicate");
}

async function purchases(pool, id, round) {
  // In a pool that others use, too, their queries would be sent into the midst of a COPY.
  const sql = await pool.reserve();
  const rows = numbers(INSERTED).map((item) => ({ client: id, round, item, title: "inserted" }));
  await sql`INSERT INTO purchase ${sql(rows)}`;
  const lines = numbers(COPIED).map((i) => `${id}\t${round}\t${100 + i}\tcopied\n`);
  await pipeline(Readable.from(lines), await sql`COPY purchase FROM STDIN`.writable());
  let out = "";
  for await (const chunk of await sql`COPY (SELECT item FROM purchase WHERE client = ${sql.unsafe(String(id))} AND round = ${sql.unsafe(String(round))}) TO STDOUT`.readable()) {
    out += chunk;
  }
  check(out.trim().split("\n").length, INSERTED + COPIED, "copied out");
  sql.release();
}

async function cursor(sql, id) {
  const got = [];
  for await (const rows of sql`SELECT ${id}::int * 1000 + n AS n FROM generate_series(0, 299) n`.cursor(50)) {
    got.push(...rows.map((r) => r.n));
  }
  check(got, numbers(300).map((n) => id * 1000 + n), "a cursor");
}

// ahead: many requests at once, each a batch of its own, over few connections.
async function ahead(sql, id) {
  const got = await Promise.all(numbers(40).map((n) => sql`SELECT ${id}::int AS id, ${n}::int AS n`));
  check(got.map(([r]) => ({ ...r })), numbers(40).map((n) => ({ id, n })), "sent ahead");
  const mixed = await Promise.allSettled(numbers(12).map((n) => sql`SELECT 6 / (${n}::int - 6) AS n`));
  check(mixed.filter((r) => r.status === "rejected").map((r) => r.reason.code), ["22012"], "an error among those sent ahead");
}

async function cancelled(sql) {
  await fails("57014", async () => {
    const query = sql`SELECT pg_sleep(60)`;
    const asking = setInterval(() => query.cancel(), 100);
    try {
      await query;
    } finally {
      clearInterval(asking);
    }
  }, "a cancelled query");
}

async function round(sql, id, n) {
  await values(sql, id, n);
  await transfer(sql, id, n);
  await wrong(sql);
  await cursor(sql, id);
  await ahead(sql, id);
  await purchases(sql, id, n);
  const several = await sql`SELECT 1 AS a; SELECT 2 AS b`.simple();
  check(several.map((rows) => ({ ...rows[0] })), [{ a: 1 }, { b: 2 }], "several statements");
}

async function main() {
  for (const prepare of [true, false]) {
    const options = { prepare, onnotice: () => {} };
    const cleaner = postgres({ ...options, max: 1 });
    await cleaner`DELETE FROM purchase`;
    await cleaner.end();
    await together(`postgres: a pool for each, prepare ${prepare}`, async (id) => {
      const sql = postgres({ ...options, max: 2 });
      for (const n of numbers(ROUNDS)) await round(sql, id, n);
      await cancelled(sql);
      await values(sql, id, 0);
      await sql.end();
    });
  }
  const sql = postgres({ max: CLIENTS });
  await sql`DELETE FROM purchase`;
  await together("postgres: one pool", async (id) => {
    for (const n of numbers(ROUNDS)) await round(sql, id, n);
  });
  await sql.end();
  console.log(`node ${process.version}, ${version("postgres")}`);
}

main();
