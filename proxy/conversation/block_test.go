package conversation

import (
	"testing"

	"weir/proxy/session"
	"weir/proxy/wire"
)

// TestRollbackUndoesWhatItsTransactionPinned: each row is a list of commands that have succeeded, Z and a status, and pins by their
// initial: s for a SET, l for an advisory lock.
func TestRollbackUndoesWhatItsTransactionPinned(t *testing.T) {
	const set, lock = session.SettingChanged, session.AdvisoryLock
	type step struct {
		tag  string
		pins session.Pins
	}
	ready := func(s wire.TxStatus) step { return step{tag: "Z" + string(rune(s))} }
	begin := []step{{tag: "BEGIN"}, ready('T')}
	for name, c := range map[string]struct {
		steps []step
		want  session.Pins
		blind bool // what nobody can ask for lasts
	}{
		"rolled back":                   {[]step{{"SET", set}, ready('T'), {"ROLLBACK", 0}, ready('I')}, set, false},
		"a lock stays":                  {[]step{{"SELECT 1", lock}, ready('T'), {"ROLLBACK", 0}, ready('I')}, 0, false},
		"committed":                     {[]step{{"SET", set}, ready('T'), {"COMMIT", 0}, ready('I')}, 0, true},
		"to a savepoint, committed":     {[]step{{"SET", set}, {"ROLLBACK", 0}, ready('T'), {"COMMIT", 0}, ready('I')}, 0, true},
		"failed at its commit":          {[]step{{"SET", set}, ready('E'), {"ROLLBACK", 0}, ready('I')}, set, false},
		"another SET after the end":     {[]step{{"SET", set}, ready('T'), {"ROLLBACK", 0}, {"SET", set}, ready('I')}, 0, true},
		"committed and begun in one go": {[]step{{"SET", set}, {"COMMIT", 0}, {"BEGIN", 0}, ready('T'), {"ROLLBACK", 0}, ready('I')}, 0, true},
		"never known to be a block":     {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var b block
			var undone session.Pins
			var blind bool
			for _, s := range append(append([]step(nil), begin...), c.steps...) {
				if s.tag[0] == 'Z' {
					undone, blind = b.ready(wire.TxStatus(s.tag[1]))
				} else {
					b.command([]byte(s.tag), s.pins)
					b.blind = b.blind || s.tag == "SET"
				}
			}
			if undone != c.want || blind != c.blind {
				t.Errorf("undone %v, want %v; unknown settings last: %v, want %v", undone, c.want, blind, c.blind)
			}
		})
	}
}
