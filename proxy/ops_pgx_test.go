package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"weir/internal/pgserver"
)

const (
	driverClients  = 12
	driverBackends = 3
	driverRounds   = 3
)

var pgxModes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
}

// shopDatabase has the tables that the clients of drivers work on, and a weir with few backends in front.
func shopDatabase(t *testing.T) (*pgserver.Database, *weirUnderTest) {
	t.Helper()
	d := database(t)
	fillShop(t, d)
	return d, start(t, d, fmt.Sprintf("[pool]\npool_size = %d", driverBackends))
}

func fillShop(t *testing.T, d *pgserver.Database) {
	t.Helper()
	d.Exec(t, "CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))",
		"INSERT INTO account SELECT n, 1000 FROM generate_series(0, 99) n",
		"CREATE TABLE purchase (client int, round int, item int, title text, PRIMARY KEY (client, round, item))")
}

// expectShared looks at what the clients of a driver have left: no money was made or lost, everybody's purchases are there, and
// it took no more backends than there may be, none of which weir had to give up.
func expectShared(t *testing.T, d *pgserver.Database, w *weirUnderTest, purchases int) {
	t.Helper()
	conn := direct(t, d)
	if got := ask(t, conn, "SELECT sum(balance) FROM account"); got != "100000" {
		t.Errorf("the accounts hold %s, want 100000", got)
	}
	if got := atoi(t, ask(t, conn, "SELECT count(*) FROM purchase")); got != purchases {
		t.Errorf("%d purchases, want %d", got, purchases)
	}
	p := w.Proxy.Snapshot().Pools[0]
	if p.Totals.Doubts.Sum() != 0 || p.Totals.BackendsLost != 0 || p.Totals.Dials > driverBackends {
		t.Errorf("%d dials for %d places, %d doubts, %d backends lost", p.Totals.Dials, driverBackends, p.Totals.Doubts.Sum(), p.Totals.BackendsLost)
	}
}

// together runs f for n clients at once and reports each one's error.
func together(t *testing.T, n int, f func(ctx context.Context, client int) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := f(ctx, i); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	all.Wait()
}

// Every way in which pgx can run a query, one connection a client.
func TestPgxInAllModes(t *testing.T) {
	d, w := shopDatabase(t)
	for _, mode := range pgxModes {
		t.Run(mode.String(), func(t *testing.T) {
			d.Exec(t, "TRUNCATE purchase")
			config, err := pgx.ParseConfig(w.DSN(d))
			if err != nil {
				t.Fatal(err)
			}
			config.DefaultQueryExecMode = mode
			together(t, driverClients, func(ctx context.Context, client int) error {
				conn, err := pgx.ConnectConfig(ctx, config)
				if err != nil {
					return err
				}
				for round := range driverRounds {
					if err := pgxRound(ctx, conn, client, round); err != nil {
						return fmt.Errorf("round %d: %w", round, err)
					}
				}
				return conn.Close(ctx)
			})
			expectShared(t, d, w, driverClients*driverRounds*itemsPerRound)
		})
	}
}

// A pool of pgx's own, with more connections than there are backends.
func TestPgxPoolInAllModes(t *testing.T) {
	d, w := shopDatabase(t)
	for _, mode := range pgxModes {
		t.Run(mode.String(), func(t *testing.T) {
			d.Exec(t, "TRUNCATE purchase")
			config, err := pgxpool.ParseConfig(w.DSN(d))
			if err != nil {
				t.Fatal(err)
			}
			config.ConnConfig.DefaultQueryExecMode = mode
			config.MinConns, config.MaxConns = driverClients, driverClients
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			together(t, driverClients, func(ctx context.Context, client int) error {
				for round := range driverRounds {
					err := pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return pgxRound(ctx, c.Conn(), client, round) })
					if err != nil {
						return fmt.Errorf("round %d: %w", round, err)
					}
				}
				return nil
			})
			expectShared(t, d, w, driverClients*driverRounds*itemsPerRound)
		})
	}
}

