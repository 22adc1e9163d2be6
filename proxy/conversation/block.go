package conversation

import (
	"strings"

	"weir/proxy/session"
	"weir/proxy/wire"
)

// block follows what a transaction has pinned that its rollback undoes. ROLLBACK and ROLLBACK TO answer alike, so the pins are undone
// only where the transaction is over and nothing but a rollback can have ended it.
type block struct {
	opened     bool         // the last ReadyForQuery was within it
	added      session.Pins // since it began
	committed  bool         // part of that may have been made to last
	rolledBack bool         // the last of its commands was a ROLLBACK
	blind      bool         // a setting may have been changed that nobody can ask for: see question
}

// undoable are the pins that end with the transaction that made them, if that is rolled back: settings, LISTEN, temporary objects and
// cursors are transactional, locks and prepared statements are not.
const undoable = session.SettingChanged | session.Listen | session.TempObject | session.HeldCursor

// command takes note of a command that has succeeded and of what it has pinned.
func (b *block) command(tag []byte, pinned session.Pins) {
	switch t := string(tag); {
	case t == "ROLLBACK":
		b.rolledBack = true
	case t == "COMMIT" || t == "BEGIN" || strings.HasPrefix(t, "PREPARE TRANSACTION") || t == "START TRANSACTION":
		b.committed = b.committed || b.opened && t != "BEGIN" && t != "START TRANSACTION" || b.rolledBack
		b.rolledBack = false
	default:
		b.rolledBack = false
	}
	b.added |= pinned
}

// ready takes note of a ReadyForQuery and returns the pins that are undone, and whether settings last that nobody can ask for.
func (b *block) ready(status wire.TxStatus) (undone session.Pins, blind bool) {
	if status != wire.TxIdle {
		b.opened = true
		return 0, false
	}
	if b.opened && b.rolledBack && !b.committed {
		undone = b.added & undoable
	} else {
		blind = b.blind
	}
	*b = block{}
	return undone, blind
}
