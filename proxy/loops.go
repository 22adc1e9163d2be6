package proxy

import (
	"runtime"

	"weir/config"
	"weir/proxy/cancelkey"
	"weir/proxy/relay"
)

// Every engine has a number that a cancel key can tell, and so do the consoles and the connections for replication.
const _ = uint(cancelkey.LoopsMax - (config.LoopsMax + loopsBeside))

// A peer's id that the configuration admits has room in a key.
const _ = uint(cancelkey.PeerMax - config.PeerMax)

// loopsBeside are the numbers after those of the engines: for replication, and for the console.
const loopsBeside = 2

// coresPerSpare is how many cores have one among them that gets no loop. There run the cryptography of logins, dials, lookups, the HTTP
// server and the collector, so that none of it takes a core from clients who wait.
const coresPerSpare = 8

// loopCount chooses the number of event loops. On one or two cores one loop is faster than two: what it saves in switches
// between threads is more than a second core would give, which PostgreSQL has use for.
func loopCount(configured, cores int) int {
	switch {
	case configured > 0:
		return configured
	case cores <= 2:
		return 1
	default:
		return min(cores-max(1, cores/coresPerSpare), config.LoopsMax)
	}
}

func (p *Proxy) openEngines(loops int) error {
	if runtime.GOMAXPROCS(0) <= loops {
		runtime.GOMAXPROCS(loops + 1) // a loop holds one while it sleeps for a moment; dials and HTTP need another
	}
	for i := range loops {
		loop, err := relay.NewLoop()
		if err != nil {
			return err
		}
		e := relay.NewEngine(p.env, i, loop)
		p.engines, p.loops = append(p.engines, e), append(p.loops, loop)
		go e.Run()
	}
	return nil
}
