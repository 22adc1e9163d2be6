package session

import (
	"bytes"
	"strings"

	"weir/proxy/sqlscan"
)

// Pins is a set of reasons why a backend must stay with its client between
// transactions. While it is empty the backend may be handed on. Each pin ends
// with DISCARD ALL, and with the client: a pinned backend is reset or closed
// then, never handed on as it is. What else ends a pin stands beside it, but for
// the rollback of the transaction that made it, which the caller follows.
type Pins uint32

const (
	// PreparedStatement: a named statement was prepared by a Parse message.
	// Ended by DEALLOCATE ALL, or by Close of the last name: the caller counts.
	PreparedStatement Pins = 1 << iota
	// SQLPrepare: PREPARE succeeded. Ended by DEALLOCATE ALL.
	SQLPrepare
	// SettingChanged: SET, RESET or set_config changed a setting in a way that
	// weir cannot carry to another backend. RESET does not end it: it may not
	// have taken back all of it.
	SettingChanged
	// Listen: LISTEN succeeded. UNLISTEN answers alike for one channel and for
	// all, so it does not end it.
	Listen
	// TempObject: a temporary table, view, sequence or function may exist, or
	// the text names pg_temp.
	TempObject
	// AdvisoryLock: a session-level advisory lock may be held; ROLLBACK keeps it.
	AdvisoryLock
	// HeldCursor: DECLARE ... WITH HOLD succeeded. Ended by CLOSE ALL.
	HeldCursor
	// Load: LOAD brought a library into the process. Not even DISCARD ALL takes
	// it out, but what it set is reset then.
	Load
	// Seed: setseed made the numbers of random() predictable. Nothing but the
	// end of the backend undoes it; DISCARD ALL counts as the end, since the
	// client asked for a new session.
	Seed
	// Opaque: DO, CALL, or a text that could not be read with certainty, may
	// have done any of the above.
	Opaque
	// Process: a function left in the server's process what can neither be asked
	// for nor taken back, such as a connection of dblink. Only the end of the
	// backend undoes it.
	Process
)

// pinNames is in the order of the bits. The names are for logs, metrics and the
// console, and so part of weir's interface.
var pinNames = [...]string{
	"prepared statement", "sql prepare", "setting", "listen", "temporary object", "advisory lock",
	"held cursor", "load", "seed", "opaque", "process",
}

