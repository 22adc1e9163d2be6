package proxy_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"
	"github.com/lib/pq"

	"weir/internal/pgserver"
)

// sqlDrivers are database/sql's two drivers, in the ways in which they can be told to talk. Each has parameters for its DSN.
var sqlDrivers = []struct {
	name, driver string
	params       []string
}{
	{name: "lib/pq", driver: "postgres"},
	{name: "lib/pq, binary parameters", driver: "postgres", params: []string{"binary_parameters", "yes"}},
	{name: "pgx, cached statements", driver: "pgx"},
	{name: "pgx, exec", driver: "pgx", params: []string{"default_query_exec_mode", "exec"}},
	{name: "pgx, simple protocol", driver: "pgx", params: []string{"default_query_exec_mode", "simple_protocol"}},
}

// openSQL opens database/sql's pool, with more connections than there are backends.
func openSQL(t *testing.T, driver string, w *weirUnderTest, d *pgserver.Database, params ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, w.DSN(d, params...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(driverClients)
	db.SetMaxIdleConns(driverClients)
	return db
}

func TestDatabaseSQL(t *testing.T) {
	d, w := shopDatabase(t)
	for _, c := range sqlDrivers {
		t.Run(c.name, func(t *testing.T) {
			d.Exec(t, "TRUNCATE purchase")
			db := openSQL(t, c.driver, w, d, c.params...)
			together(t, driverClients, func(ctx context.Context, client int) error {
				for round := range driverRounds {
					if err := sqlRound(ctx, db, client, round); err != nil {
						return fmt.Errorf("round %d: %w", round, err)
					}
				}
				return nil
			})
			expectShared(t, d, w, driverClients*driverRounds)
			_ = db.Close()
		})
	}
}

// sqlRound is one visit to the shop, each statement of which may go over another connection.
func sqlRound(ctx context.Context, db *sql.DB, client, round int) error {
	if err := sqlValues(ctx, db, client, round); err != nil {
		return fmt.Errorf("values: %w", err)
	}
	if err := sqlTransfer(ctx, db, client, round); err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	_, err := db.ExecContext(ctx, "INSERT INTO account VALUES ($1, 1)", client)
	if sqlState(err) != "23505" {
		return fmt.Errorf("a duplicate: %w", err)
	}
	return sqlManyRows(ctx, db, client)
}

func sqlState(err error) string {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return string(e.Code)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

func sqlValues(ctx context.Context, db *sql.DB, client, round int) error {
	var (
		number  int
		text    string
		bytea   []byte
		moment  time.Time
		nothing sql.NullString
	)
	wantBytes, wantMoment := []byte{0, 1, 0xff, byte(client)}, time.Date(2026, 8, 1, 12, round, 0, 0, time.UTC)
	row := db.QueryRowContext(ctx, "SELECT $1::int, $2::text, $3::bytea, $4::timestamptz, $5::text",
		client, fmt.Sprintf("it's client %d", client), wantBytes, wantMoment, nil)
	if err := row.Scan(&number, &text, &bytea, &moment, &nothing); err != nil {
		return err
	}
	if number != client || text != fmt.Sprintf("it's client %d", client) || !bytes.Equal(bytea, wantBytes) ||
		!moment.Equal(wantMoment) || nothing.Valid {
		return fmt.Errorf("got %d %q %x %s %v", number, text, bytea, moment, nothing)
	}
	return nil
}

func sqlTransfer(ctx context.Context, db *sql.DB, client, round int) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, step := range []struct{ id, amount int }{{client, -7}, {50 + round, 7}} {
		if _, err := tx.ExecContext(ctx, "UPDATE account SET balance = balance + $2 WHERE id = $1", step.id, step.amount); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO purchase VALUES ($1, $2, 0, 'sold')", client, round); err != nil {
		return err
	}
	return tx.Commit()
}

// sqlManyRows reads one result to its end and leaves another in the middle.
func sqlManyRows(ctx context.Context, db *sql.DB, client int) error {
	for _, most := range []int{300, 5} {
		rows, err := db.QueryContext(ctx, "SELECT $1::int * 1000 + n FROM generate_series(0, 299) n", client)
		if err != nil {
			return err
		}
		n := 0
		for ; n < most && rows.Next(); n++ {
			var got int
			if err := rows.Scan(&got); err != nil || got != client*1000+n {
				return fmt.Errorf("row %d is %d: %w", n, got, err)
			}
		}
		if err := errors.Join(rows.Close(), rows.Err()); err != nil || n != most {
			return fmt.Errorf("%d rows: %w", n, err)
		}
	}
	return nil
}

// Prepared by the application, used on whatever connection is free. lib/pq numbers its statements from 1 on each connection, so
// that all clients use the same few names for different texts.
func TestDatabaseSQLPrepared(t *testing.T) {
	d, w := shopDatabase(t)
	for _, driver := range []string{"postgres", "pgx"} {
		t.Run(driver, func(t *testing.T) {
			db := openSQL(t, driver, w, d)
			together(t, driverClients, func(ctx context.Context, client int) error {
				for round := range driverRounds {
					if err := sqlPrepared(ctx, db, client, round); err != nil {
						return fmt.Errorf("round %d: %w", round, err)
					}
				}
				return nil
			})
			expectShared(t, d, w, 0)
			_ = db.Close()
		})
	}
}

func sqlPrepared(ctx context.Context, db *sql.DB, client, round int) error {
	own, err := db.PrepareContext(ctx, fmt.Sprintf("SELECT $1::int + %d", client*1000))
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }()
	shared, err := db.PrepareContext(ctx, "SELECT balance >= 0, $2::text FROM account WHERE id = $1")
	if err != nil {
		return err
	}
	defer func() { _ = shared.Close() }()
	if _, err := db.PrepareContext(ctx, "SELEC 1"); sqlState(err) != "42601" {
		return fmt.Errorf("a statement that is none: %w", err)
	}
	for n := range 5 {
		var got int
		if err := own.QueryRowContext(ctx, n).Scan(&got); err != nil || got != client*1000+n {
			return fmt.Errorf("own statement: %d %w", got, err)
		}
		var positive bool
		var text string
		err := shared.QueryRowContext(ctx, client, fmt.Sprint("text ", client, round)).Scan(&positive, &text)
		if err != nil || !positive || text != fmt.Sprint("text ", client, round) {
			return fmt.Errorf("shared statement: %v %s %w", positive, text, err)
		}
	}
	return nil
}

