package hba

import (
	"net/netip"
	"strconv"
	"strings"
)

// Request is a connection that wants in.
type Request struct {
	Local          bool       // over a unix socket; the next two say nothing then
	TLS            bool       // encrypted
	Addr           netip.Addr // the client's
	Database, User string     // as the client says
	Replication    bool       // physical replication, which has no database
	// Interfaces are the addresses of this machine with their networks. Asked only where a rule says samehost or samenet; nil
	// is none.
	Interfaces func() []netip.Prefix
}

// Match returns the rule that holds for a connection: the first that fits. nil: none does, and the connection is refused.
func (r *Rules) Match(q Request) *Rule {
	if r == nil {
		return nil
	}
	q.Addr = q.Addr.Unmap().WithZone("")
	for i := range r.rules {
		if rule := &r.rules[i]; rule.fits(q) {
			return rule
		}
	}
	return nil
}

func (r *Rule) fits(q Request) bool {
	switch r.conn {
	case connLocal:
		if !q.Local {
			return false
		}
	case connHostSSL:
		if q.Local || !q.TLS {
			return false
		}
	case connHostNoSSL:
		if q.Local || q.TLS {
			return false
		}
	case connHost:
		if q.Local {
			return false
		}
	}
	return r.isForDatabase(q) && r.isForUser(q.User) && (r.conn == connLocal || r.address.contains(q))
}

// isForDatabase is check_db of PostgreSQL's hba.c.
func (r *Rule) isForDatabase(q Request) bool {
	for _, p := range r.databases {
		switch {
		case q.Replication:
			if p.keyword == "replication" {
				return true
			}
		case p.keyword == "sameuser":
			if q.Database == q.User {
				return true
			}
		case p.matches(q.Database):
			return true
		}
	}
	return false
}

func (r *Rule) isForUser(user string) bool {
	for _, p := range r.users {
		if p.matches(user) {
			return true
		}
	}
	return false
}

// address is what a rule says of addresses.
type address struct {
	kind addressKind
	base netip.Addr // of addressMask; masked
	mask []byte     // as long as base
}

type addressKind uint8

const (
	addressMask addressKind = iota
	addressAll
	addressSameHost
	addressSameNet
)

func (a *address) contains(q Request) bool {
	switch a.kind {
	case addressAll:
		return true
	case addressSameHost, addressSameNet:
		if q.Interfaces == nil {
			return false
		}
		for _, own := range q.Interfaces() {
			here := own.Addr().Unmap().WithZone("")
			if here == q.Addr || a.kind == addressSameNet && netip.PrefixFrom(here, own.Bits()).Contains(q.Addr) {
				return true
			}
		}
		return false
	case addressMask:
	}
	got, want := q.Addr.AsSlice(), a.base.AsSlice()
	if len(got) != len(want) {
		return false
	}
	for i, m := range a.mask {
		if (got[i]^want[i])&m != 0 {
			return false
		}
	}
	return true
}

// address reads ADDRESS, or ADDRESS and MASK.
func (p *lineParser) address(r *Rule) bool {
	t, ok := p.one("address")
	if !ok {
		return false
	}
	switch {
	case t.is("all"):
		r.address.kind = addressAll
		return true
	case t.is("samehost"):
		r.address.kind = addressSameHost
		return true
	case t.is("samenet"):
		r.address.kind = addressSameNet
		return true
	}
	text, bits, withBits := strings.Cut(t.text, "/")
	base, ok := p.ip(t, text)
	if !ok {
		return false
	}
	r.address.base = base
	if withBits {
		n, err := strconv.ParseUint(bits, 10, 8)
		if err != nil || int(n) > base.BitLen() {
			p.problem(t.at, "%q: the network's bits must be a number from 0 to %d", t.text, base.BitLen())
			return false
		}
		r.address.mask = maskOf(int(n), base.BitLen())
		return true
	}
	return p.mask(r, t)
}

// mask reads the column that follows an address without bits.
func (p *lineParser) mask(r *Rule, address token) bool {
	if p.next == len(p.line) || !looksLikeIP(p.line[p.next][0].text) {
		base := r.address.base
		p.problem(address.at, "%q lacks its network: want %s/%d for this address alone, or a mask", address.text, base, base.BitLen())
		return false
	}
	t, ok := p.one("mask")
	if !ok {
		return false
	}
	mask, ok := p.ip(t, t.text)
	if !ok {
		return false
	}
	if mask.BitLen() != r.address.base.BitLen() {
		p.problem(t.at, "the mask %s is not of the address's kind", mask)
		return false
	}
	r.address.mask = mask.AsSlice()
	return true
}

func (p *lineParser) ip(t token, text string) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(text)
	switch {
	case err != nil && looksLikeIP(text):
		p.problem(t.at, "%q is no IP address", text)
	case err != nil:
		p.problem(t.at, "%q: host names are not supported; want an IP address, all, samehost or samenet", text)
	case ip.Is4In6():
		p.problem(t.at, "%q never occurs; want %s for clients over IPv4", text, ip.Unmap())
	default:
		return ip.WithZone(""), true
	}
	return netip.Addr{}, false
}

func looksLikeIP(text string) bool {
	return strings.Contains(text, ":") || text != "" && strings.Trim(text, "0123456789.") == ""
}

func maskOf(bits, of int) []byte {
	mask := make([]byte, of/8)
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}
