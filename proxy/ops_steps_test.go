package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/pgserver"
)

// A step is what a client sends in one write, and how many ReadyForQuery answer it.
type step struct {
	send    []byte
	answers int
}

// queries are simple queries in a pipeline.
func queries(texts ...string) (s step) {
	for _, text := range texts {
		s.send = append(s.send, queryBytes(text)...)
	}
	s.answers = len(texts)
	return s
}

// synced are messages with a Sync after them.
func synced(t *testing.T, messages ...pgproto3.FrontendMessage) step {
	t.Helper()
	return step{encode(t, append(messages, &pgproto3.Sync{})...), 1}
}

// inOneWrite are steps in one write.
func inOneWrite(steps ...step) (all step) {
	for _, s := range steps {
		all.send = append(all.send, s.send...)
		all.answers += s.answers
	}
	return all
}

// parse prepares a statement; the empty name is that of the unnamed one.
func parse(name, sql string) pgproto3.FrontendMessage {
	return &pgproto3.Parse{Name: name, Query: sql}
}

// runs binds values to a statement and executes it.
func runs(t *testing.T, name string, values ...string) step {
	t.Helper()
	bind := &pgproto3.Bind{PreparedStatement: name}
	for _, v := range values {
		bind.Parameters = append(bind.Parameters, []byte(v))
	}
	return synced(t, bind, &pgproto3.Execute{})
}

// parsesAndRuns prepares a statement and executes it, with one Sync.
func parsesAndRuns(t *testing.T, name, sql string) step {
	t.Helper()
	return synced(t, parse(name, sql), &pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{})
}

// take sends a step and returns what answers it, as the scripts print it, without what a server reports in passing.
func (c *wireClient) take(s step) (heard []string) {
	c.t.Helper()
	c.SendBytes(s.send)
	for s.answers > 0 {
		m := c.Receive()
		switch m.(type) {
		case *pgproto3.ParameterStatus, *pgproto3.NoticeResponse:
			continue
		case *pgproto3.ReadyForQuery:
			s.answers--
		}
		heard = append(heard, printMessage(m))
	}
	return heard
}

// first takes a step and returns its first value; it must not fail.
func (c *wireClient) first(s step) (value string) {
	c.t.Helper()
	c.SendBytes(s.send)
	for n := range s.answers {
		a := c.Answer()
		if a.Err() != nil {
			c.t.Fatalf("%.100q, answer %d: %v", s.send, n, a.Err())
		}
		if value == "" {
			value = a.First()
		}
	}
	return value
}

// enterDirectly logs a superuser in to the server itself.
func enterDirectly(t *testing.T, d *pgserver.Database, params ...string) *wireClient {
	t.Helper()
	return dial(t, d.Server.Addr(), d.Server.Superuser(), d.Name, params...)
}

// expectAsDirectly has a client of weir's hear at each step what one of the server's own hears.
func expectAsDirectly(t *testing.T, w *weirUnderTest, d *pgserver.Database, steps ...step) {
	t.Helper()
	through, directly := enter(t, w, d), enterDirectly(t, d)
	for i, s := range steps {
		got, want := through.take(s), directly.take(s)
		if !slices.Equal(got, want) {
			t.Errorf("step %d, %.100q:\n%s\ndirectly\n%s", i+1, s.send, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	directly.Terminate()
	through.Terminate()
}

// expectNoTrace has one client take the steps, and leave. The answer to a question of the next must be that of a session of its own.
func expectNoTrace(t *testing.T, w *weirUnderTest, d *pgserver.Database, question string, params []string, steps ...step) {
	t.Helper()
	for _, c := range []*wireClient{enterDirectly(t, d, params...), enter(t, w, d, params...)} {
		for _, s := range steps {
			heard := strings.Join(c.take(s), "\n")
			if strings.Contains(heard, `"ErrorResponse"`) {
				t.Fatalf("%.100q: %s", s.send, heard)
			}
		}
		c.Terminate()
	}
	next, directly := enter(t, w, d), enterDirectly(t, d)
	if got, want := fmt.Sprint(next.Run(question)), fmt.Sprint(directly.Run(question)); got != want {
		t.Errorf("the next client: %s gives %s, want %s", question, got, want)
	}
	next.Terminate()
	directly.Terminate()
}
