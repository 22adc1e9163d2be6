package pool

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"weir/pool/board"
)

// newPool is an empty pool of one lane.
func newPool(cfg Config, seed uint64) *Pool { return NewLane(cfg, seed, board.New(1), 0) }

// TestScripts runs testdata. The dialect:
//
//	pool KEY=VALUE ...   a new pool; keys are in setting, the clock starts at 0
//	states               prints the legal moves of backends
//	run, watch           one event a line, decisions below; watch adds the time
//
// and the events, beside those of parseOp:
//
//	oversleep 5s         lets time pass without a tick
//	next                 prints how far away the next Tick is
//	counts               prints Counts
//	stale                prints how many backends of before Renew are left
//
// advance lets time pass and ticks exactly when the pool asks for it. A client
// that has to wait although it has no dial prints what binds: wait c2 (size).
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var m *machine
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "pool":
				cfg := scriptDefaults
				var seed uint64
				for _, a := range d.CmdArgs {
					if a.Key == "seed" {
						d.ScanArgs(t, "seed", &seed)
					} else if err := setting(&cfg, a.Key, a.SingleVal(t)); err != nil {
						d.Fatalf(t, "%v", err)
					}
				}
				m = &machine{pool: newPool(cfg, seed), cfg: cfg}
				return ""
			case "states":
				return printMoves()
			case "run", "watch":
				m.times = d.Cmd == "watch"
				var out strings.Builder
				for _, line := range strings.Split(d.Input, "\n") {
					if err := m.line(&out, line); err != nil {
						d.Fatalf(t, "%s: %v", line, err)
					}
				}
				return out.String()
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

var scriptDefaults = Config{
	Size: 1, MaxDials: 4,
	QueryWaitTimeout: 120 * time.Second,
	ServerLoginRetry: 15 * time.Second,
}

// setting sets one of a Config's fields by its name in scripts.
func setting(cfg *Config, key, value string) (err error) {
	n := map[string]*int{"size": &cfg.Size, "min": &cfg.MinSize, "reserve": &cfg.ReserveSize, "dials": &cfg.MaxDials}
	d := map[string]*time.Duration{
		"reserve-timeout": &cfg.ReserveTimeout, "query-wait": &cfg.QueryWaitTimeout, "lifetime": &cfg.ServerLifetime,
		"idle-timeout": &cfg.ServerIdleTimeout, "login-retry": &cfg.ServerLoginRetry, "pool-idle": &cfg.PoolIdleTimeout,
	}
	switch {
	case key == "keep":
		cfg.KeepMin, err = strconv.ParseBool(value)
	case key == "patient":
		cfg.Patient, err = strconv.ParseBool(value)
	case key == "round-robin":
		cfg.RoundRobin, err = strconv.ParseBool(value)
	case n[key] != nil:
		*n[key], err = strconv.Atoi(value)
	case d[key] != nil:
		*d[key], err = time.ParseDuration(value)
	default:
		err = fmt.Errorf("unknown setting %q", key)
	}
	return err
}

func printConfig(c Config) string {
	return fmt.Sprintf("size=%d min=%d reserve=%d dials=%d reserve-timeout=%s query-wait=%s lifetime=%s idle-timeout=%s login-retry=%s pool-idle=%s keep=%t patient=%t",
		c.Size, c.MinSize, c.ReserveSize, c.MaxDials, c.ReserveTimeout, c.QueryWaitTimeout, c.ServerLifetime, c.ServerIdleTimeout, c.ServerLoginRetry,
		c.PoolIdleTimeout, c.KeepMin, c.Patient)
}

// op is one event as a value that prints, parses and runs.
type op struct {
	verb     string
	client   ClientID
	backend  BackendID
	settings SettingsID
	kind     FailureKind
	length   time.Duration
	cfg      Config
}