// lib/pq's COPY and its listener are its own.
func TestLibPQCopy(t *testing.T) {
	const rows = 500
	d, w := shopDatabase(t)
	db := openSQL(t, "postgres", w, d)
	together(t, driverClients, func(ctx context.Context, client int) error {
		if err := sqlCopy(ctx, db, client, rows); err != nil {
			return err
		}
		if err := sqlCopy(ctx, db, client, 1); sqlState(err) != "23505" { // they are there
			return fmt.Errorf("the same once more: %w", err)
		}
		return sqlValues(ctx, db, client, 0)
	})
	expectShared(t, d, w, driverClients*rows)
	_ = db.Close()
}

func sqlCopy(ctx context.Context, db *sql.DB, client, rows int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	in, err := tx.PrepareContext(ctx, "COPY purchase (client, round, item, title) FROM STDIN")
	if err != nil {
		return err
	}
	for i := range rows {
		if _, err := in.ExecContext(ctx, client, 0, i, fmt.Sprint("item ", i)); err != nil {
			return err
		}
	}
	if _, err := in.ExecContext(ctx); err != nil {
		return err
	}
	if err := in.Close(); err != nil {
		return err
	}
	return tx.Commit()
}

func TestLibPQListener(t *testing.T) {
	d, w := shopDatabase(t)
	listener := pq.NewListener(w.DSN(d), time.Second, time.Minute, nil)
	defer func() { _ = listener.Close() }()
	if err := listener.Listen("till"); err != nil {
		t.Fatal(err)
	}
	c := enter(t, w, d)
	for _, payload := range []string{"first", "second"} {
		c.Query("NOTIFY till, '" + payload + "'")
		select {
		case n := <-listener.Notify:
			if n == nil || n.Channel != "till" || n.Extra != payload {
				t.Errorf("heard %+v, want %s", n, payload)
			}
		case <-time.After(patience):
			t.Fatal("nothing is heard")
		}
	}
	if err := listener.UnlistenAll(); err != nil {
		t.Error(err)
	}
}
