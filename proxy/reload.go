package proxy

import (
	"errors"
	"log/slog"

	"weir/config"
	"weir/proxy/generation"
	"weir/proxy/pgerror"
)

var errNothingToRead = errors.New("weir was started without a configuration that it could read anew")

// Reload reads the configuration anew and has weir follow it, whole. If anything is wrong with it, or with a file that it names, nothing is
// changed, and the error says why. Reloads are carried out one after the other. The log has what has changed, and what needs a restart.
func (p *Proxy) Reload() error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	p.tell(Reloading)
	err := p.reload()
	p.tell(Serving)
	if err != nil {
		p.tellNotReloaded(err)
	}
	return err
}

func (p *Proxy) reload() error {
	switch {
	case p.options.Load == nil:
		return errNothingToRead
	case p.leaving.Load():
		return errDraining
	}
	c, err := p.options.Load()
	if err != nil {
		return err
	}
	running := p.current.Load().Config
	g, err := generation.New(c.Keeping(running), p.log)
	if err != nil {
		return err
	}
	p.follow(g)
	p.router.OpenMinimal()
	p.replications.Dismiss(func(key generation.PoolKey) *pgerror.Error {
		if _, ok := g.Config.Database(key.Database); ok {
			return nil
		}
		return pgerror.DatabaseRemoved(key.Database)
	})
	p.tellReloaded(c, c.Changes(running))
	return nil
}

// changesTold bounds the lines of the log that a reload makes of one kind; the rest is counted.
const changesTold = 100

func (p *Proxy) tellReloaded(c *config.Config, changes []config.Change) {
	waiting := 0
	for told, change := range changes {
		level, message := slog.LevelInfo, "configuration changed"
		if change.Restart {
			waiting++
			level, message = slog.LevelWarn, "configuration not changed: it needs a restart"
		}
		if told >= changesTold {
			continue
		}
		p.log.Log(p.ctx, level, message, "change", change.String())
	}
	for _, w := range c.Warnings() {
		p.log.Warn("configuration", "warning", w)
	}
	p.log.Info("configuration reloaded", "changes", len(changes)-waiting, "need_restart", waiting, "left_out", max(len(changes)-changesTold, 0))
}

func (p *Proxy) tellNotReloaded(err error) {
	if trouble, ok := errors.AsType[*generation.TLSTrouble](err); ok {
		p.log.Error(trouble.Words())
	}
	const message = "configuration not reloaded; weir goes on with the one it has"
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		p.log.Error(message, "error", err)
		return
	}
	for _, problem := range problems[:min(len(problems), changesTold)] {
		p.log.Error(message, "error", problem.String())
	}
}
