package proxy

import (
	"context"
	"errors"

	"weir/config"
	"weir/proxy/console"
	"weir/proxy/generation"
	"weir/proxy/pgerror"
	"weir/proxy/router"
	"weir/proxy/status"
)

// The texts are PgBouncer's.
var (
	errEnding       = errors.New("pooler is shutting down")
	errClientNotHad = errors.New("client not found")
)

// operator carries out what operators ask for on the console. It implements console.Operator.
type operator struct{ *Proxy }

// database is what an operator's word for a database means: "" is every one.
func (o operator) database(name string) (key string, which func(string) bool, err error) {
	if name == "" {
		return "", func(string) bool { return true }, nil
	}
	g := o.current.Load()
	many := name == config.AnyDatabase && g.Config.Databases[name].DBName == "" // which is none of them, and not all of them
	if _, ok := g.Config.Database(name); !ok || many {
		return "", nil, errors.New("no such database: " + name)
	}
	key = g.DatabaseName(name)
	return key, func(database string) bool { return database == key }, nil
}

// Pause implements console.Operator.
func (o operator) Pause(ctx context.Context, name string) error {
	key, which, err := o.database(name)
	if err != nil {
		return err
	}
	if err := o.pause(key, which); err != nil {
		return err
	}
	return o.awaitPaused(ctx, name, which)
}

// pause has pools pause, and returns when all engines know.
func (o operator) pause(key string, which func(string) bool) error {
	return o.router.Pause(key, func() {
		o.accounts.Vacate()
		for _, e := range o.engines {
			e.Pause(which)
		}
	})
}

// awaitPaused returns when no backend is left, or with an error when the pause has ended before: who goes on as if it held would promote a
// standby under clients at work. It ends the pause when ctx ends.
func (o operator) awaitPaused(ctx context.Context, name string, which func(string) bool) error {
	resumed := false
	over := poll(ctx, func() bool {
		all, _ := o.remaining(which)
		resumed = !o.isPaused(name)
		return all == 0 || resumed
	})
	switch {
	case over && resumed:
		return pgerror.ConsolePauseEnded
	case over:
		return nil
	case o.ctx.Err() == nil:
		_ = o.Resume(name) // it may have been resumed by another operator
	}
	return pgerror.Canceled
}

func (o operator) isPaused(name string) bool {
	now := o.router.Standing()
	return now.Paused || name != "" && now.PausedDBs[o.current.Load().DatabaseName(name)]
}

func (o operator) remaining(which func(string) bool) (all, stale int) {
	for _, e := range o.engines {
		n, s := e.Remaining(which)
		all, stale = all+n, stale+s
	}
	return all, stale
}

// Resume implements console.Operator.
func (o operator) Resume(name string) error {
	key, which, err := o.database(name)
	switch {
	case err != nil:
		return err
	case name == "" && o.leaving.Load():
		return errEnding
	}
	return o.router.Resume(key, name, func(rest *router.Orders) {
		for _, e := range o.engines {
			e.Resume(func(database string) bool { return which(database) && !rest.Pauses(database) })
		}
	})
}

// Disable implements console.Operator.
func (o operator) Disable(name string) error { return o.setDisabled(name, true) }

// Enable implements console.Operator.
func (o operator) Enable(name string) error { return o.setDisabled(name, false) }

func (o operator) setDisabled(name string, disabled bool) error {
	key, _, err := o.database(name)
	if err != nil {
		return err
	}
	o.router.SetDisabled(key, disabled)
	return nil
}

// Reconnect implements console.Operator.
func (o operator) Reconnect(name string) error {
	_, which, err := o.database(name)
	if err != nil {
		return err
	}
	o.accounts.Vacate()
	o.targets.Hosts.Forgive()
	for _, e := range o.engines {
		e.Reconnect(which)
	}
	return nil
}

// WaitClose implements console.Operator.
func (o operator) WaitClose(ctx context.Context, name string) error {
	_, which, err := o.database(name)
	if err != nil {
		return err
	}
	if !poll(ctx, func() bool {
		_, stale := o.remaining(which)
		return stale == 0
	}) {
		return pgerror.Canceled
	}
	return nil
}

// Kill implements console.Operator.
func (o operator) Kill(name string) error {
	key, which, err := o.database(name)
	if err != nil {
		return err
	}
	return o.router.Kill(key, which, func() {
		for _, e := range o.engines {
			e.Pause(which)
			e.Kill(which, pgerror.DatabaseKilled)
		}
		g := o.current.Load()
		o.replications.Kill(func(key generation.PoolKey) bool { return which(g.DatabaseName(key.Database)) }, pgerror.DatabaseKilled)
	})
}

// KillClient implements console.Operator.
func (o operator) KillClient(id uint32) error {
	for _, e := range o.engines {
		if e.KillClient(id, pgerror.ClientKilled) {
			return nil
		}
	}
	if o.replications.KillClient(id, pgerror.ClientKilled) || o.consoles.kill(id) {
		return nil
	}
	return errClientNotHad
}

// Set implements console.Operator.
func (o operator) Set(section, name, value string) (notice string, err error) {
	o.reloading.Lock() // two at once would each forget the other's
	defer o.reloading.Unlock()
	former := o.current.Load()
	c, err := former.Config.WithSetting(section, name, value)
	if err != nil {
		return "", err
	}
	g, err := generation.New(c, o.log)
	if trouble, ok := errors.AsType[*generation.TLSTrouble](err); ok && c.PgBouncer { // where the next SET may bring the file that fits
		g, notice = trouble.Generation, trouble.Words()
		g.ClientTLS, g.ServerTLS, err = former.ClientTLS, former.ServerTLS, nil
		o.log.Error(notice)
	}
	if err != nil {
		return "", err
	}
	o.follow(g)
	return notice, nil
}

// Reload implements console.Operator.
func (o operator) Reload(context.Context) error {
	return o.Proxy.Reload()
}

// Shutdown implements console.Operator.
func (o operator) Shutdown(how console.Shutdown) error { return o.shutdown(how) }

// Pause is the console's PAUSE of all databases.
func (p *Proxy) Pause() error { return operator{p}.Pause(p.ctx, "") }

// Resume is the console's RESUME of all databases.
func (p *Proxy) Resume() error { return operator{p}.Resume("") }

// State is what operators have asked of the whole.
func (p *Proxy) State() status.State {
	now := p.router.Standing()
	return status.State{Paused: now.Paused, ShuttingDown: p.leaving.Load()}
}