// pgxRound is one visit to the shop.
func pgxRound(ctx context.Context, conn *pgx.Conn, client, round int) error {
	for what, step := range map[string]func(context.Context, *pgx.Conn, int, int) error{
		"values": pgxValues, "transfer": pgxTransfer, "errors": pgxErrors, "batches": pgxBatches, "COPY": pgxCopy, "rows left": pgxRowsLeft,
	} {
		if err := step(ctx, conn, client, round); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if s := conn.PgConn().TxStatus(); s != 'I' {
			return fmt.Errorf("%s: the session's status is %c", what, s)
		}
	}
	return nil
}

// pgxValues: what goes in comes out, of types that each mode encodes in its own way.
func pgxValues(ctx context.Context, conn *pgx.Conn, client, round int) error {
	in := []any{
		client, fmt.Sprintf("client %d's text with 'quotes' \\ and ünïcödé", client),
		[]byte{0, 1, 0xff, byte(round)},
		[]int32{int32(client), int32(round)},
		time.Date(2026, 8, 1, 12, round, 0, 0, time.UTC), (*string)(nil), 1.5 + float64(client),
	}
	var (
		number  int
		text    string
		bytea   []byte
		array   []int32
		moment  time.Time
		nothing *string
		float   float64
	)
	err := conn.QueryRow(ctx, "SELECT $1::int, $2::text, $3::bytea, $4::int[], $5::timestamptz, $6::text, $7::float8", in...).
		Scan(&number, &text, &bytea, &array, &moment, &nothing, &float)
	if err != nil {
		return err
	}
	if number != in[0] || text != in[1] || !bytes.Equal(bytea, in[2].([]byte)) || !slices.Equal(array, in[3].([]int32)) ||
		!moment.Equal(in[4].(time.Time)) || nothing != nil || float != in[6] {
		return fmt.Errorf("sent %v, got %v", in, []any{number, text, bytea, array, moment, nothing, float})
	}
	return nil
}

// pgxTransfer moves money in a transaction; every third time it thinks better of it.
func pgxTransfer(ctx context.Context, conn *pgx.Conn, client, round int) error {
	from, to := min(client, 50+round), max(client, 50+round) // in order, so that nobody deadlocks
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	var before, after int64
	if err := tx.QueryRow(ctx, "SELECT balance FROM account WHERE id = $1 FOR UPDATE", from).Scan(&before); err != nil {
		return err
	}
	for id, amount := range map[int]int{from: -7, to: 7} {
		if tag, err := tx.Exec(ctx, "UPDATE account SET balance = balance + $2 WHERE id = $1", id, amount); err != nil || tag.RowsAffected() != 1 {
			return fmt.Errorf("%v %w", tag, err)
		}
	}
	if err := tx.QueryRow(ctx, "SELECT balance FROM account WHERE id = $1", from).Scan(&after); err != nil {
		return err
	}
	if after != before-7 {
		return fmt.Errorf("%d less 7 is %d", before, after)
	}
	if round%3 == 2 {
		return tx.Rollback(ctx)
	}
	return tx.Commit(ctx)
}

// pgxErrors: an error is the right one, and what follows it is not disturbed.
func pgxErrors(ctx context.Context, conn *pgx.Conn, client, _ int) error {
	for sql, code := range map[string]string{
		"SELECT $1::int / 0":                            "22012",
		"SELEC $1::int":                                 "42601",
		"INSERT INTO account VALUES ($1, 1)":            "23505",
		"SELECT $1::int FROM nowhere":                   "42P01",
		"UPDATE account SET balance = -1 WHERE id = $1": "23514",
	} {
		_, err := conn.Exec(ctx, sql, client)
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != code {
			return fmt.Errorf("%s: got %w, want %s", sql, err, code)
		}
	}
	return nil
}

const (
	itemsInBatch  = 5
	itemsByCopy   = 20
	itemsPerRound = itemsInBatch + itemsByCopy
)

