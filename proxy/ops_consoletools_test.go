package proxy_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5"
	_ "github.com/lib/pq"
)

// shows are all words that SHOW knows.
var shows = strings.Fields("CLIENTS SERVERS SOCKETS ACTIVE_SOCKETS POOLS PEER_POOLS PEERS DATABASES USERS LISTS STATS STATS_TOTALS STATS_AVERAGES " +
	"TOTALS CONFIG MEM DNS_HOSTS DNS_ZONES STATE VERSION PINS WAITS STATEMENTS ERRORS LISTENERS HOSTS")

// Whatever a driver does to read a table, it gets the same: by the simple protocol, and by the extended one in text and in binary.
func TestConsoleSpeaksBothProtocols(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "")
	enter(t, w, d).Query("SELECT 1")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dsn := strings.Replace(strings.Replace(w.DSN(d), d.Server.Superuser()+"@", "watcher@", 1), "/"+d.Name, "/weir", 1)
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	steady := map[string]bool{"USERS": true, "LISTS": true, "CONFIG": true, "STATE": true, "VERSION": true, "HOSTS": true, "DATABASES": true}
	for _, name := range shows {
		var texts []string
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeDescribeExec} {
			rows, err := c.Query(ctx, "SHOW "+name, mode)
			if err != nil {
				t.Fatalf("SHOW %s, %s: %v", name, mode, err)
			}
			var b strings.Builder
			for rows.Next() {
				values, err := rows.Values()
				if err != nil {
					t.Fatalf("SHOW %s, %s: %v", name, mode, err)
				}
				for i, v := range values {
					if n, ok := v.(interface{ Int64Value() (n int64) }); ok {
						values[i] = n.Int64Value()
					}
				}
				fmt.Fprintln(&b, values...)
			}
			if err := rows.Err(); err != nil {
				t.Fatalf("SHOW %s, %s: %v", name, mode, err)
			}
			texts = append(texts, b.String())
		}
		for _, text := range texts[1:] {
			if steady[name] && text != texts[0] {
				t.Errorf("SHOW %s differs between protocols:\n%s\n%s", name, texts[0], text)
			}
		}
	}
	var total int64
	if err := c.QueryRow(ctx, "SHOW TOTALS").Scan(nil, &total); err != nil { // binary numeric
		t.Errorf("a numeric in binary: %v", err)
	}
	if _, err := c.Exec(ctx, "SHOW ROOMS"); err == nil || !strings.Contains(err.Error(), "invalid command 'SHOW ROOMS'") {
		t.Errorf("an unknown command over the extended protocol: %v", err)
	}
	if err := c.Ping(ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
	tx, err := c.Begin(ctx)
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		t.Errorf("a transaction around nothing: %v", err)
	}
}

