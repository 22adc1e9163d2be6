package conversation

// recent are the types of the last messages, for the log line of a doubt.
type recent struct {
	types [24]byte
	next  uint8
}

// fromServer marks a type as a server's. Types are letters and digits.
const fromServer = 0x80

func (r *recent) note(t byte) {
	r.types[r.next] = t
	if r.next++; int(r.next) == len(r.types) { // cheaper than a division, for each message
		r.next = 0
	}
}

// Recent prints the last messages, the oldest first: those of the client after >, those of the server after <. Rows and the like are
// left out.
func (s *Server) Recent() string {
	var out []byte
	r := &s.recent
	for i := range r.types {
		t := r.types[(int(r.next)+i)%len(r.types)]
		switch {
		case t == 0:
			continue
		case len(out) > 0:
			out = append(out, ' ')
		}
		if t&fromServer != 0 {
			out = append(out, '<', t&^fromServer)
		} else {
			out = append(out, '>', t)
		}
	}
	return string(out)
}