// Names are the reasons' names, in the order of their declaration.
func (p Pins) Names() (names []string) {
	for i, name := range pinNames {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String lists the reasons, parted by commas; "none" for the empty set.
func (p Pins) String() string {
	if p == 0 {
		return "none"
	}
	return strings.Join(p.Names(), ", ")
}

// FromTag tells what a statement pins by the tag of its CommandComplete alone,
// and whether it was DISCARD ALL, which ends all pins and leaves the settings of
// the backend's login. Tags say too little (CREATE TEMP TABLE answers CREATE
// TABLE) and sometimes too much (SET LOCAL answers SET): see Combine.
func FromTag(tag []byte) (add Pins, clearAll bool) {
	if len(tag) == 0 {
		return 0, false
	}
	switch tag[0] {
	case 'C':
		if string(tag) == "CALL" {
			return Opaque, false
		}
	case 'D':
		switch string(tag) {
		case "DO":
			return Opaque, false
		case "DISCARD ALL":
			return 0, true
		}
	case 'L':
		switch string(tag) {
		case "LISTEN":
			return Listen, false
		case "LOAD":
			return Load, false
		}
	case 'P':
		if string(tag) == "PREPARE" {
			return SQLPrepare, false
		}
	case 'R':
		if string(tag) == "RESET" {
			return SettingChanged, false
		}
	case 'S':
		if string(tag) == "SET" {
			return SettingChanged, false
		}
	}
	return 0, false
}

// EndedBy tells which pins a statement ends by its tag, besides DISCARD ALL.
// ROLLBACK brings back neither prepared statements nor closed cursors.
func EndedBy(tag []byte) Pins {
	switch string(tag) {
	case "DEALLOCATE ALL":
		return PreparedStatement | SQLPrepare
	case "CLOSE CURSOR ALL":
		return HeldCursor
	}
	return 0
}

// Touched tells which pins a statement that has succeeded may have ended: only
// the server knows whether it was the last such thing.
func Touched(e sqlscan.Effects, tag []byte) (p Pins) {
	switch {
	case bytes.HasPrefix(tag, []byte("DROP ")), bytes.HasPrefix(tag, []byte("DISCARD ")), string(tag) == "COMMIT":
		p = TempObject
	case bytes.HasPrefix(tag, []byte("CLOSE ")):
		p = HeldCursor
	case string(tag) == "UNLISTEN":
		p = Listen
	case bytes.HasPrefix(tag, []byte("DEALLOCATE")):
		p = SQLPrepare
	}
	return p | pick(e, sqlscan.AdvisoryUnlock, AdvisoryLock)
}

// FromEffects tells what a text would pin if all its statements succeeded.
func FromEffects(e sqlscan.Effects) Pins {
	return pick(e, sqlscan.Set|sqlscan.Reset|sqlscan.SetConfig, SettingChanged) |
		pick(e, sqlscan.Listen, Listen) |
		pick(e, sqlscan.Temp, TempObject) |
		pick(e, sqlscan.AdvisoryLock, AdvisoryLock) |
		pick(e, sqlscan.HoldCursor, HeldCursor) |
		pick(e, sqlscan.Prepare, SQLPrepare) |
		pick(e, sqlscan.Load, Load) |
		pick(e, sqlscan.Setseed, Seed) |
		pick(e, sqlscan.Process, Process) |
		pick(e, sqlscan.Do|sqlscan.Call|sqlscan.Opaque, Opaque)
}

func pick(e, of sqlscan.Effects, p Pins) Pins {
	if e&of != 0 {
		return p
	}
	return 0
}

// hidden are the effects that no tag of their own shows.
const hidden = sqlscan.SetConfig | sqlscan.Temp | sqlscan.AdvisoryLock | sqlscan.Setseed | sqlscan.Process | sqlscan.Opaque

// Combine tells what a statement that has succeeded pins, by the effects of the
// text it came with and by its tag. The tag is trusted where it speaks, also
// against the text: a LISTEN that failed has none. e is the effects of the whole
// text, or of several texts, of which this statement may be one of many.
func Combine(e sqlscan.Effects, tag []byte) (add Pins, clearAll bool) {
	add, clearAll = FromTag(tag)
	if clearAll {
		// It runs alone: not in a transaction block, not beside other statements.
		return 0, true
	}
	if add == SettingChanged && tag[0] == 'S' && onlyLocal(e) {
		add = 0
	}
	add |= FromEffects(e & hidden)
	if e&sqlscan.HoldCursor != 0 && bytes.Equal(tag, tagDeclareCursor) {
		add |= HeldCursor
	}
	return add, false
}

var tagDeclareCursor = []byte("DECLARE CURSOR")

// onlyLocal tells whether each SET of a text ends with its transaction. A text
// in which none was found does not explain a SET, so it does not count.
func onlyLocal(e sqlscan.Effects) bool {
	const lasting = sqlscan.Set | sqlscan.Opaque
	const local = sqlscan.SetLocal | sqlscan.SetTransaction
	return e&lasting == 0 && e&local != 0
}

// FromError tells what a text may pin although it ended in an error: what a
// statement did outside its transaction before it failed.
func FromError(e sqlscan.Effects) Pins {
	const lasting = sqlscan.AdvisoryLock | sqlscan.Setseed | sqlscan.Process | sqlscan.Load | sqlscan.Do | sqlscan.Call | sqlscan.Opaque
	return FromEffects(e & lasting)
}