// The corners of the extended protocol, which drivers with cursors and pipelines reach.
func TestConsolePortalsAndPipelines(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "")
	c := dial(t, w.Addr, "watcher", "pgbouncer")
	c.Send(
		&pgproto3.Parse{Name: "lists", Query: "SHOW LISTS"}, &pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "lists", ResultFormatCodes: []int16{0, 1}},
		&pgproto3.Execute{Portal: "p", MaxRows: 10}, &pgproto3.Execute{Portal: "p", MaxRows: 10}, &pgproto3.Flush{},
	)
	var heard []string
	rows := 0
	for len(heard) < 4 {
		switch m := c.Receive().(type) {
		case *pgproto3.DataRow:
			if rows++; len(m.Values[1]) != 4 {
				t.Errorf("a number in binary has %d bytes", len(m.Values[1]))
			}
		case *pgproto3.CommandComplete:
			heard = append(heard, string(m.CommandTag))
		default:
			heard = append(heard, strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3."))
		}
	}
	if got := strings.Join(heard, " "); got != "ParseComplete BindComplete PortalSuspended SHOW" || rows != 14 {
		t.Errorf("came %s and %d rows", got, rows)
	}
	c.Send(&pgproto3.Describe{ObjectType: 'S', Name: "missing"}, &pgproto3.Parse{Name: "after"}, &pgproto3.Sync{})
	if a := c.Answer(); len(a.Errs) != 1 || a.Errs[0].Code != "26000" {
		t.Errorf("a statement that is not there: %+v", a)
	}
	c.Send(&pgproto3.Execute{Portal: "p"}, &pgproto3.Sync{})
	if a := c.Answer(); len(a.Errs) != 1 || a.Errs[0].Code != "34000" {
		t.Errorf("a portal after Sync: %+v", a)
	}
	c.Send(&pgproto3.Parse{Query: ""}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{})
	if a := c.Answer(); a.Err() != nil || len(a.Tags) != 0 {
		t.Errorf("an empty command: %+v", a)
	}
	c.Send(&pgproto3.Parse{Query: "SHOW LISTS"}, &pgproto3.Bind{Parameters: [][]byte{[]byte("1")}}, &pgproto3.Sync{})
	if a := c.Answer(); len(a.Errs) != 1 {
		t.Errorf("parameters for a command: %+v", a)
	}
	c.Send(&pgproto3.Parse{Query: "SHOW LISTS; SHOW STATE"}, &pgproto3.Sync{})
	if a := c.Answer(); len(a.Errs) != 1 || a.Errs[0].Code != "42601" {
		t.Errorf("two commands in one statement: %+v", a)
	}
	c.Send(&pgproto3.CopyDone{})
	if e := c.expectLastError("08P01"); !strings.Contains(e.Message, "unsupported packet type for admin console") {
		t.Errorf("a message of another kind: %v", e)
	}
	for _, p := range []string{"Q\x00\x01\x00\x05", "Q\x00\x00\x00\x03"} {
		c := dial(t, w.Addr, "watcher", "pgbouncer")
		c.SendBytes([]byte(p))
		c.expectLastError("08P01")
	}
}

// pgbouncer_exporter reads with lib/pq, by one connection, what is asked here, and scans it so.
func TestPgBouncerExporterReadsTheConsole(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "")
	c := enter(t, w, d)
	for range 3 {
		c.Query("SELECT 1")
	}
	db, err := sql.Open("postgres", fmt.Sprintf("postgres://watcher@%s/pgbouncer?sslmode=%s", w.Addr, map[bool]string{true: "require", false: "disable"}[w.secret]))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	defer func() { _ = db.Close() }()
	var version string
	if err := db.QueryRow("SHOW VERSION;").Scan(&version); err != nil || version != "PgBouncer 1.26.1 (weir under test)" {
		t.Errorf("SHOW VERSION: %q, %v", version, err)
	}
	labels := map[string]bool{"database": true, "user": true, "name": true, "host": true, "port": true, "force_user": true, "pool_mode": true, "load_balance_hosts": true}
	found := map[string]float64{}
	for _, what := range []string{"STATS", "STATS_TOTALS", "POOLS", "DATABASES"} {
		for _, row := range scanAll(t, db, "SHOW "+what+";") {
			for name, v := range row {
				if labels[name] {
					switch v.(type) {
					case nil, string, int64:
					default:
						t.Errorf("%s.%s is a %T", what, name, v)
					}
					continue
				}
				n, err := strconv.ParseFloat(fmt.Sprintf("%s", asBytes(v)), 64)
				if err != nil {
					t.Errorf("%s.%s is %v", what, name, v)
				}
				found[what+"."+name] += n
			}
		}
	}
	if found["STATS_TOTALS.query_count"] < 3 || found["POOLS.cl_active"] < 2 || found["DATABASES.current_connections"] < 1 {
		t.Errorf("the figures are %v", found)
	}
	lists, settings := map[string]string{}, map[string]string{}
	rows, err := db.Query("SHOW LISTS;")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var list string
		var items sql.RawBytes
		if err := rows.Scan(&list, &items); err != nil {
			t.Fatal(err)
		}
		lists[list] = string(items)
	}
	_ = rows.Close()
	if rows, err = db.Query("SHOW CONFIG;"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var key, changeable string
		var value, standard sql.RawBytes
		if err := rows.Scan(&key, &value, &standard, &changeable); err != nil {
			t.Fatal(err)
		}
		settings[key] = string(value)
	}
	if rows.Err() != nil || lists["used_clients"] != "2" || settings["max_client_conn"] != "10000" || settings["max_user_connections"] != "0" {
		t.Errorf("lists %v, settings %v, %v", lists, settings, rows.Err())
	}
}

func asBytes(v any) any {
	if n, ok := v.(int64); ok {
		return strconv.FormatInt(n, 10)
	}
	return v
}

