package telemetry

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/proxy/status"
)

// pools is a Source of these pools and nothing else.
type pools []status.Pool

func (p pools) Snapshot() status.Snapshot {
	var s status.Snapshot
	for i := range p {
		p[i].Number = uint64(i + 1)
		p[i].Totals.ClientsServed = 1
		s.Pools = append(s.Pools, p[i])
		s.Replications = append(s.Replications, status.Replication{Database: p[i].Database, User: p[i].User, Served: 1, Others: p[i].Others})
	}
	return s
}

func TestLabelsAreValidUTF8AndBounded(t *testing.T) {
	for name, want := range map[string]string{
		"shop":                    "shop",
		"":                        "",
		"Bücher":                  "Bücher",
		"x\xff":                   `x\xff`,
		"\xfe\xff":                `\xfe\xff`,
		"j\xf6rg":                 `j\xf6rg`,
		"\ufffd":                  "\ufffd",
		"\ufffd\xc3":              "\ufffd" + `\xc3`,
		"\xed\xa0\x80":            `\xed\xa0\x80`, // half of a surrogate pair
		strings.Repeat("x", 9000): strings.Repeat("x", labelMax),
	} {
		got := label(name)
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%.40q becomes %.40q, want %.40q", name, got, want)
		}
	}
	if n := len(label(strings.Repeat("\xff", 9000))); n > 4*labelMax {
		t.Errorf("9000 bytes that are no UTF-8 make a label of %d", n)
	}
}

// Whatever names clients choose, the scrape succeeds, and no number is lost.
func TestPoolsOfTheSameLabelsAreShownTogether(t *testing.T) {
	source := pools{{Database: "a\xff", User: "u"}, {Database: `a\xff`, User: "u"}, {Database: "a", User: "u"}, {Database: "a", User: "u"}}
	for _, metric := range []string{"weir_logins_total", "weir_replication_connections_total"} {
		help := servedTotal.help
		if metric != servedTotal.name {
			help = replicasTotal.help
		}
		want := fmt.Sprintf("# HELP %s %s\n# TYPE %s counter\n%s{database=\"a\",user=\"u\"} 2\n%s{database=\"a\\\\xff\",user=\"u\"} 2\n",
			metric, help, metric, metric, metric)
		if err := testutil.CollectAndCompare(NewCollector(source), strings.NewReader(want), metric); err != nil {
			t.Error(err)
		}
	}
}

// The pools that were opened while there were many are one.
func TestOtherPoolsAreSummedUp(t *testing.T) {
	source := make(pools, 30)
	for i := range source {
		source[i] = status.Pool{Database: fmt.Sprint("db", i), User: "u", Others: i >= 10}
	}
	now := source.Snapshot()
	for name, found := range map[string]map[names]uint64{
		"pools": func() map[names]uint64 {
			found := map[names]uint64{}
			for _, p := range labelPools(&now) {
				found[names{p.Database, p.User}] += p.Totals.ClientsServed
			}
			return found
		}(),
		"replications": func() map[names]uint64 {
			found := map[names]uint64{}
			for _, r := range labelReplications(now.Replications) {
				found[names{r.Database, r.User}] += r.Served
			}
			return found
		}(),
	} {
		if len(found) != 10+1 || found[names{others, others}] != 20 || found[names{"db0", "u"}] != 1 {
			t.Errorf("%s: %d have series, of the others %d clients are counted", name, len(found), found[names{others, others}])
		}
	}
	if n, err := testutil.GatherAndCount(Registry(source), "weir_logins_total"); err != nil || n != 10+1 {
		t.Errorf("%d series, %v", n, err)
	}
}

func counted(database, user string, number, clients uint64) status.Pool {
	p := status.Pool{Database: database, User: user, Number: number}
	p.Totals.ClientsServed = clients
	return p
}

func other(p status.Pool) status.Pool {
	p.Others = true
	return p
}

// What a pool has counted stays in the series of those that have come after it, under the same names.
func TestSeriesOfAPoolGoOnWithItsSuccessor(t *testing.T) {
	all := labelPools(&status.Snapshot{
		Pools: []status.Pool{counted("a", "u", 3, 30), counted("b", "u", 4, 40)},
		Bygone: []status.Pool{
			counted("a", "", 0, 1000), counted("a", "u", 1, 10), counted("a", "u", 2, 20), counted("c", "u", 5, 50),
		},
	})
	if len(all) != 2 || all[0].Totals.ClientsServed != 60 || all[1].Totals.ClientsServed != 40 {
		t.Errorf("%d pools: %d and %d clients", len(all), all[0].Totals.ClientsServed, all[1].Totals.ClientsServed)
	}
}

// The sum of the others keeps what those have counted that are gone, also while that is on its way from its loop.
func TestSumOfOtherPoolsKeepsWhatIsForgotten(t *testing.T) {
	for _, there := range [][]status.Pool{nil, {counted("a", "u", 1, 10)}, {other(counted("b", "u", 2, 2)), other(counted("c", "u", 3, 3))}} {
		all := labelPools(&status.Snapshot{
			Pools:  there,
			Others: other(counted("", "", 0, 500)),
			Bygone: []status.Pool{counted("x", "", 0, 500), other(counted("y", "u", 9, 70))},
		})
		var want uint64 = 500 + 70
		for i := range there {
			if there[i].Others {
				want += there[i].Totals.ClientsServed
			}
		}
		last := all[len(all)-1]
		if last.Database != others || last.User != others || last.Totals.ClientsServed != want {
			t.Errorf("%s/%s has %d clients, want %d", last.Database, last.User, last.Totals.ClientsServed, want)
		}
	}
}

// Pools that are shown as one have more SQLSTATEs than one of them can have.
func TestErrorCodesAreBounded(t *testing.T) {
	errors := []status.ErrorCode{{Code: "42P01", Count: 3}, {Code: "42P01", Count: 4}}
	for i := range 10 * codesMax {
		errors = append(errors, status.ErrorCode{Code: fmt.Sprintf("Z%04d", i), Count: 1})
	}
	got := byCode(errors)
	if len(got) != codesMax+1 || got["42P01"] != 7 || got[otherCode] != 9*codesMax+1 {
		t.Errorf("%d codes; 42P01 counted %d times, others %d", len(got), got["42P01"], got[otherCode])
	}
}
