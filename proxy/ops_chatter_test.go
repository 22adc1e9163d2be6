package proxy_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/pgserver"
	"weir/proxy/status"
)

// said is a server's message as bytes.
func said(t *testing.T, m pgproto3.BackendMessage) []byte {
	t.Helper()
	p, err := m.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// expectOwnAnswer runs a query and wants its answer and nothing else: no notice, notification or row of anybody else's.
func (c *wireClient) expectOwnAnswer(value string) {
	c.t.Helper()
	c.Send(&pgproto3.Query{String: "SELECT '" + value + "'"})
	var got []string
	for len(got) == 0 || got[len(got)-1] != "ReadyForQuery" {
		m := c.Receive()
		if row, ok := m.(*pgproto3.DataRow); ok && string(row.Values[0]) != value {
			c.t.Errorf("a row of somebody else's: %q", row.Values[0])
		}
		got = append(got, typeName(m))
	}
	if fmt.Sprint(got) != "[RowDescription DataRow CommandComplete ReadyForQuery]" {
		c.t.Errorf("the answer to %s is %v", value, got)
	}
}

// What a server says to an idle backend is nobody's answer (trap 9). Whether weir keeps the backend then or closes it, each client
// gets its own answers.
func TestIdleBackendThatTalksDisturbsNobody(t *testing.T) {
	fatal := &pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P01", Message: "terminating connection due to administrator command"}
	field := pgproto3.FieldDescription{Name: []byte("not yours"), DataTypeOID: 25, TypeModifier: -1}
	d := database(t)
	g := newGate(t, d.Server.Addr(), nil)
	w := start(t, d, inPlainText+serverAt(g.listener.Addr().String())+"[pool]\npool_size = 1")
	first, second := enter(t, w, d), enter(t, w, d)
	row := &pgproto3.DataRow{Values: [][]byte{[]byte("not yours")}}
	for _, c := range []struct {
		name     string
		messages []pgproto3.BackendMessage
		then     func(*gate)
	}{
		{name: "a notice", messages: []pgproto3.BackendMessage{&pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: "not yours"}}},
		{name: "a notification", messages: []pgproto3.BackendMessage{&pgproto3.NotificationResponse{PID: 1, Channel: "not", Payload: "yours"}}},
		{name: "its end", messages: []pgproto3.BackendMessage{fatal}, then: (*gate).hangUp},
		{name: "its end, still open", messages: []pgproto3.BackendMessage{fatal}},
		{name: "nothing, and hangs up", then: (*gate).hangUp},
		{name: "an error", messages: []pgproto3.BackendMessage{&pgproto3.ErrorResponse{Severity: "ERROR", Code: "XX000", Message: "not yours"}}},
		{name: "that it is ready", messages: []pgproto3.BackendMessage{&pgproto3.ReadyForQuery{TxStatus: 'I'}}},
		{name: "that it is in a transaction", messages: []pgproto3.BackendMessage{&pgproto3.ReadyForQuery{TxStatus: 'T'}}},
		{name: "a row", messages: []pgproto3.BackendMessage{row}},
		{name: "a whole answer", messages: []pgproto3.BackendMessage{
			&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{field}}, row,
			&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}, &pgproto3.ReadyForQuery{TxStatus: 'I'},
		}},
		{name: "that it wants data", messages: []pgproto3.BackendMessage{&pgproto3.CopyInResponse{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p []byte
			for _, m := range c.messages {
				p = append(p, said(t, m)...)
			}
			for n := range 5 {
				first.expectOwnAnswer(fmt.Sprint("of the first, ", n))
				expectPool(t, w, "an idle backend", func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 1 })
				// The words are at weir before the client's are.
				if len(p) > 0 {
					g.say(p)
				}
				if c.then != nil {
					c.then(g)
				}
				second.expectOwnAnswer(fmt.Sprint("of the second, ", n))
			}
			if n := clientCount(w.Proxy.Snapshot().Pools[0]); n != 2 {
				t.Errorf("%d clients are left, want 2", n)
			}
		})
	}
}

// A server that ends idle sessions by itself ends weir's as well, and no client hears of it.
func TestServersIdleSessionTimeoutIsNobodysTrouble(t *testing.T) {
	d := database(t)
	d.Exec(t, fmt.Sprintf("ALTER DATABASE %s SET idle_session_timeout = '700ms'", d.Name)) // more than it takes to use a backend that has just logged in
	w := start(t, d, "[pool]\npool_size = 2")
	c := enter(t, w, d)
	for n := range 3 {
		c.expectOwnAnswer(fmt.Sprint("of round ", n))
		expectPool(t, w, "without backends", func(p status.Pool) bool { return backendCount(p) == 0 })
	}
}

// A parameter that changes while nobody has the backend, as in_hot_standby does when a standby is promoted, is told to the clients
// that meet the backend afterwards.
func TestParameterThatChangesOnAnIdleBackendIsReported(t *testing.T) {
	d := database(t)
	g := newGate(t, d.Server.Addr(), nil)
	w := start(t, d, inPlainText+serverAt(g.listener.Addr().String())+"[pool]\npool_size = 1")
	c := enter(t, w, d)
	c.Query("SELECT 1")
	if got := c.params["in_hot_standby"]; got != "off" {
		t.Fatalf("in_hot_standby is %q", got)
	}
	expectPool(t, w, "an idle backend", func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 1 })
	g.say(said(t, &pgproto3.ParameterStatus{Name: "in_hot_standby", Value: "on"}))
	c.Query("SELECT 1")
	if got := c.params["in_hot_standby"]; got != "on" {
		t.Errorf("the client believes that in_hot_standby is %q", got)
	}
	if got := enter(t, w, d).params["in_hot_standby"]; got != "on" {
		t.Errorf("a new client believes that in_hot_standby is %q", got)
	}
}

// The server tells a change of its configuration once to each of its sessions. Every client must hear of it when it next works
// with the backend, not only the one that happened to have it first.
func TestReloadedParameterIsReportedToEveryClient(t *testing.T) {
	d := privateServer(t, pgserver.Options{})
	w := start(t, d, "[pool]\npool_size = 1")
	clients := enterMany(t, w, d, 3)
	for _, c := range clients {
		c.Query("SELECT 1")
	}
	// The server takes it in before its next answers.
	if err := d.Server.Exec(context.Background(), "postgres", "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if got := clients[0].Query("SHOW default_transaction_read_only"); got != "on" {
			return "it is " + got
		}
		return ""
	})
	for i, c := range clients {
		if got := c.Query("SHOW default_transaction_read_only"); got != "on" {
			t.Errorf("client %d: it is %s", i, got)
		}
		if got := c.params["default_transaction_read_only"]; got != "on" {
			t.Errorf("client %d believes that it is %s", i, got)
		}
	}
	if got := enter(t, w, d).params["default_transaction_read_only"]; got != "on" {
		t.Errorf("a new client believes that it is %s", got)
	}
}
