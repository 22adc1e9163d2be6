"""psycopg2: the simple protocol, values put into the text by the driver."""

import io

import psycopg2
import psycopg2.errors
import psycopg2.extras

from shop import COPIED, INSERTED, ROUNDS, cancelling, check, text, threads


def values(conn, client, rnd):
    with conn, conn.cursor() as cur:
        cur.execute("SELECT %s::int, %s, %s::bytea, %s::int[], %s::text, %s::jsonb",
                    (client, text(client), b"\x00\x01\xff", [client, rnd], None, psycopg2.extras.Json({"client": client})))
        row = cur.fetchone()
        check((row[0], row[1], bytes(row[2]), row[3], row[4], row[5]),
              (client, text(client), b"\x00\x01\xff", [client, rnd], None, {"client": client}), "values")


def transfer(conn, client, rnd):
    with conn.cursor() as cur:
        cur.execute("UPDATE account SET balance = balance - 7 WHERE id = %s RETURNING balance", (client,))
        before = cur.fetchone()[0]
        cur.execute("UPDATE account SET balance = balance + 7 WHERE id = %s", (50 + rnd,))
        check(cur.rowcount, 1, "rows changed")
        cur.execute("SAVEPOINT s")
        try:
            cur.execute("UPDATE account SET balance = -1 WHERE id = %s", (client,))
            raise AssertionError("a negative balance was taken")
        except psycopg2.errors.CheckViolation:
            cur.execute("ROLLBACK TO s")
        cur.execute("SELECT balance FROM account WHERE id = %s", (client,))
        check(cur.fetchone()[0], before, "the balance")
    if rnd % 3 == 2:
        conn.rollback()
    else:
        conn.commit()


def errors(conn, client):
    for sql, error in (("SELECT 1/0", psycopg2.errors.DivisionByZero), ("SELEC 1", psycopg2.errors.SyntaxError),
                       ("INSERT INTO account VALUES (1, 1)", psycopg2.errors.UniqueViolation)):
        try:
            with conn, conn.cursor() as cur:
                cur.execute(sql)
            raise AssertionError(f"{sql} went well")
        except error:
            pass
    check(conn.info.transaction_status, psycopg2.extensions.TRANSACTION_STATUS_IDLE, "status")


def purchases(conn, client, rnd):
    with conn, conn.cursor() as cur:
        psycopg2.extras.execute_values(cur, "INSERT INTO purchase VALUES %s",
                                       [(client, rnd, i, "inserted") for i in range(INSERTED)])
        rows = "".join(f"{client}\t{rnd}\t{100 + i}\tcopied\n" for i in range(COPIED))
        cur.copy_expert("COPY purchase FROM STDIN", io.StringIO(rows))
        out = io.StringIO()
        cur.copy_expert(f"COPY (SELECT item FROM purchase WHERE client = {client} AND round = {rnd} ORDER BY 1) TO STDOUT", out)
        check(len(out.getvalue().split()), INSERTED + COPIED, "copied out")
    try:
        with conn, conn.cursor() as cur:
            cur.copy_expert("COPY purchase FROM STDIN", io.StringIO("not a number\n"))
        raise AssertionError("a bad COPY went well")
    except psycopg2.errors.InvalidTextRepresentation:
        pass


def server_cursor(conn, client):
    with conn, conn.cursor(name="c") as cur:  # DECLARE in a transaction, the same name for all clients
        cur.itersize = 50
        cur.execute("SELECT %s * 1000 + n FROM generate_series(0, 299) n", (client,))
        check([row[0] for row in cur], [client * 1000 + n for n in range(300)], "a server-side cursor")


def large_object(conn, client):
    content = bytes([client]) * 20000
    with conn:
        made = conn.lobject(0, "wb")
        made.write(content)
        oid = made.oid
        made.close()
    with conn:
        read = conn.lobject(oid, "rb")
        check(read.read(), content, "a large object")
        read.unlink()


def cancelled(conn):
    try:
        with cancelling(conn.cancel), conn, conn.cursor() as cur:
            cur.execute("SELECT pg_sleep(60)")
        raise AssertionError("it slept on")
    except psycopg2.errors.QueryCanceled:
        pass


def autocommit(conn, client):
    conn.autocommit = True
    with conn.cursor() as cur:
        cur.execute("SELECT %s", (client,))
        check(cur.fetchone()[0], client, "in autocommit")
    conn.autocommit = False


def work(client):
    conn = psycopg2.connect("")
    for rnd in range(ROUNDS):
        values(conn, client, rnd)
        transfer(conn, client, rnd)
        errors(conn, client)
        purchases(conn, client, rnd)
        server_cursor(conn, client)
        large_object(conn, client)
        autocommit(conn, client)
    cancelled(conn)
    values(conn, client, 0)
    conn.close()


threads(work)
print(f"psycopg2 {psycopg2.__version__.split()[0]}, libpq {psycopg2.__libpq_version__}")
