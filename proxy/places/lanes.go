package places

import "weir/proxy/relay"

// ForLanes are the Places as the lanes of pools know them: it implements relay.Places.
type ForLanes struct{ *Places }

var _ relay.Places = ForLanes{}

// Take implements relay.Places, as do the others.
func (p ForLanes) Take(l *relay.Lanes) bool { return p.Places.Take(l) }

// Give is Places.Give.
func (p ForLanes) Give(l *relay.Lanes) { p.Places.Give(l) }

// Unused is Places.Unused.
func (p ForLanes) Unused(l *relay.Lanes) { p.Places.Unused(l) }

// Decline is Places.Decline.
func (p ForLanes) Decline(l *relay.Lanes) { p.Places.Decline(l) }

// Full is Places.Full.
func (p ForLanes) Full(l *relay.Lanes, where relay.Full) { p.Places.Full(l, where) }

// Owed is Places.Owed.
func (p ForLanes) Owed(l *relay.Lanes) (where relay.Full, owed bool) { return p.Places.Owed(l) }

// Admitted is Places.Admitted.
func (p ForLanes) Admitted(l *relay.Lanes) { p.Places.Admitted(l) }

// Bound is Places.Bound.
func (p ForLanes) Bound(l *relay.Lanes) (setting string, value int, section string) {
	return p.Places.Bound(l)
}
