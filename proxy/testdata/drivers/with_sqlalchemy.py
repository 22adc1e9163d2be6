"""SQLAlchemy with its own pool: the ORM and the core over psycopg2, and over asyncpg."""

import asyncio
import os

import sqlalchemy as sa
from sqlalchemy import exc, orm
from sqlalchemy.ext import asyncio as sa_asyncio

from shop import CLIENTS, ITEMS, ROUNDS, check, text, threads

Base = orm.declarative_base()


class Account(Base):
    __tablename__ = "account"
    id = sa.Column(sa.Integer, primary_key=True)
    balance = sa.Column(sa.BigInteger)


class Purchase(Base):
    __tablename__ = "purchase"
    client = sa.Column(sa.Integer, primary_key=True)
    round = sa.Column(sa.Integer, primary_key=True)
    item = sa.Column(sa.Integer, primary_key=True)
    title = sa.Column(sa.String)


def url(driver):
    e = os.environ
    return f"postgresql+{driver}://{e['PGUSER']}@{e['PGHOST']}:{e['PGPORT']}/{e['PGDATABASE']}"


autocommitting = sa.create_engine(url("psycopg2"), pool_size=CLIENTS, isolation_level="AUTOCOMMIT", future=True)


def transfer(session, client, rnd):
    accounts = {a.id: a for a in session.query(Account).filter(Account.id.in_([client, 50 + rnd])).order_by(Account.id).with_for_update()}
    accounts[client].balance -= 7
    accounts[50 + rnd].balance += 7
    session.flush()
    try:
        with session.begin_nested():
            session.execute(sa.insert(Account).values(id=1, balance=1))
        raise AssertionError("a duplicate was taken")
    except exc.IntegrityError:
        pass
    if rnd % 3 == 2:
        session.rollback()
    else:
        session.commit()


def work(engine):
    def one(client):
        for rnd in range(ROUNDS):
            with orm.Session(engine) as session:
                check(session.execute(sa.select(sa.literal(client), sa.literal(text(client)))).one(), (client, text(client)), "values")
                transfer(session, client, rnd)
                session.add_all([Purchase(client=client, round=rnd, item=i, title=text(i)) for i in range(ITEMS)])
                session.commit()
                bought = session.query(Purchase).filter_by(client=client, round=rnd).order_by(Purchase.item).all()
                check([p.title for p in bought], [text(i) for i in range(ITEMS)], "purchases")
            with autocommitting.connect() as conn:
                check(conn.execute(sa.select(sa.func.count()).select_from(Account)).scalar(), 100, "accounts")
            with engine.connect() as conn:
                rows = conn.execution_options(stream_results=True).execute(sa.text("SELECT :c * 1000 + n FROM generate_series(0, 299) n"), {"c": client})
                check([r[0] for r in rows], [client * 1000 + n for n in range(300)], "a stream")
    return one


async def work_async(engine, client):
    for rnd in range(ROUNDS):
        async with sa_asyncio.AsyncSession(engine) as session:
            await session.run_sync(lambda s: transfer(s, client, rnd))
            session.add_all([Purchase(client=client, round=rnd, item=i, title=text(i)) for i in range(ITEMS)])
            await session.commit()
            got = await session.execute(sa.select(Purchase.title).filter_by(client=client, round=rnd).order_by(Purchase.item))
            check(got.scalars().all(), [text(i) for i in range(ITEMS)], "purchases")
        async with engine.connect() as conn:
            rows = await conn.stream(sa.text("SELECT cast(:c AS int) * 1000 + n FROM generate_series(0, 299) n"), {"c": client})
            check([r[0] async for r in rows], [client * 1000 + n for n in range(300)], "a stream")


async def all_async():
    engine = sa_asyncio.create_async_engine(url("asyncpg"), pool_size=CLIENTS)
    await asyncio.gather(*(work_async(engine, client) for client in range(CLIENTS)))
    await engine.dispose()


over_psycopg2 = sa.create_engine(url("psycopg2"), pool_size=CLIENTS, future=True)
threads(work(over_psycopg2))
with over_psycopg2.begin() as connection:
    connection.execute(sa.delete(Purchase))
over_psycopg2.dispose()
asyncio.run(all_async())
print(f"SQLAlchemy {sa.__version__} over psycopg2 and asyncpg")
