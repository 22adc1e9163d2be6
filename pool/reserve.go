package pool

// sizeDue returns since or from when the pool's size allows one more backend:
// always below Size; from the reserve when the oldest waiter that no dial under
// way will serve has waited for ReserveTimeout; Never above that.
func (p *Pool) sizeDue() Instant {
	total, dialling := p.board.Total(), p.count[Dialling]
	switch {
	case total < p.cfg.Size:
		return 0
	case total >= p.cfg.Size+p.cfg.ReserveSize, p.waiting <= dialling:
		return Never
	}
	i := p.waiters[0].next
	for ; dialling > 0; dialling-- { // at most MaxDials
		i = p.waiters[i].next
	}
	return after(p.waiters[i].since, p.cfg.ReserveTimeout)
}

// room is how many backends there may be after one more dial, which sizeDue allows.
func (p *Pool) room() int {
	if p.board.Total() < p.cfg.Size {
		return p.cfg.Size
	}
	return p.cfg.Size + p.cfg.ReserveSize
}
