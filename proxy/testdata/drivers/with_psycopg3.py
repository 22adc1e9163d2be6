"""psycopg 3: the extended protocol, named statements from the fifth use on, pipelines, COPY, synchronous and asynchronous."""

import asyncio

import psycopg
from psycopg import errors as err
from psycopg.types.json import Jsonb

from shop import CLIENTS, COPIED, INSERTED, ROUNDS, cancelling, check, text, threads


def values(conn, client, rnd):
    for binary in (False, True):
        cur = conn.cursor(binary=binary)
        cur.execute("SELECT %s::int, %s::text, %s::bytea, %s::int[], %s::text, %s::jsonb",
                    (client, text(client), b"\x00\x01\xff", [client, rnd], None, Jsonb({"client": client})))
        check(cur.fetchone(), (client, text(client), b"\x00\x01\xff", [client, rnd], None, {"client": client}), "values")
    conn.commit()


def transfer(conn, client, rnd):
    with conn.transaction(force_rollback=rnd % 3 == 2):
        before = conn.execute("UPDATE account SET balance = balance - 7 WHERE id = %s RETURNING balance", (client,)).fetchone()
        check(conn.execute("UPDATE account SET balance = balance + 7 WHERE id = %s", (50 + rnd,)).rowcount, 1, "rows changed")
        try:
            with conn.transaction():  # a savepoint
                conn.execute("UPDATE account SET balance = -1 WHERE id = %s", (client,))
            raise AssertionError("a negative balance was taken")
        except err.CheckViolation:
            pass
        check(conn.execute("SELECT balance FROM account WHERE id = %s", (client,)).fetchone(), before, "the balance")


def wrong(conn):
    for sql, error in (("SELECT %s/0", err.DivisionByZero), ("SELEC %s", err.SyntaxError),
                       ("INSERT INTO account VALUES (%s, 1)", err.UniqueViolation)):
        try:
            with conn.transaction():
                conn.execute(sql, (1,))
            raise AssertionError(f"{sql} went well")
        except error:
            pass
    check(conn.info.transaction_status, psycopg.pq.TransactionStatus.IDLE, "status")


def purchases(conn, client, rnd):
    with conn.transaction(), conn.cursor() as cur:
        cur.executemany("INSERT INTO purchase VALUES (%s, %s, %s, %s)", [(client, rnd, i, "inserted") for i in range(INSERTED)])
        with cur.copy("COPY purchase FROM STDIN") as copy:
            for i in range(COPIED):
                copy.write_row((client, rnd, 100 + i, "copied"))
        with cur.copy("COPY (SELECT item FROM purchase WHERE client = %s AND round = %s) TO STDOUT (FORMAT binary)", (client, rnd)) as copy:
            copy.set_types(["int4"])
            check(len(list(copy.rows())), INSERTED + COPIED, "copied out")
    try:
        with conn.transaction(), conn.cursor() as cur, cur.copy("COPY purchase FROM STDIN") as copy:
            copy.write("not a number\n")
        raise AssertionError("a bad COPY went well")
    except err.InvalidTextRepresentation:
        pass


def prepared(conn, client):
    for n in range(12):  # by itself from the fifth time on
        check(conn.execute("SELECT %s::int * 2, %s", (client, n)).fetchone(), (client * 2, n), "prepared by itself")
        check(conn.execute(f"SELECT %s::int + {n}", (client,), prepare=True).fetchone(), (client + n,), "prepared at once")
    conn.commit()
    try:
        conn.execute("SELEC %s", (1,), prepare=True)
        raise AssertionError("a statement that is none was prepared")
    except err.SyntaxError:
        conn.rollback()


def pipelines(conn, client):
    with conn.pipeline() as pipeline:
        cursors = [conn.execute("SELECT %s::int, %s::int", (client, n)) for n in range(30)]
        pipeline.sync()
        check([c.fetchone() for c in cursors], [(client, n) for n in range(30)], "a pipeline")
        conn.commit()
    try:
        with conn.pipeline():
            conn.execute("SELECT 1")
            conn.execute("SELECT 1/%s", (0,))
            conn.execute("SELECT 2")
        raise AssertionError("a pipeline with an error went well")
    except err.DivisionByZero:
        conn.rollback()


def server_cursor(conn, client):
    with conn.transaction(), conn.cursor(name="c") as cur:
        cur.itersize = 50
        cur.execute("SELECT %s * 1000 + n FROM generate_series(0, 299) n", (client,))
        check([row[0] for row in cur], [client * 1000 + n for n in range(300)], "a server-side cursor")
    rows = conn.cursor().stream("SELECT %s * 1000 + n FROM generate_series(0, 299) n", (client,))  # single-row mode
    check([row[0] for row in rows], [client * 1000 + n for n in range(300)], "a stream")
    conn.commit()


def cancelled(conn):
    try:
        with cancelling(conn.cancel):
            conn.execute("SELECT pg_sleep(60)")
        raise AssertionError("it slept on")
    except err.QueryCanceled:
        conn.rollback()


def work(client):
    with psycopg.connect("") as conn:
        conn.prepared_max = 4  # so that old ones are deallocated
        for rnd in range(ROUNDS):
            values(conn, client, rnd)
            transfer(conn, client, rnd)
            wrong(conn)
            purchases(conn, client, rnd)
            prepared(conn, client)
            pipelines(conn, client)
            server_cursor(conn, client)
        cancelled(conn)
        values(conn, client, 0)


async def work_async(client):
    async with await psycopg.AsyncConnection.connect("", autocommit=True) as conn:
        for n in range(10):
            row = await (await conn.execute("SELECT %s::int, %s::text", (client, text(n)))).fetchone()
            check(row, (client, text(n)), "asynchronously")
            async with conn.transaction():
                await conn.execute("UPDATE account SET balance = balance - 1 WHERE id = %s", (client,))
                await conn.execute("UPDATE account SET balance = balance + 1 WHERE id = %s", (client + 50,))


async def all_async():
    await asyncio.gather(*(work_async(client) for client in range(CLIENTS)))


threads(work)
asyncio.run(all_async())
print(f"psycopg {psycopg.__version__} ({psycopg.pq.__impl__}), libpq {psycopg.pq.version()}")
