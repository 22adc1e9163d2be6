"""What the Python programs have in common: how many clients there are, what they work on, and how they fail.

Each program logs CLIENTS clients in at once at the server that libpq's environment names, lets each make ROUNDS rounds,
and ends with 0 and a line that says what it was, or with a traceback. The tables are those of shopDatabase in the Go test
that runs it, which checks afterwards that no money was lost and that each round has left ITEMS purchases.
"""

import concurrent.futures
import contextlib
import os
import threading

CLIENTS = int(os.environ["CLIENTS"])
ROUNDS = int(os.environ["ROUNDS"])
INSERTED, COPIED = 5, 20  # purchases of a round, by INSERT and by COPY
ITEMS = INSERTED + COPIED
TEXT = "it's client %d: \\ \"quotes\", ünïcödé and a % sign"


def check(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def text(client):
    return TEXT.replace("%d", str(client))


def threads(work):
    """Runs work(client) for all clients at once and fails as the first of them fails."""
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        for done in concurrent.futures.as_completed([pool.submit(work, c) for c in range(CLIENTS)]):
            done.result()


@contextlib.contextmanager
def cancelling(cancel):
    """Asks for a cancel again and again, since a request that comes before the query has begun does nothing."""
    over = threading.Event()

    def ask():
        while not over.wait(0.1):
            cancel()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
