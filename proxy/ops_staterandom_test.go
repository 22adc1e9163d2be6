package proxy_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
	"weir/proxy/status"
)

var (
	statePrograms   = flag.Int("state-programs", 30, "number of random programs of stateful statements; the i-th has state-seed + i")
	stateSeed       = flag.Uint64("state-seed", 1, "of the first of them; 0 is the clock's choice")
	stateFailures   = flag.Int("state-failures", 1, "after how many programs that fail the test gives up")
	stateAudit      = flag.String("state-audit", "always", "weir's session_audit; with always also statements that functions, views and triggers run")
	stateEverything = flag.Bool("state-everything", false, "also statements after which weir is known to differ")
	stateShrink     = flag.Duration("state-shrink", time.Minute, "for how long a program that fails is made smaller")
)

// TestRandomSessionsAgree lets three clients run random programs through a weir with two backends and, step by step, with
// sessions of their own on a database with the same content. Each answer must be the same, each parameter that the server
// reports, and each notification: whatever a client leaves in a session is with that client, and with no other.
//
// A program that fails is printed as short as it can be made.
func TestRandomSessionsAgree(t *testing.T) {
	seed := *stateSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-state-seed=%d", seed)
	var lanes [stateLanes]*stateLane
	for i := range lanes {
		lanes[i] = newStateLane(t)
		lanes[i].next = i
	}
	withRoles(t, lanes[0].own)
	for failures := 0; failures < *stateFailures && slices.ContainsFunc(lanes[:], (*stateLane).unfinished); {
		w := start(t, lanes[0].pooled, stateConfig(*stateAudit))
		var workers sync.WaitGroup
		for _, l := range lanes {
			workers.Go(func() { l.programs(w, seed) })
		}
		workers.Wait()
		w.Stop()
		for _, l := range lanes {
			if l.failed == nil {
				continue
			}
			failures++
			t.Errorf("-state-seed=%d: %v", seed+uint64(l.next-stateLanes), l.failed)
			shortest, cause := l.shrink(t)
			t.Errorf("-state-seed=%d: the shortest program that fails:\n%s\n%v", seed+uint64(l.next-stateLanes), programText(shortest), cause)
		}
	}
	for _, l := range lanes {
		t.Logf("%d steps, of which %d found no backend", l.taken, l.skipped)
	}
}

// withRoles makes the roles that programs change to.
func withRoles(t *testing.T, d *pgserver.Database) {
	d.Exec(t, "create role state_a", "create role state_b")
	t.Cleanup(func() { d.Exec(t, "drop role state_a, state_b") })
}

func (l *stateLane) unfinished() bool { return l.next < *statePrograms }

// programs runs the lane's programs until one fails, in this lane or in another.
func (l *stateLane) programs(w *weirUnderTest, seed uint64) {
	l.w, l.failed, l.before = w, nil, nil
	for ; l.unfinished() && l.failed == nil; l.next += stateLanes {
		steps := newStateProgram(seed+uint64(l.next), *stateAudit == "always")
		var taken int
		taken, l.failed = l.run(steps)
		l.before = append(l.before, steps[:taken])
	}
}

func stateConfig(audit string) string {
	return fmt.Sprintf("[pool]\npool_size = 2\nsession_audit = %q\n[timeouts]\nquery_wait_timeout = \"50ms\"", audit)
}

// stateLanes is how many programs run at a time, each with databases of its own.
const stateLanes = 3

// stateLane is where programs run: two databases with the same content, weir in front of one.
type stateLane struct {
	t              *testing.T
	pooled, own    *pgserver.Database
	w              *weirUnderTest
	watch          *pgconn.PgConn
	clients        [stateClients]*statePair
	taken, skipped int
	failures       int
	stay           bool          // clients that are there at the end of a program are there for the next one
	next           int           // program
	before         [][]stateStep // what has run through this weir
	failed         error         // the last of them
}

func newStateLane(t *testing.T) *stateLane {
	l := &stateLane{t: t, pooled: database(t), own: database(t)}
	for _, d := range []*pgserver.Database{l.pooled, l.own} {
		d.Exec(t, statePrelude)
	}
	l.watch = direct(t, l.own)
	return l
}

// statePair is a client twice: through weir, and with a session of its own.
type statePair struct{ weir, own *stateSide }

// stateSide is a client, and which notifications it has had.
type stateSide struct {
	*wireClient
	notes []string
}