func scanAll(t *testing.T, db *sql.DB, query string) (all []map[string]any) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, places := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			t.Fatal(err)
		}
		row := map[string]any{}
		for i, name := range names {
			row[name] = values[i]
		}
		all = append(all, row)
	}
	if rows.Err() != nil {
		t.Fatalf("%s: %v", query, rows.Err())
	}
	return all
}

// psql shows tables, HELP and errors, and its own questions have a clear answer.
func TestPsqlOnTheConsole(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "")
	var out bytes.Buffer
	cmd := psqlCommand(t, d, w.Addr, []string{"PGUSER=boss", "PGDATABASE=pgbouncer"}, "-A", "-f", "-")
	cmd.Stdin = strings.NewReader("SHOW STATE;\nSHOW HELP;\nSET query_timeout = 7;\nSHOW TotalS;\n\\d\n\\l\n\\conninfo\nSHOW VERSION;\n")
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // it ends with an error, since \d has one
	for _, want := range []string{
		"suspended|no", "NOTICE:  Console usage", "SHOW HELP|CONFIG", "SET query_timeout=7", "total_xact_count", "invalid command 'SELECT ", "use SHOW HELP;", "PgBouncer 1.26.1",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("psql prints no %q:\n%s", want, out.String())
		}
	}
}

// What pgAdmin, DBeaver and drivers say to any server at first, over the simple protocol.
func TestToolsFirstQuestionsAreAnswered(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "")
	c := w.console(t, "watcher")
	for sql, want := range map[string]string{
		"SET DateStyle=ISO; SET client_min_messages=notice; SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'; SET client_encoding='utf-8';": "hex",
		"SELECT version()":                                     "PgBouncer 1.26.1",
		"SELECT current_database()":                            "pgbouncer",
		"SELECT current_schema(),session_user":                 "pg_catalog|watcher",
		"SHOW search_path":                                     "pg_catalog",
		"SHOW TRANSACTION ISOLATION LEVEL":                     "read committed",
		"SET extra_float_digits = 3":                           "",
		"SET application_name = 'DBeaver 26 - Main'":           "",
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": "",
		"SELECT 1": "1",
		"SELECT db.oid as did, db.datname, db.datallowconn FROM pg_catalog.pg_database db WHERE db.datname = current_database()": "0|pgbouncer|t",
		"BEGIN; SHOW client_encoding; ROLLBACK": "UTF-8",
		"DISCARD ALL":                           "",
	} {
		if got := ask(t, c, sql); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}

// A driver's pool takes a connection back after it has undone what its user may have done: in asyncpg's words, in Npgsql's, in pgx's. What
// was prepared before is then not there any more, so that it can be prepared anew.
func TestDriversPoolsTakeConnectionsBack(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "")
	c := w.console(t, "watcher")
	for _, sql := range []string{
		"SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
		"SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP",
	} {
		if got := ask(t, c, sql); got != "" {
			t.Errorf("%s: %q", sql, got)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, strings.Replace(strings.Replace(w.DSN(d), d.Server.Superuser()+"@", "watcher@", 1), "/"+d.Name, "/weir", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	prepare := func() {
		t.Helper()
		if _, err := conn.PgConn().Prepare(ctx, "mine", "SHOW VERSION", nil); err != nil {
			t.Error(err)
		}
	}
	for _, end := range []string{"DEALLOCATE ALL", "DISCARD ALL", "DEALLOCATE mine"} {
		prepare()
		if _, err := conn.PgConn().Exec(ctx, end).ReadAll(); err != nil {
			t.Errorf("%s: %v", end, err)
		}
	}
	prepare()
}

// A console that does not read its answer holds up no other client.
func TestAConsoleThatDoesNotReadHoldsUpNoLoop(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "")
	c := enter(t, w, d)
	slow := dial(t, w.Addr, "watcher", "pgbouncer")
	asked := strings.Repeat("SHOW CONFIG;", 32)
	for range 200 {
		_ = slow.conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := slow.conn.Write(encode(t, &pgproto3.Query{String: asked})); err != nil {
			break
		}
	}
	if got := c.Query("SELECT 1"); got != "1" {
		t.Errorf("another client gets %q", got)
	}
	ask(t, w.console(t, "watcher"), "SHOW POOLS")
}
