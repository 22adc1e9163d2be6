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
	}{
		"rolled back":                   {[]step{{"SET", set}, ready('T'), {"ROLLBACK", 0}, ready('I')}, set},
		"a lock stays":                  {[]step{{"SELECT 1", lock}, ready('T'), {"ROLLBACK", 0}, ready('I')}, 0},
		"committed":                     {[]step{{"SET", set}, ready('T'), {"COMMIT", 0}, ready('I')}, 0},
		"to a savepoint, committed":     {[]step{{"SET", set}, {"ROLLBACK", 0}, ready('T'), {"COMMIT", 0}, ready('I')}, 0},
		"failed at its commit":          {[]step{{"SET", set}, ready('E'), {"ROLLBACK", 0}, ready('I')}, set},
		"another SET after the end":     {[]step{{"SET", set}, ready('T'), {"ROLLBACK", 0}, {"SET", set}, ready('I')}, 0},
		"committed and begun in one go": {[]step{{"SET", set}, {"COMMIT", 0}, {"BEGIN", 0}, ready('T'), {"ROLLBACK", 0}, ready('I')}, 0},
		"never known to be a block":     {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var b block
			var undone session.Pins
			for _, s := range append(append([]step(nil), begin...), c.steps...) {
				if s.tag[0] == 'Z' {
					undone = b.ready(wire.TxStatus(s.tag[1]))
				} else {
					b.command([]byte(s.tag), s.pins)
				}
			}
			if undone != c.want {
				t.Errorf("undone %v, want %v", undone, c.want)
			}
		})
	}
}