// run takes the steps of a program until the two sides differ, and tells how many it has taken.
func (l *stateLane) run(steps []stateStep) (taken int, err error) {
	defer func() {
		for i, c := range l.clients {
			if c != nil && (err != nil || !l.stay) {
				c.weir.Vanish()
				c.own.Vanish()
				l.clients[i] = nil
			}
		}
		err = errors.Join(err, l.settle(0))
	}()
	if _, err := tryAsk(l.watch, "select setval('seq', 1), setval('seq2', 1)"); err != nil {
		return 0, err
	}
	if err := l.pooled.Server.Exec(context.Background(), l.pooled.Name, "select setval('seq', 1), setval('seq2', 1)"); err != nil {
		return 0, err
	}
	for i, step := range steps {
		if err := l.step(step); err != nil {
			return i + 1, fmt.Errorf("step %d, %s%w", i+1, step, err)
		}
	}
	return len(steps), nil
}

func (l *stateLane) step(s stateStep) error {
	c := l.clients[s.client]
	if s.what == "lose" {
		return l.lose()
	}
	if c == nil && s.what != "" && s.what != "connect" {
		return nil // the shrinker has taken the client away
	}
	switch s.what {
	case "connect", "vanish", "terminate":
		if c != nil {
			if err := l.leave(s); err != nil || s.what != "connect" {
				return err
			}
		}
		return l.connect(s)
	}
	if c == nil {
		if err := l.connect(stateStep{client: s.client}); err != nil {
			return err
		}
		if c = l.clients[s.client]; c == nil {
			return nil
		}
	}
	return l.send(c, s.lines)
}

func (l *stateLane) connect(s stateStep) error {
	var pair statePair
	for _, to := range []struct {
		side *(*stateSide)
		addr string
		db   string
	}{{&pair.weir, l.w.Addr, l.pooled.Name}, {&pair.own, l.own.Server.Addr(), l.own.Name}} {
		c, err := tryDial(l.t, to.addr, l.own.Server.Superuser(), to.db, s.params...)
		if to.side == &pair.weir && noBackend(err) {
			l.skipped++
			return nil
		}
		if err != nil {
			return fmt.Errorf("connect to %s: %w", to.addr, err)
		}
		*to.side = &stateSide{wireClient: c}
	}
	l.clients[s.client] = &pair
	return pair.sameReports()
}

// leave ends a client's sessions and waits until nothing of them is left.
func (l *stateLane) leave(s stateStep) error {
	c := l.clients[s.client]
	l.clients[s.client] = nil
	for _, side := range []*stateSide{c.weir, c.own} {
		if s.what != "vanish" {
			_ = side.TrySendBytes([]byte{'X', 0, 0, 0, 4})
		}
		side.Vanish()
	}
	return l.settle(c.own.pid)
}

// settle waits until a session of its own is gone, and as many locks are held as in sessions of their own.
func (l *stateLane) settle(pid uint32) error {
	sql := fmt.Sprintf(`with held as (select datname, classid, objid, objsubid, mode, count(*) as n
			from pg_locks join pg_database d on d.oid = database where locktype = 'advisory' and datname in ('%[1]s', '%[2]s') group by 1, 2, 3, 4, 5),
		pooled as (select classid, objid, objsubid, mode, n from held where datname = '%[1]s'),
		own as (select classid, objid, objsubid, mode, n from held where datname = '%[2]s')
		select exists (select from pg_stat_activity where pid = %[3]d), exists (table pooled except table own), exists (table own except table pooled)`,
		l.pooled.Name, l.own.Name, pid)
	last := settled(func() string {
		got, err := tryAsk(l.watch, sql)
		if err != nil || got != "f|f|f" {
			return fmt.Sprintf("session is there, locks through weir only, without weir only: %s %v", got, err)
		}
		return ""
	})
	if last != "" {
		return errors.New(last)
	}
	return nil
}

// send takes a step through weir, and without it. A step that finds no backend is left out.
func (l *stateLane) send(c *statePair, lines []string) error {
	l.taken++
	if c.weir.status == 'I' && l.full() {
		l.skipped++
		return nil
	}
	p, err := parseMessages(strings.Join(lines, "\n"))
	if err != nil {
		return err
	}
	answers := 0
	for _, line := range lines {
		if strings.HasPrefix(line, "Query") || line == "Sync" {
			answers++
		}
	}
	got, gotErr := c.weir.exchange(p, answers)
	if slices.ContainsFunc(got, func(m string) bool { return strings.Contains(m, noBackendBecameFree) }) {
		l.skipped++
		return nil
	}
	want, wantErr := c.own.exchange(p, answers)
	if at := firstDifference(want, got); at >= 0 || (gotErr == nil) != (wantErr == nil) {
		return fmt.Errorf("without weir %v\n%s\nthrough weir %v\n%s", wantErr, excerpt(want, at), gotErr, excerpt(got, at))
	}
	if gotErr != nil {
		return nil //nolint:nilerr // on both sides, as it should be
	}
	return errors.Join(c.sameReports(), c.sameNotes())
}

