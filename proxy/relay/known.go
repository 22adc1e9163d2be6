package relay

import (
	"slices"
	"sync"

	"weir/proxy/session"
)

// known is what backends of a pool report under each set of settings that was applied, so that a client with the same settings needs no backend to be
// greeted. Any goroutine.
type known struct {
	mu    sync.Mutex
	lists map[*session.Set][]session.Setting // the sets are references
}

// knownMax bounds what is remembered of settings. Beyond it everything is forgotten at once: clients that come later wait
// for a backend to learn their parameters, as the first one did.
const knownMax = 256

// of is the list that is known for a set.
func (k *known) of(set *session.Set) ([]session.Setting, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	params, ok := k.lists[set]
	return params, ok
}

// learn remembers what a backend in that set of settings reports. The caller has a reference to the set.
func (k *known) learn(table *session.Table, set *session.Set, params []session.Setting) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.lists[set]; !ok {
		if len(k.lists) >= knownMax {
			k.clear(table)
		}
		if k.lists == nil {
			k.lists = map[*session.Set][]session.Setting{}
		}
		table.Retain(set)
	}
	k.lists[set] = params
}

// forget forgets everything: the server's configuration has changed.
func (k *known) forget(table *session.Table) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.clear(table)
}

func (k *known) clear(table *session.Table) {
	for set := range k.lists {
		table.Release(set)
	}
	clear(k.lists)
}

// learn remembers what a backend in that set of settings reports.
func (l *Lane) learn(set *session.Set, params []session.Setting) {
	l.config.Lanes.known.learn(l.engine.env.Settings, set, params)
}

func (l *Lane) forgetKnown() { l.config.Lanes.known.forget(l.engine.env.Settings) }

// expected is what a backend will report to a client with these settings: what was learnt, or what follows from that for an
// application_name of its own. False: only a backend can tell.
func (l *Lane) expected(set *session.Set) ([]session.Setting, bool) {
	if params, ok := l.config.Lanes.known.of(set); ok {
		return params, true
	}
	name, ok := set.Value(applicationName)
	if !ok || !plainName(name) {
		return nil, false
	}
	base, err := l.engine.env.Settings.Intern(set.Without(applicationName))
	if err != nil {
		return nil, false
	}
	params, ok := l.config.Lanes.known.of(base)
	l.engine.env.Settings.Release(base)
	if !ok {
		return nil, false
	}
	params = slices.Clone(params)
	for i := range params {
		if params[i].Name == applicationName {
			params[i].Value = name
			return params, true
		}
	}
	return nil, false
}

const applicationName = "application_name"

// plainName reports whether a server reports an application_name as it was given: it cuts a long one, and what it does with other than
// printable ASCII depends on its version (check_application_name in src/backend/commands/variable.c).
func plainName(name string) bool {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	return len(name) <= 63
}