// pgxBatches: one batch that succeeds and one that fails in its middle and so does nothing at all.
func pgxBatches(ctx context.Context, conn *pgx.Conn, client, round int) error {
	good, bad := new(pgx.Batch), new(pgx.Batch)
	for item := range itemsInBatch {
		const insert = "INSERT INTO purchase VALUES ($1, $2, $3, $4)"
		good.Queue(insert, client, round, item, fmt.Sprint("batch ", item))
		bad.Queue(insert, client, round, -1-item, "never")
	}
	count := 0
	good.Queue("SELECT count(*) FROM purchase WHERE client = $1 AND round = $2 AND title LIKE 'batch %'", client, round).
		QueryRow(func(row pgx.Row) error { return row.Scan(&count) })
	if err := conn.SendBatch(ctx, good).Close(); err != nil {
		return err
	}
	if count != itemsInBatch {
		return fmt.Errorf("%d rows, want %d", count, itemsInBatch)
	}
	bad.Queue("INSERT INTO purchase VALUES ($1, $2, $3, $4)", client, round, 0, "there is one")
	bad.Queue("SELECT $1::int", 1)
	err := conn.SendBatch(ctx, bad).Close()
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "23505" {
		return fmt.Errorf("the bad batch: %w", err)
	}
	return nil
}

// pgxCopy copies in, and out again.
func pgxCopy(ctx context.Context, conn *pgx.Conn, client, round int) error {
	rows := pgx.CopyFromSlice(itemsByCopy, func(i int) ([]any, error) {
		return []any{client, round, 100 + i, strings.Repeat("x", 100*i)}, nil
	})
	if n, err := conn.CopyFrom(ctx, pgx.Identifier{"purchase"}, []string{"client", "round", "item", "title"}, rows); n != itemsByCopy || err != nil {
		return fmt.Errorf("%d rows: %w", n, err)
	}
	var out bytes.Buffer
	sql := fmt.Sprintf("COPY (SELECT item FROM purchase WHERE client = %d AND round = %d AND item >= 100 ORDER BY item) TO STDOUT", client, round)
	if _, err := conn.PgConn().CopyTo(ctx, &out, sql); err != nil {
		return err
	}
	if got := strings.Fields(out.String()); len(got) != itemsByCopy || got[0] != "100" {
		return fmt.Errorf("copied out: %v", got)
	}
	failing := pgx.CopyFromFunc(func() ([]any, error) { return nil, errors.New("no more") })
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"purchase"}, []string{"client"}, failing); err == nil || !strings.Contains(err.Error(), "no more") {
		return fmt.Errorf("a COPY that its client breaks off: %w", err)
	}
	return nil
}

// pgxRowsLeft closes a result that has been read in part.
func pgxRowsLeft(ctx context.Context, conn *pgx.Conn, client, _ int) error {
	rows, err := conn.Query(ctx, "SELECT $1::int FROM generate_series(1, 2000)", client)
	if err != nil {
		return err
	}
	for range 3 {
		if !rows.Next() {
			return rows.Err()
		}
		if v, err := rows.Values(); err != nil || v[0] != int32(client) {
			return fmt.Errorf("%v %w", v, err)
		}
	}
	rows.Close()
	return rows.Err()
}

func TestPgxLargeObjects(t *testing.T) {
	d, w := shopDatabase(t)
	together(t, driverClients, func(ctx context.Context, client int) error {
		conn, err := pgx.Connect(ctx, w.DSN(d))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		content := bytes.Repeat([]byte{byte(client), 0, 1}, 50000)
		var oid uint32
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			objects := tx.LargeObjects()
			if oid, err = objects.Create(ctx, 0); err != nil {
				return err
			}
			object, err := objects.Open(ctx, oid, pgx.LargeObjectModeWrite)
			if err != nil {
				return err
			}
			_, err = object.Write(content)
			return err
		})
		if err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			objects := tx.LargeObjects()
			object, err := objects.Open(ctx, oid, pgx.LargeObjectModeRead)
			if err != nil {
				return err
			}
			got, err := io.ReadAll(object)
			if err != nil || !bytes.Equal(got, content) {
				return fmt.Errorf("%d bytes: %w", len(got), err)
			}
			return objects.Unlink(ctx, oid)
		})
	})
	expectShared(t, d, w, 0)
}

