package livepage

import (
	"cmp"
	"slices"
	"strconv"

	"weir/proxy/status"
)

// More is what a page shows besides the snapshots: it is asked for only when somebody looks.
type More struct {
	Hosts     []status.Host
	Failures  []status.Failure
	Listeners []string
}

// Host is a place where backends are.
type Host struct {
	Database  string `json:"database"`
	Host      string `json:"host"`
	Addresses string `json:"addresses"`
	Backends  int    `json:"backends"`
	Dialling  int    `json:"dialling"`
	Tried     bool   `json:"tried"`
	Trouble   string `json:"trouble"`
}

// Failure is the last error of an SQLSTATE that a client was sent.
type Failure struct {
	Code  string  `json:"sqlstate"`
	Ago   float64 `json:"seconds_ago"`
	Weirs bool    `json:"from_weir"`
	Pool  string  `json:"pool"`
	Who   Peer    `json:"who"`
	Text  string  `json:"text"`
}

// add has the view show what there is more.
func (v *View) add(m More, texts bool) {
	v.Listeners = m.Listeners
	for _, h := range m.Hosts {
		name := h.Host
		if h.Port != 0 {
			name += ":" + strconv.Itoa(h.Port)
		}
		v.Hosts = append(v.Hosts, Host{valid(h.Database), valid(name), h.Addresses, h.Backends, h.Dialling, h.Tried, valid(h.Trouble)})
	}
	slices.SortStableFunc(v.Hosts, func(a, b Host) int { return before(a.Trouble != "", b.Trouble != "") })
	v.Hosts = v.Hosts[:min(len(v.Hosts), rowsMax)]
	for _, f := range m.Failures {
		shown := Failure{
			Code: valid(f.SQLState), Ago: f.Ago.Seconds(), Weirs: f.Weirs, Pool: valid(f.Database + "/" + f.User),
			Who: peerOf(status.Peer{Client: f.Client, Address: f.Peer, Application: f.App, Backend: f.Backend}),
		}
		if texts {
			shown.Text = valid(f.Text)
		}
		v.Failures = append(v.Failures, shown)
	}
	slices.SortStableFunc(v.Failures, func(a, b Failure) int { return cmp.Compare(a.Ago, b.Ago) })
	v.Failures = v.Failures[:min(len(v.Failures), errorsShown)]
}

// boundText says what keeps a pool from one more backend, which the pool has one word for.
func boundText(p *status.Pool) string {
	switch p.Bound {
	case "", "none":
		return ""
	case "paused":
		return "paused by an operator"
	case "size":
		return "pool_size " + strconv.Itoa(p.Size) + " is reached"
	case "dials":
		return "max_dials are under way"
	case "server_trouble":
		return "the server is away"
	case "server_full":
		return "the server has no place left"
	case "drain":
		return "weir stops"
	}
	return "a limit over several pools is reached"
}
