"""asyncpg: binary values, a named statement for each text, a pool that resets its connections."""

import asyncio
import datetime

import asyncpg

from shop import CLIENTS, COPIED, INSERTED, ROUNDS, check, text

MOMENT = datetime.datetime(2026, 8, 1, 12, tzinfo=datetime.timezone.utc)


async def values(conn, client, rnd):
    row = await conn.fetchrow("SELECT $1::int, $2::text, $3::bytea, $4::int[], $5::text, $6::timestamptz, $7::numeric",
                              client, text(client), b"\x00\x01\xff", [client, rnd], None, MOMENT, 7)
    check(tuple(row), (client, text(client), b"\x00\x01\xff", [client, rnd], None, MOMENT, 7), "values")
    check(await conn.fetchval("SELECT ROW($1::int, 'x')", client), (client, "x"), "a record")


class Enough(Exception):
    pass


async def transfer(conn, client, rnd):
    try:
        async with conn.transaction():
            before = await conn.fetchval("UPDATE account SET balance = balance - 7 WHERE id = $1 RETURNING balance", client)
            check(await conn.execute("UPDATE account SET balance = balance + 7 WHERE id = $1", 50 + rnd), "UPDATE 1", "the tag")
            try:
                async with conn.transaction():  # a savepoint
                    await conn.execute("UPDATE account SET balance = -1 WHERE id = $1", client)
                raise AssertionError("a negative balance was taken")
            except asyncpg.CheckViolationError:
                pass
            check(await conn.fetchval("SELECT balance FROM account WHERE id = $1", client), before, "the balance")
            if rnd % 3 == 2:
                raise Enough
    except Enough:
        pass


async def wrong(conn):
    for sql, error in (("SELECT $1::int/0", asyncpg.DivisionByZeroError), ("SELEC $1::int", asyncpg.PostgresSyntaxError),
                       ("INSERT INTO account VALUES ($1, 1)", asyncpg.UniqueViolationError)):
        try:
            await conn.execute(sql, 1)
            raise AssertionError(f"{sql} went well")
        except error:
            pass


async def purchases(conn, client, rnd):
    await conn.executemany("INSERT INTO purchase VALUES ($1, $2, $3, $4)", [(client, rnd, i, "inserted") for i in range(INSERTED)])
    await conn.copy_records_to_table("purchase", records=[(client, rnd, 100 + i, "copied") for i in range(COPIED)])
    out = []

    async def collect(data):
        out.append(data)

    await conn.copy_from_query("SELECT item FROM purchase WHERE client = $1 AND round = $2", client, rnd, output=collect)
    check(len(b"".join(out).split()), INSERTED + COPIED, "copied out")
    try:
        await conn.executemany("INSERT INTO purchase VALUES ($1, $2, $3, $4)", [(client, rnd, 50, "never"), (client, rnd, 0, "twice")])
        raise AssertionError("a duplicate went well")
    except asyncpg.UniqueViolationError:
        pass  # all of it was taken back


async def prepared(conn, client):
    own = await conn.prepare(f"SELECT $1::int + {client * 1000}")
    shared = await conn.prepare("SELECT $1::text, $2::int")
    for n in range(8):
        check(await own.fetchval(n), client * 1000 + n, "an own statement")
        check(tuple(await shared.fetchrow(text(client), n)), (text(client), n), "a shared statement")
    check([a.type.name for a in shared.get_attributes()], ["text", "int4"], "the statement's columns")


async def cursors(conn, client):
    async with conn.transaction():
        got = [row[0] async for row in conn.cursor("SELECT $1::int * 1000 + n FROM generate_series(0, 299) n", client, prefetch=50)]
    check(got, [client * 1000 + n for n in range(300)], "a cursor")


async def cancelled(conn):
    try:
        await conn.execute("SELECT pg_sleep(60)", timeout=0.1)  # asyncpg sends a cancel request
        raise AssertionError("it slept on")
    except asyncio.TimeoutError:
        pass


async def work(connect, client):
    for rnd in range(ROUNDS):
        async with connect() as conn:
            await values(conn, client, rnd)
            await transfer(conn, client, rnd)
            await wrong(conn)
            await prepared(conn, client)
            await cursors(conn, client)
            if rnd == 0:
                await cancelled(conn)
            await purchases(conn, client, rnd)


class Single:
    """A connection of its own."""

    async def __aenter__(self):
        self.conn = await asyncpg.connect()
        return self.conn

    async def __aexit__(self, *_):
        await self.conn.close()


async def main():
    await asyncio.gather(*(work(Single, client) for client in range(CLIENTS)))
    conn = await asyncpg.connect()
    await conn.execute("DELETE FROM purchase")
    await conn.close()
    # The pool resets each connection that it gets back with RESET ALL, and asyncpg switches jit off and on while it learns types.
    async with asyncpg.create_pool(min_size=CLIENTS, max_size=CLIENTS) as pool:
        await asyncio.gather(*(work(pool.acquire, client) for client in range(CLIENTS)))


asyncio.run(main())
print(f"asyncpg {asyncpg.__version__}")