// Those who listen hear what the others notify, and only what they listen to.
func TestPgxListen(t *testing.T) {
	const listeners, messages = driverBackends - 1, 5
	d, w := shopDatabase(t)
	var ready sync.WaitGroup
	ready.Add(listeners)
	together(t, listeners+1, func(ctx context.Context, client int) error {
		conn, err := pgx.Connect(ctx, w.DSN(d))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		if client == listeners {
			ready.Wait()
			for n := range messages {
				for to := range listeners {
					if _, err := conn.Exec(ctx, "SELECT pg_notify($1, $2)", fmt.Sprint("channel", to), fmt.Sprint(n)); err != nil {
						return err
					}
				}
			}
			return nil
		}
		_, err = conn.Exec(ctx, fmt.Sprint("LISTEN channel", client))
		ready.Done()
		if err != nil {
			return err
		}
		for n := range messages {
			heard, err := conn.WaitForNotification(ctx)
			if err != nil {
				return err
			}
			if heard.Channel != fmt.Sprint("channel", client) || heard.Payload != fmt.Sprint(n) {
				return fmt.Errorf("heard %+v, want message %d", heard, n)
			}
		}
		return nil
	})
	expectShared(t, d, w, 0)
}

// A context that ends cancels the query; pgx closes that connection, and nobody else notices.
func TestPgxContextEndsTheQuery(t *testing.T) {
	d, w := shopDatabase(t)
	pool, err := pgxpool.New(t.Context(), w.DSN(d, "pool_max_conns", "6", "default_query_exec_mode", "exec"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	together(t, driverClients, func(ctx context.Context, client int) error {
		for range driverRounds {
			short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
			_, err := pool.Exec(short, "SELECT pg_sleep(20)")
			cancel()
			if err == nil {
				return errors.New("the query has ended")
			}
			var n int
			if err := pool.QueryRow(ctx, "SELECT $1::int", client).Scan(&n); err != nil || n != client {
				return fmt.Errorf("got %d: %w", n, err)
			}
		}
		return nil
	})
	expectRunning(t, d, "SELECT pg_sleep", 0)
}

// TestPreparingSeesTheSchemaAsItIs: statements are shared, and yet whoever prepares a text learns its columns of now, whoever has
// prepared it before; also when the change is rolled back again, and when a type has been made anew under its name.
func TestPreparingSeesTheSchemaAsItIs(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE shape (a int, b int)", "CREATE TYPE color AS ENUM ('red')")
	w := start(t, d, "[pool]\npool_size = 1")
	shape := func() string {
		conn, err := pgx.Connect(t.Context(), w.DSN(d))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(t.Context()) }()
		var all []string
		for _, sql := range []string{"SELECT * FROM shape", "SELECT 'red'::color"} {
			s, err := conn.Prepare(t.Context(), sql, sql)
			if err != nil {
				return err.Error()
			}
			for _, f := range s.Fields {
				all = append(all, f.Name)
			}
		}
		return strings.Join(all, " ")
	}
	changer := enter(t, w, d)
	change := func(statements ...string) {
		for _, sql := range statements {
			changer.Query(sql)
		}
	}
	expect := func(want string) {
		t.Helper()
		if got := shape(); got != want {
			t.Errorf("prepared: %s, want %s", got, want)
		}
	}
	expect("a b color")
	change("ALTER TABLE shape ADD c int")
	expect("a b c color")
	change("DROP TYPE color", "CREATE TYPE color AS ENUM ('red', 'green')")
	expect("a b c color")
	change("BEGIN", "ALTER TABLE shape DROP a", "ROLLBACK")
	expect("a b c color")
	change("BEGIN", "ALTER TABLE shape DROP a", "COMMIT")
	expect("b c color")
}