const noBackendBecameFree = "no backend became free"

// noBackend reports whether a login had to wait for the first backend with its parameters, and found none.
func noBackend(err error) bool {
	refused, ok := errors.AsType[*serverError](err)
	return ok && strings.Contains(refused.Message, noBackendBecameFree)
}

// full reports whether no backend is free for a client that has none.
func (l *stateLane) full() bool {
	for _, p := range l.w.Proxy.Snapshot().Pools {
		if p.Database == l.pooled.Name {
			return p.Clients[status.ClientActive] >= p.Size
		}
	}
	return false
}

func (c *statePair) sameReports() error {
	for name, want := range c.own.params {
		if got := c.weir.params[name]; got != want {
			return fmt.Errorf("parameter %s is reported as %q without weir, and %q through weir", name, want, got)
		}
	}
	return nil
}

// sameNotes waits for the notifications that a session of its own has had by now.
func (c *statePair) sameNotes() error {
	if c.own.status != 'I' {
		return nil
	}
	for len(c.weir.notes) < len(c.own.notes) {
		if _, err := c.weir.next(); err != nil {
			return fmt.Errorf("notifications without weir %q, through weir %q: %w", c.own.notes, c.weir.notes, err)
		}
	}
	if !slices.Equal(c.weir.notes, c.own.notes) {
		return fmt.Errorf("notifications without weir %q, through weir %q", c.own.notes, c.weir.notes)
	}
	return nil
}

// exchange sends p and reads as many ReadyForQuery as that is answered with.
func (s *stateSide) exchange(p []byte, answers int) (all []string, err error) {
	if err := s.TrySendBytes(p); err != nil {
		return nil, err
	}
	for answers > 0 {
		m, err := s.next()
		if err != nil {
			return all, err
		}
		switch m.(type) {
		case *pgproto3.ParameterStatus, *pgproto3.NotificationResponse:
			continue
		case *pgproto3.ReadyForQuery:
			answers--
		}
		all = append(all, temporary.ReplaceAllString(printMessage(m), "pg_temp"))
	}
	return all, nil
}

func (s *stateSide) next() (pgproto3.BackendMessage, error) {
	m, err := s.TryReceive()
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return nil, errTimeout
	}
	if n, ok := m.(*pgproto3.NotificationResponse); ok {
		s.notes = append(s.notes, n.Channel+" "+n.Payload)
	}
	return m, err
}

// temporary is the name of a temporary schema, which has the number of its process.
var temporary = regexp.MustCompile(`pg_temp_\d+`)

// firstDifference is where two conversations part, or -1.
func firstDifference(want, got []string) int {
	for i := range min(len(want), len(got)) {
		if !sameAnswer(want[i], got[i]) {
			return i
		}
	}
	if len(want) != len(got) {
		return min(len(want), len(got))
	}
	return -1
}

// excerpt is what stands around a place of a conversation.
func excerpt(lines []string, at int) string {
	at = max(at, 0)
	return strings.Join(tail(lines[max(0, min(at-3, len(lines))):min(at+2, len(lines))]), "\n")
}

func programText(steps []stateStep) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(s.String())
	}
	return b.String()
}

// shrink leaves steps out as long as what is left fails. Each attempt has a weir of its own. If a program does not fail by itself,
// those before it belong to it.
func (l *stateLane) shrink(t *testing.T) (shortest []stateStep, cause error) {
	fails := func(steps []stateStep) (failed error) {
		t.Run("attempt", func(t *testing.T) {
			l.t, l.w = t, start(t, l.pooled, stateConfig(*stateAudit))
			_, failed = l.run(steps)
		})
		return failed
	}
	before := l.before
	steps := before[len(before)-1]
	end := time.Now().Add(*stateShrink)
	for n := 1; ; n *= 4 {
		if cause = fails(steps); cause != nil {
			break
		}
		if n > len(before)*4 {
			return nil, errors.New("it does not fail again")
		}
		steps = slices.Concat(before[max(0, len(before)-n):]...)
	}
	for size := len(steps) / 2; size > 0; size /= 2 {
		for at := 0; at < len(steps) && time.Now().Before(end); {
			less := slices.Delete(slices.Clone(steps), at, min(at+size, len(steps)))
			if err := fails(less); err != nil {
				steps, cause = less, err
			} else {
				at += size
			}
		}
	}
	return steps, cause
}
