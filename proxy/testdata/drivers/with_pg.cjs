// node's pg: its pool, values, named statements, cursors, COPY streams.
"use strict";

const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
const pg = require("pg");
const Cursor = require("pg-cursor");
const { from: copyFrom, to: copyTo } = require("pg-copy-streams");
const { CLIENTS, ROUNDS, INSERTED, COPIED, check, fails, numbers, text, together, version } = require("./shop.cjs");

async function values(client, id, round) {
  const sql = "SELECT $1::int AS number, $2::text AS text, $3::bytea AS bytes, $4::int[] AS list, $5::text AS nothing, $6::jsonb AS doc";
  const sent = [id, text(id), Buffer.from([0, 1, 255]), [id, round], null, { id }];
  for (const query of [{ text: sql }, { text: sql, name: "values" }]) {
    const { rows } = await client.query({ ...query, values: sent });
    check(Object.values(rows[0]), sent, "values");
  }
}

async function transfer(client, id, round) {
  await client.query("BEGIN");
  const before = await client.query("UPDATE account SET balance = balance - 7 WHERE id = $1 RETURNING balance", [id]);
  check((await client.query("UPDATE account SET balance = balance + 7 WHERE id = $1", [50 + round])).rowCount, 1, "rows changed");
  await client.query("SAVEPOINT s");
  await fails("23514", () => client.query("UPDATE account SET balance = -1 WHERE id = $1", [id]), "a negative balance");
  await client.query("ROLLBACK TO s");
  const after = await client.query({ name: "balance", text: "SELECT balance FROM account WHERE id = $1", values: [id] });
  check(after.rows, before.rows, "the balance");
  await client.query(round % 3 === 2 ? "ROLLBACK" : "COMMIT");
}

async function wrong(client) {
  await fails("22012", () => client.query("SELECT $1::int / 0", [1]), "division");
  await fails("42601", () => client.query({ name: "bad", text: "SELEC $1", values: [1] }), "no statement");
  await fails("23505", () => client.query("INSERT INTO account VALUES ($1, 1)", [1]), "a duplicate");
}

// named: all clients use the same names for texts of their own.
async function named(client, id) {
  for (const n of numbers(10)) {
    const { rows } = await client.query({ name: `own${n % 3}`, text: `SELECT $1::int + ${id * 1000 + (n % 3)} AS n`, values: [n] });
    check(rows, [{ n: id * 1000 + (n % 3) + n }], "a named statement");
  }
}

async function purchases(client, id, round) {
  for (const item of numbers(INSERTED)) {
    await client.query({ name: "buy", text: "INSERT INTO purchase VALUES ($1, $2, $3, $4)", values: [id, round, item, "inserted"] });
  }
  const lines = numbers(COPIED).map((i) => `${id}\t${round}\t${100 + i}\tcopied\n`);
  await pipeline(Readable.from(lines), client.query(copyFrom("COPY purchase FROM STDIN")));
  let out = "";
  for await (const chunk of client.query(copyTo(`COPY (SELECT item FROM purchase WHERE client = ${id} AND round = ${round}) TO STDOUT`))) {
    out += chunk;
  }
  check(out.trim().split("\n").length, INSERTED + COPIED, "copied out");
  await fails("22P02", () => pipeline(Readable.from(["not a number\n"]), client.query(copyFrom("COPY purchase FROM STDIN"))), "a bad COPY");
}

async function cursor(client, id) {
  await client.query("BEGIN");
  const c = client.query(new Cursor("SELECT $1::int * 1000 + n AS n FROM generate_series(0, 299) n", [id]));
  const got = [];
  for (let rows = await c.read(50); rows.length > 0; rows = await c.read(50)) {
    got.push(...rows.map((r) => r.n));
  }
  await c.close();
  check(got, numbers(300).map((n) => id * 1000 + n), "a cursor");
  const left = client.query(new Cursor("SELECT n FROM generate_series(0, 299) n"));
  check((await left.read(5)).length, 5, "the beginning of a result");
  await left.close();
  await client.query("COMMIT");
}

async function round(client, id, n) {
  await values(client, id, n);
  await transfer(client, id, n);
  await wrong(client);
  await named(client, id);
  await cursor(client, id);
  await purchases(client, id, n);
  const several = await client.query("SELECT 1 AS a; SELECT 2 AS b");
  check(several.map((r) => r.rows), [[{ a: 1 }], [{ b: 2 }]], "several statements");
}

async function main() {
  await together("pg: a connection for each", async (id) => {
    const client = new pg.Client();
    await client.connect();
    for (const n of numbers(ROUNDS)) await round(client, id, n);
    await client.end();
  });
  const pool = new pg.Pool({ max: CLIENTS });
  await pool.query("DELETE FROM purchase");
  await together("pg: its pool", async (id) => {
    for (const n of numbers(ROUNDS)) {
      const client = await pool.connect();
      await round(client, id, n);
      client.release();
      check((await pool.query("SELECT $1::int AS id", [id])).rows, [{ id }], "by the pool");
    }
  });
  await pool.end();
  console.log(`node ${process.version}, ${version("pg")}, ${version("pg-cursor")}, ${version("pg-copy-streams")}`);
}

main();
