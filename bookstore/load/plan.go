package load

import (
	"fmt"
	"net"
	"net/url"
)

// server is where requests go.
type server struct {
	index   int    // among the plan's servers
	address string // host:port to dial
	host    string // as requests name it
}

// target is a Target made ready: what is sent is made once, since the load shares its machine with what it measures.
type target struct {
	server  *server
	request []byte
	group   string // under which its results are told apart
}

// plan says what each task of a load asks for.
type plan struct {
	servers   []*server
	cycle     []*target // the tasks' targets, over and over
	keepAlive bool
	visit     bool
}

// target is that of task n. Targets take turns by their weights, so any stretch of tasks holds the shares that were
// asked for, as chance would not.
func (p *plan) target(n int64) *target { return p.cycle[n%int64(len(p.cycle))] }

// weightMax bounds a weight, and by it the cycle.
const weightMax = 1000

func newPlan(targets []Target, keepAlive, visit bool) (*plan, error) {
	p := &plan{keepAlive: keepAlive, visit: visit}
	byHost := map[string]*server{}
	ready, weights := make([]*target, len(targets)), make([]int, len(targets))
	for i, t := range targets {
		u, err := url.Parse(t.URL)
		if err != nil {
			return nil, fmt.Errorf("read the URL: %w", err)
		}
		if u.Scheme != "http" || u.Hostname() == "" {
			return nil, fmt.Errorf("URL %q: want http://host:port/path", t.URL)
		}
		if weights[i] = max(1, t.Weight); weights[i] > weightMax {
			return nil, fmt.Errorf("URL %q: its weight %d is above %d", t.URL, t.Weight, weightMax)
		}
		s := byHost[u.Host]
		if s == nil {
			port := u.Port()
			if port == "" {
				port = "80"
			}
			s = &server{index: len(p.servers), address: net.JoinHostPort(u.Hostname(), port), host: u.Host}
			byHost[u.Host], p.servers = s, append(p.servers, s)
		}
		ready[i] = &target{server: s, request: p.get(s, u.RequestURI()), group: u.RequestURI()}
	}
	p.cycle = interleave(ready, weights)
	return p, nil
}

// get is the request for a path.
func (p *plan) get(s *server, path string) []byte {
	persistence := "close"
	if p.keepAlive {
		persistence = "keep-alive"
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n", path, s.host, persistence)
}

// interleave lays out one round in which each target occurs as often as its weight says, spread as evenly as can be:
// each turn, every target earns its weight, and the richest is taken and pays for the whole round.
func interleave(targets []*target, weights []int) []*target {
	total, divisor := 0, 0
	for _, w := range weights {
		total += w
		divisor = gcd(divisor, w)
	}
	earned := make([]int, len(targets))
	cycle := make([]*target, total/divisor)
	for i := range cycle {
		richest := 0
		for j, w := range weights {
			earned[j] += w
			if earned[j] > earned[richest] {
				richest = j
			}
		}
		earned[richest] -= total
		cycle[i] = targets[richest]
	}
	return cycle
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