// parseOp parses an event. cfg is what configure starts from.
func parseOp(line string, cfg Config) (o op, err error) {
	f := strings.Fields(line)
	if len(f) == 0 {
		return o, fmt.Errorf("no event")
	}
	o.verb, o.cfg = f[0], cfg
	for _, a := range f[1:] {
		n, number := strconv.ParseUint(a[1:], 10, 32)
		key, value, assign := strings.Cut(a, "=")
		switch {
		case assign:
			err = setting(&o.cfg, key, value)
		case o.verb == "advance" || o.verb == "oversleep":
			o.length, err = time.ParseDuration(a)
		case a[0] == 'c' && number == nil:
			o.client = ClientID(n)
		case a[0] == 'b' && number == nil:
			o.backend = BackendID(n)
		case a[0] == 's' && number == nil:
			o.settings = SettingsID(n)
		default:
			kinds := []string{"unreachable", "refused", "full", "limited"}
			if k := slices.Index(kinds, a); k >= 0 {
				o.kind = FailureKind(k)
			} else {
				err = fmt.Errorf("cannot read %q", a)
			}
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

// String prints the event as parseOp reads it.
func (o op) String() string {
	switch o.verb {
	case "want":
		return fmt.Sprintf("want c%d s%d", o.client, o.settings)
	case "forget":
		return fmt.Sprintf("forget c%d", o.client)
	case "freed":
		return fmt.Sprintf("freed b%d s%d", o.backend, o.settings)
	case "failed":
		return fmt.Sprintf("failed b%d %s", o.backend, o.kind)
	case "dialled", "lost", "discard", "expel", "coming", "busy":
		return fmt.Sprintf("%s b%d", o.verb, o.backend)
	case "advance", "oversleep":
		return fmt.Sprintf("%s %s", o.verb, o.length)
	case "configure":
		return "configure " + printConfig(o.cfg)
	}
	return o.verb
}

// apply tells p of the event, unless it is advance.
func (o op) apply(p *Pool, now Instant) error {
	switch o.verb {
	case "want":
		p.Want(now, o.client, o.settings)
	case "forget":
		p.Forget(now, o.client)
	case "freed":
		p.Freed(now, o.backend, o.settings)
	case "dialled":
		p.Dialled(now, o.backend)
	case "failed":
		p.DialFailed(now, o.backend, Failure{Kind: o.kind})
	case "lost":
		p.Lost(now, o.backend)
	case "discard":
		p.Discard(now, o.backend)
	case "expel":
		p.Expel(now, o.backend)
	case "coming":
		p.Coming(now, o.backend)
	case "busy":
		p.Busy(now, o.backend)
	case "reclaim":
		p.Reclaim(now)
	case "nudge":
		p.Nudge(now)
	case "contested", "uncontested":
		p.Contest(now, o.verb == "contested")
	case "pardon":
		p.Pardon(now)
	case "clients":
		p.Populated(now, true)
	case "no-clients":
		p.Populated(now, false)
	case "vacate":
		p.Vacate(now)
	case "pause":
		p.Pause(now)
	case "resume":
		p.Resume(now)
	case "configure":
		p.Configure(now, o.cfg)
	case "renew":
		p.Renew(now)
	case "tick":
		p.Tick(now)
	default:
		return fmt.Errorf("unknown event %q", o.verb)
	}
	return nil
}

// machine is a pool with its clock.
type machine struct {
	pool  *Pool
	cfg   Config
	now   Instant
	times bool
}

func (m *machine) line(out *strings.Builder, line string) (err error) {
	defer func() {
		if misuse := recover(); misuse != nil {
			fmt.Fprintf(out, "panic: %v\n", misuse)
		}
	}()
	switch line {
	case "stale":
		fmt.Fprintln(out, "stale", m.pool.Counts().Stale)
		return nil
	case "counts":
		fmt.Fprintln(out, m.counts())
		return nil
	case "next":
		if n := m.pool.Next(); n == Never {
			fmt.Fprintln(out, "next never")
		} else {
			fmt.Fprintf(out, "next in %s\n", time.Duration(n-m.now))
		}
		return nil
	}
	o, err := parseOp(line, m.cfg)
	if err != nil {
		return err
	}
	switch o.verb {
	case "oversleep":
		m.now = m.now.plus(o.length)
		return nil
	case "advance":
		end := m.now.plus(o.length)
		for m.pool.Next() <= end {
			m.now = max(m.now, m.pool.Next())
			if next := m.pool.Tick(m.now); next <= m.now {
				return fmt.Errorf("after a tick at %s the next is due at %s", time.Duration(m.now), time.Duration(next))
			}
			m.print(out)
		}
		m.now = end
		return nil
	}
	if err := o.apply(m.pool, m.now); err != nil {
		return err
	}
	m.cfg = o.cfg
	m.print(out)
	if bound := m.pool.Counts().Bound; o.verb == "want" && m.pool.Waiting(o.client) && bound != NoLimit {
		fmt.Fprintf(out, "wait c%d (%s)\n", o.client, bound)
	}
	return nil
}

func (m *machine) print(out *strings.Builder) {
	for _, d := range m.pool.Decisions() {
		if m.times {
			fmt.Fprintf(out, "%s ", time.Duration(m.now).Round(time.Millisecond))
		}
		fmt.Fprintln(out, d)
	}
}

func (m *machine) counts() string {
	c := m.pool.Counts()
	s := fmt.Sprintf("idle=%d leased=%d dialling=%d waiting=%d", c.Idle, c.Leased, c.Dialling, c.Waiting)
	if c.Waiting > 0 {
		s += fmt.Sprintf(" oldest=%s", time.Duration(m.now-c.Oldest))
	}
	if c.Bound != NoLimit {
		s += fmt.Sprintf(" bound=%s", c.Bound)
	}
	if c.Failures > 0 {
		s += fmt.Sprintf(" failures=%d", c.Failures)
	}
	if m.pool.Deserted() {
		s += " deserted"
	}
	return s
}

func printMoves() string {
	var out strings.Builder
	for from := range moves {
		fmt.Fprintf(&out, "%-8s ->", BackendState(from))
		for to, legal := range moves[from] {
			if legal {
				fmt.Fprintf(&out, " %s", BackendState(to))
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}
