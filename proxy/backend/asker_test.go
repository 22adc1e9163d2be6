package backend

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"weir/config"
	"weir/proxy/scram"
)

func mustConnect(t *testing.T, to Target) *Asker {
	t.Helper()
	c, err := Dial(context.Background(), to)
	if err != nil {
		t.Fatal(err)
	}
	a := NewAsker(c)
	t.Cleanup(a.Close)
	return a
}

func TestQuestionsAreAnsweredOneAfterTheOther(t *testing.T) {
	d, v := roles(t)
	_, keys := scram.Derive(appPassword, v.Salt, v.Iterations)
	for _, mode := range []config.SSLMode{config.SSLDisable, config.SSLRequire} {
		to := targetOf(d)
		to.User, to.Password, to.Substitutes = "app", "", Substitutes{Keys: []scram.Keys{keys}}
		to.TLS = serverTLS(t, config.TLS{SSLMode: mode})
		a := mustConnect(t, to)
		for _, c := range []struct {
			sql           string
			params        []string
			columns, rows int
			first         string
			code          string // of the error
		}{
			{"select current_user || $1, null, ''", []string{"!"}, 3, 1, "app!|NULL|", ""},
			{"select n from generate_series(1, 3) n", nil, 1, 3, "1", ""},
			{"select 1 where false", nil, 1, 0, "", ""},
			{"", nil, 0, 0, "", ""},
			{"set timezone = 'Asia/Tokyo'", nil, 0, 0, "", ""}, // which is reported
			{"do $$ begin raise notice 'hear'; end $$", nil, 0, 0, "", ""},
			{"selec", nil, 0, 0, "", "42601"},
			{"select 1 / n from generate_series(-1, 1) n", nil, 0, 0, "", "22012"},
			{"select $1::int", []string{"one"}, 0, 0, "", "22P02"},
			{"select 1", []string{"too", "many"}, 0, 0, "", "08P01"},
			{"select current_setting('timezone')", nil, 1, 1, "Asia/Tokyo", ""},
		} {
			r, err := a.Ask(context.Background(), c.sql, c.params...)
			if !a.Usable() {
				t.Fatalf("%s: of no use after %q: %v", mode, c.sql, err)
			}
			said, _ := errors.AsType[*ServerMessage](err)
			if c.code != "" || err != nil {
				if said == nil || said.Code != c.code {
					t.Errorf("%s: %q: %v, want %s", mode, c.sql, err, c.code)
				}
				continue
			}
			var values []string
			for _, v := range r.First {
				if v == nil {
					v = []byte("NULL")
				}
				values = append(values, string(v))
			}
			if r.Columns != c.columns || r.Rows != c.rows || strings.Join(values, "|") != c.first {
				t.Errorf("%s: %q: %+v", mode, c.sql, r)
			}
		}
	}
}

// TestBrokenAnswerEndsTheSession: what was not read to its end cannot be asked again.
func TestBrokenAnswerEndsTheSession(t *testing.T) {
	to := target(t)
	a := mustConnect(t, to)
	if _, err := a.Ask(context.Background(), "copy (select 1) to stdout"); !errors.Is(err, errCopies) || a.Usable() {
		t.Errorf("COPY: %v, usable %t", err, a.Usable())
	}
	a = mustConnect(t, to)
	if _, err := a.Ask(context.Background(), "select repeat('x', 1000) from generate_series(1, 2000)"); err == nil || a.Usable() {
		t.Errorf("two megabytes: %v, usable %t", err, a.Usable())
	}
	a = mustConnect(t, to)
	_, err := a.Ask(context.Background(), "select pg_terminate_backend(pg_backend_pid())")
	if said, _ := errors.AsType[*ServerMessage](err); said == nil || said.Code != "57P01" || a.Usable() {
		t.Errorf("the server's end: %v, usable %t", err, a.Usable())
	}
	a = mustConnect(t, to)
	ctx, giveUp := context.WithCancel(context.Background())
	watcher := mustDial(t, to)
	done := make(chan error, 1)
	go func() {
		_, err := a.Ask(ctx, "select pg_sleep(3600) /* asker */")
		done <- err
	}()
	waitFor(t, watcher, "select exists(select from pg_stat_activity where wait_event = 'PgSleep' and query like '%asker%')")
	giveUp()
	if err := <-done; !errors.Is(err, context.Canceled) || a.Usable() {
		t.Errorf("given up: %v, usable %t", err, a.Usable())
	}
	for name, script := range map[string]string{
		"a row without its columns": message('D', "\x00\x01\x00\x00\x00\x01x"),
		"another number of columns": message('T', "\x00\x02") + message('D', "\x00\x01\x00\x00\x00\x01x"),
		"a length below NULL's":     message('T', "\x00\x01") + message('D', "\x00\x01\xff\xff\xff\xfe"),
		"a gigabyte":                "D\x40\x00\x00\x00",
		"the end":                   "",
	} {
		a := mustConnect(t, serve(t, func(nc net.Conn) {
			readPacket(t, nc, true)
			send(nc, authOK, ready)
			_, _ = io.ReadFull(nc, make([]byte, 1))
			send(nc, script)
			if script != "" {
				_, _ = io.Copy(io.Discard, nc)
			}
		}))
		if r, err := a.Ask(context.Background(), "select 1"); err == nil || a.Usable() {
			t.Errorf("%s: %+v, usable %t", name, r, a.Usable())
		}
		_ = a.conn.Net.Close()
	}
}
