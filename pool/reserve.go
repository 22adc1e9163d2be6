package pool

// sizeAllows reports whether the pool may have one more backend: up to Size
// always, and from the reserve when reserveDue has come.
func (p *Pool) sizeAllows(now Instant) bool {
	total := p.total()
	return total < p.cfg.Size || total < p.cfg.Size+p.cfg.ReserveSize && p.reserveDue() <= now
}

// reserveDue returns when one more reserve backend may be dialled: when the
// oldest waiter that no dial under way will serve has waited for ReserveTimeout.
// Never if there is no such waiter, or nothing left of the reserve.
func (p *Pool) reserveDue() Instant {
	total, dialling := p.total(), p.count[Dialling]
	if total < p.cfg.Size || total >= p.cfg.Size+p.cfg.ReserveSize || p.waiting <= dialling {
		return Never
	}
	i := p.waiters[0].next
	for ; dialling > 0; dialling-- { // at most MaxDials
		i = p.waiters[i].next
	}
	return after(p.waiters[i].since, p.cfg.ReserveTimeout)
}
