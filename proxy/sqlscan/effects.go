// Package sqlscan reads SQL text just closely enough to tell what it may do to
// a session: a lexer, not a parser, because only the lexical structure decides
// whether a word is a word or part of a string, a name or a comment.
//
// It answers with Effects, never with syntax. A false alarm pins a backend for
// longer than need be; a miss leaks one client's state to another. So in doubt
// an effect is reported, and text that cannot be read with certainty is Opaque:
// unknown never means clean. What functions, procedures and views do shows in
// no text, and this package cannot see it.
//
// The package is pure and allocation-free: no net, os, sync or log/slog, no
// clock. A Scanner belongs to the loop that feeds it; Scan may be called on any
// goroutine.
package sqlscan

import "strings"

// Effects is the set of things that a text may do to its session. The zero
// value says that the text leaves no trace that its transaction does not take
// along.
type Effects uint32

// The effects. A text may hold several statements; their order is not kept.
const (
	// Set is SET and SET SESSION of anything but the transaction: also SET ROLE,
	// SET SESSION AUTHORIZATION, SET TIME ZONE, SET NAMES and SET SESSION
	// CHARACTERISTICS. It is undone with its (sub)transaction.
	Set Effects = 1 << iota
	// SetLocal is SET LOCAL: it ends with the transaction.
	SetLocal
	// SetTransaction is SET TRANSACTION and SET CONSTRAINTS: they end with the
	// transaction. Kept apart because SET TRANSACTION answers with the tag SET.
	SetTransaction
	// Reset is RESET name and RESET ALL.
	Reset
	// SetConfig is a call of set_config that is not surely transaction-local.
	SetConfig
	// SetConfigLocal is a call of set_config whose third argument is the plain
	// word true: it ends with the transaction.
	SetConfigLocal
	// Temp is CREATE TEMP anything, INTO TEMP, and any mention of pg_temp.
	Temp
	// AdvisoryLock is a mention of a function that takes a session-level
	// advisory lock; it survives ROLLBACK.
	AdvisoryLock
	// AdvisoryUnlock is a mention of a function that releases such locks.
	AdvisoryUnlock
	// HoldCursor is DECLARE ... WITH HOLD.
	HoldCursor
	Listen     // LISTEN
	Unlisten   // UNLISTEN name or *
	Prepare    // PREPARE name, not PREPARE TRANSACTION
	Deallocate // DEALLOCATE name or ALL
	// Execute is EXECUTE name: as a statement, in EXPLAIN, in CREATE TABLE AS.
	// It may also be the word execute elsewhere in a statement that begins with
	// EXPLAIN or CREATE.
	Execute
	Discard // DISCARD ALL, PLANS, SEQUENCES, TEMP
	Load    // LOAD of a library
	Do      // DO: the body may do anything
	Call    // CALL: the procedure may do anything
	Setseed // setseed: the seed of random() outlives the transaction, and its rollback
	// TransactionBlock is BEGIN and START TRANSACTION.
	TransactionBlock
	// Databases is CREATE, ALTER and DROP DATABASE. It leaves nothing to the
	// session, but other sessions may be in its way.
	Databases
	// Sequences is a mention of currval or lastval: what they give is the session's.
	// It leaves nothing.
	Sequences
	// Notify is NOTIFY, and any mention of pg_notify and pg_listening_channels.
	// It leaves nothing to the session, but a session that listens sees what
	// comes of it.
	Notify
	// Opaque is text that could not be read with certainty (an unterminated
	// quote or comment, U&"names", dollar quotes whose tag is not ASCII, bytes
	// above 0x7f in an encoding that is not known) or that calls a function of
	// PostgreSQL's own that runs other text or leaves state of a rare kind, or
	// updates pg_settings.
	// Anything may have happened.
	Opaque
	// Process is a mention of a function that leaves in the server's process what
	// outlives the transaction, cannot be asked for and is not taken back by
	// DISCARD ALL: connections of dblink, a backup that has begun, a replication
	// origin, temporary replication slots.
	Process
	// Creates is a statement with CREATE, or with INTO that names a new table, and nothing temporary. It leaves nothing to the session, but
	// other texts may refer to what it has made, and the command's tag may be that of a query.
	Creates
)

// effectNames is in the order of the bits.
var effectNames = [...]string{
	"Set", "SetLocal", "SetTransaction", "Reset", "SetConfig", "SetConfigLocal", "Temp",
	"AdvisoryLock", "AdvisoryUnlock", "HoldCursor", "Listen", "Unlisten", "Prepare", "Deallocate", "Execute",
	"Discard", "Load", "Do", "Call", "Setseed", "TransactionBlock", "Databases", "Sequences", "Notify", "Opaque", "Process", "Creates",
}

// String lists the effects in the order of their declaration, parted by
// spaces; "none" for the empty set. It allocates: for logs and tests.
func (e Effects) String() string {
	if e == 0 {
		return "none"
	}
	var names []string
	for i, name := range effectNames {
		if e&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
