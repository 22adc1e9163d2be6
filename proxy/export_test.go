package proxy

import "weir/config"

// Follow has p follow another configuration, as a reload will.
func (p *Proxy) Follow(c *config.Config) error {
	g, err := newGeneration(c, p.log)
	if err == nil {
		p.follow(g)
	}
	return err
}
