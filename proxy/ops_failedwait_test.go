package proxy_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/faultnet"
)

// kinds are the types of n answers' messages, errors with their SQLSTATE.
func (c *wireClient) kinds(n int) (heard []string) {
	c.t.Helper()
	for n > 0 {
		switch m := c.Receive().(type) {
		case *pgproto3.ErrorResponse:
			heard = append(heard, m.Code)
		case *pgproto3.ReadyForQuery:
			n--
			heard = append(heard, "ready")
		default:
			heard = append(heard, typeName(m))
		}
	}
	return heard
}

// A wait that fails ends the request that waited, with those that had come by then, and nothing else: each ends at its own Sync, and none is
// answered later.
func TestFailedWaitCostsItsOwnRequestOnly(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE book (title text)")
	w := start(t, d, "[pool]\npool_size = 1\n")
	long := strings.Repeat("x", 200_000)
	writes := func(title string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{
			parse("", "INSERT INTO book VALUES ($1) RETURNING length(title)"),
			&pgproto3.Bind{Parameters: [][]byte{[]byte(title)}}, &pgproto3.Execute{},
		}
	}
	one := func(title string) []byte { return synced(t, writes(title)...).send }
	half := func(title string) []byte { return encode(t, writes(title)...) }
	sync := encode(t, &pgproto3.Sync{})
	ended := []string{"53300", "ready"}
	for name, s := range map[string]struct {
		first, later []byte // later is sent when the error has come
		want         []string
		answers      int
	}{
		"a whole request":      {one("whole"), nil, ended, 1},
		"a simple query":       {queryBytes("INSERT INTO book VALUES ('simple')"), nil, ended, 1},
		"three requests":       {slices.Concat(one("a"), queryBytes("INSERT INTO book VALUES ('b')"), one("c")), nil, slices.Concat(ended, ended, ended), 3},
		"its Sync comes later": {half("half"), sync, ended, 1},
		"the rest comes later": {half("half"), slices.Concat(half("rest"), sync), ended, 1},
		"a long Bind":          {one(long), nil, ended, 1},
		"a long Query":         {queryBytes("INSERT INTO book VALUES ('" + long + "')"), nil, ended, 1},
		"a long Bind, half":    {one(long)[:100_000], one(long)[100_000:], ended, 1},
		"a long Query, half":   {queryBytes("INSERT INTO book VALUES ('" + long + "')")[:100_000], queryBytes("INSERT INTO book VALUES ('" + long + "')")[100_000:], ended, 1},
	} {
		t.Run(name, func(t *testing.T) {
			holder, c := enter(t, w, d), enter(t, w, d)
			holder.Query("BEGIN")
			w.hurry(t)
			c.SendBytes(s.first)
			var heard []string
			if len(s.later) > 0 {
				m, ok := c.Receive().(*pgproto3.ErrorResponse)
				if !ok {
					t.Fatal("no error")
				}
				heard = append(heard, m.Code)
				c.SendBytes(s.later)
			}
			heard = append(heard, c.kinds(s.answers)...)
			if !slices.Equal(heard, s.want) {
				t.Errorf("heard %v, want %v", heard, s.want)
			}
			w.unhurry(t)
			holder.Query("COMMIT")
			if got := c.Query("SELECT count(*) FROM book"); got != "0" {
				t.Errorf("afterwards there are %s books", got)
			}
			if got := c.first(step{one("later"), 1}); got != "5" {
				t.Errorf("the next request gives %q", got)
			}
			c.Query("TRUNCATE book")
			c.Terminate()
			holder.Terminate()
		})
	}
}

// What a request that was refused would have prepared, is not there.
func TestFailedWaitPreparesNothing(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n")
	holder, c := enter(t, w, d), enter(t, w, d)
	c.first(synced(t, parse("there", "SELECT 'there'")))
	holder.Query("BEGIN")
	w.hurry(t)
	c.SendBytes(synced(t, parse("n", "SELECT 1"), &pgproto3.Close{ObjectType: 'S', Name: "there"}).send)
	refused(t, c.Answer().Err(), "53300")
	c.SendBytes(synced(t, parse("", "SELECT 2")).send)
	refused(t, c.Answer().Err(), "53300")
	w.unhurry(t)
	holder.Query("COMMIT")
	for _, name := range []string{"n", ""} {
		c.SendBytes(runs(t, name).send)
		refused(t, c.Answer().Err(), "26000")
	}
	if got := c.first(runs(t, "there")); got != "there" {
		t.Errorf("the Close was refused, too, but its statement gives %q", got)
	}
}

// A wait that times out says why there is no backend. Where the server is away it is that, on whichever loop the client is and whoever has tried
// to reach the server, and no limit that could be raised.
func TestWaitThatTimesOutSaysThatTheServerIsAway(t *testing.T) {
	d := database(t)
	n := faultnet.New(t, "tcp", d.Server.Addr())
	w := spreading(t, d, 2, behind(n)+"[pool]\npool_size = 2\n[timeouts]\nserver_login_retry = \"1m\"\n")
	clients := enterMany(t, w, d, 6)
	for _, c := range clients {
		c.Query("SELECT 1")
	}
	if err := n.SetMode(faultnet.Refuse); err != nil {
		t.Fatal(err)
	}
	n.Cut()
	w.queryWait(t, "300ms")
	_, port, _ := net.SplitHostPort(n.Addr())
	for range 2 {
		for _, c := range clients {
			c.inBackground("SELECT 1")
		}
		for _, c := range clients {
			e := refused(t, c.Answer().Err(), "08001")
			if e.Severity != "ERROR" || !strings.Contains(e.Message, port) || e.Hint != "" {
				t.Errorf("%s is told %+v", c.name, e)
			}
		}
	}
}

// While PAUSE holds it is that.
func TestWaitThatTimesOutSaysThatThePoolIsPaused(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "")
	boss, c := w.console(t, "boss"), enter(t, w, d)
	c.Query("SELECT 1")
	for _, name := range []string{"", " " + d.Name} {
		ask(t, boss, "PAUSE"+name)
		w.hurry(t)
		e := refused(t, c.Run("SELECT 1").Err(), "53300")
		if e.Severity != "ERROR" || !strings.Contains(e.Detail, "PAUSE") || !strings.Contains(e.Hint, "RESUME") {
			t.Errorf("told %+v", e)
		}
		w.unhurry(t)
		ask(t, boss, "RESUME"+name)
		if got := c.Query("SELECT 2"); got != "2" {
			t.Errorf("after RESUME: %q", got)
		}
	}
}
