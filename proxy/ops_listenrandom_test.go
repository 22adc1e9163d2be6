package proxy_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
)

var listenSteps = flag.Int("listensteps", 500, "steps of the random program of clients that listen")

// TestRandomListenersHearWhatTheyWouldHearDirectly lets several clients listen and notify at random, through weir with two backends and on
// connections of their own, and compares each answer, and all that is heard.
func TestRandomListenersHearWhatTheyWouldHearDirectly(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	name := d.Name + "_direct"
	if err := d.Server.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	own := &pgserver.Database{Server: d.Server, Name: name}
	random := rand.New(rand.NewPCG(*differentialSeed, 7))
	const clients = 5
	var through, direct [clients]*listener
	for i := range clients {
		through[i] = connectListener(t, w, d)
		direct[i] = connectOwn(t, own)
	}
	var script []string
	for step := range *listenSteps {
		i := random.IntN(clients)
		status := direct[i].conn.TxStatus()
		inBlock := slices.ContainsFunc(direct[:], func(l *listener) bool { return l.conn.TxStatus() != 'I' })
		sql := listenStep(random, step, status)
		if sql == "BEGIN" && inBlock {
			sql = "SELECT 2" // the other backend serves all the others
		}
		script = append(script, fmt.Sprintf("%d: %s", i, sql))
		got, errGot := tryAsk(through[i].conn, sql)
		want, errWant := tryAsk(direct[i].conn, sql)
		if got != want || sqlState(errGot) != sqlState(errWant) || through[i].conn.TxStatus() != direct[i].conn.TxStatus() {
			t.Fatalf("%q (%v) instead of %q (%v):\n%s", got, errGot, want, errWant, strings.Join(script[max(0, len(script)-60):], "\n"))
		}
		if step%10 != 9 {
			continue
		}
		for i := range clients {
			if direct[i].conn.TxStatus() != 'I' {
				continue
			}
			direct[i].do("SELECT 1")
			if ok, heard, wanted := agree(through[i], direct[i]); !ok {
				t.Fatalf("client %d heard %v instead of %v:\n%s", i, heard, wanted, strings.Join(script[max(0, len(script)-60):], "\n"))
			}
		}
	}
	if p := w.pool(); p.Totals.Doubts.Sum() > 0 || p.Totals.BackendsLost > 0 {
		t.Errorf("%+v", p.Totals)
	}
}

// agree waits until one listener has heard as much as the other.
func agree(l, than *listener) (ok bool, got, want []string) {
	want = than.said()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	for len(l.heard) < len(want) {
		if err := l.conn.WaitForNotification(ctx); err != nil {
			return false, l.said(), want
		}
	}
	got = l.said()
	l.heard, than.heard = nil, nil
	return slices.Equal(got, want), got, want
}

func connectOwn(t *testing.T, d *pgserver.Database) *listener {
	t.Helper()
	l := &listener{t: t}
	c, err := pgconn.ParseConfig(d.DSN())
	if err != nil {
		t.Fatal(err)
	}
	c.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { l.heard = append(l.heard, n) }
	if l.conn, err = pgconn.ConnectConfig(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.conn.Close(context.Background()) })
	return l
}

// listenStep is what a client does next. Blocks are ended soon, so that the two backends come round.
func listenStep(random *rand.Rand, step int, status byte) string {
	channel := string("abc"[random.IntN(3)])
	switch {
	case status == 'E':
		return []string{"ROLLBACK", "COMMIT", "ROLLBACK TO s"}[random.IntN(3)]
	case status == 'T' && random.IntN(3) == 0:
		return []string{"COMMIT", "ROLLBACK", "COMMIT"}[random.IntN(3)]
	}
	switch random.IntN(14) {
	case 0, 1:
		return "LISTEN " + channel
	case 2:
		return "UNLISTEN " + channel
	case 3:
		return "UNLISTEN *"
	case 4, 5, 6:
		return fmt.Sprintf("NOTIFY %s, '%d'", channel, step)
	case 7:
		return fmt.Sprintf("SELECT pg_notify('%s', '%d') IS NULL", channel, step)
	case 8:
		return "SELECT string_agg(c, ' ' ORDER BY c) FROM pg_listening_channels() c"
	case 9:
		if status == 'T' {
			return []string{"SAVEPOINT s", "ROLLBACK TO s", "RELEASE s"}[random.IntN(3)]
		}
		return []string{"DISCARD ALL", "LISTEN a; SELECT 1/0", "BEGIN; LISTEN " + channel + "; COMMIT; UNLISTEN b"}[random.IntN(3)]
	case 10:
		if status == 'T' {
			return "SELECT 1/0"
		}
		return "BEGIN"
	case 11:
		return "DO $$BEGIN EXECUTE 'LISTEN " + channel + "'; END$$"
	default:
		return "SELECT 1"
	}
}
