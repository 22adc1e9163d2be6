package conversation

import (
	"weir/proxy/session"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// mends are what a client has reset to what its login gave, and the server to what the backend's gave (RESET, SET ... TO DEFAULT). The
// ReadyForQuery after that is withheld until the backend has the client's value: then it is as it is directly, in a transaction, too. What
// the server reports meanwhile is news to the client only if it is still so then.
type mends struct {
	uses []sqlscan.SettingUse
	owed wire.TxStatus // of the ReadyForQuery that is withheld; 0: none
}

// resetsLogin reports whether a command resets something that the client's login gave.
func (s *Server) resetsLogin(u *sqlscan.SettingUse) bool {
	if s.client == nil {
		return false
	}
	login := s.client.Login
	if u.Kind == sqlscan.ResetAll {
		return len(login.Settings()) > 0
	}
	_, has := login.Value(u.Name)
	return has && u.Kind == sqlscan.SetDefault
}

// mendsSoon reports whether something under way resets what the login gave: what comes after it has to wait.
func (s *Server) mendsSoon() bool {
	if len(s.mends.uses) > 0 {
		return true
	}
	for i := s.ledger.head; i < len(s.ledger.entries); i++ {
		for n := range s.ledger.entries[i].uses {
			if s.resetsLogin(&s.ledger.entries[i].uses[n]) {
				return true
			}
		}
	}
	return false
}

// withholdsReady reports whether a ReadyForQuery has to wait until the backend has what the client's login gave.
func (s *Server) withholdsReady(status wire.TxStatus) bool {
	m := &s.mends
	due := len(m.uses) > 0 && s.client != nil && s.account.Settled() && !s.Doubtful() && s.retry.state != retryFailed
	if status == wire.TxIdle {
		due = due && s.set != s.client.Set
	}
	if !due || status == wire.TxFailed {
		m.uses = m.uses[:0]
		return false
	}
	m.owed = status
	return true
}

// Mend is the errand that does so amid a transaction. Outside of one Restore does.
var Mend = &Errand{Name: "mend", text: appendMend, onEnd: hasMended}

func appendMend(s *Server, dst []byte) []byte {
	sql := []byte("SELECT ")
	for _, o := range s.mended() {
		if len(sql) > len("SELECT ") {
			sql = append(sql, ',')
		}
		sql = session.AppendSetConfig(sql, session.Setting{Name: o.Name, Value: o.Value}, o.Local)
	}
	return wire.AppendQueryBytes(dst, sql)
}

// mended are the settings that have to be set, and how.
func (s *Server) mended() (uses []sqlscan.SettingUse) {
	login := s.client.Login
	for _, u := range s.mends.uses {
		if u.Kind != sqlscan.ResetAll {
			value, _ := login.Value(u.Name)
			uses = append(uses, sqlscan.SettingUse{Kind: sqlscan.SetValue, Name: u.Name, Value: value, Local: u.Local})
			continue
		}
		for _, o := range login.Settings() {
			if o.Name != "role" { // which it does not touch
				uses = append(uses, sqlscan.SettingUse{Kind: sqlscan.SetValue, Name: o.Name, Value: o.Value})
			}
		}
	}
	return uses
}

func hasMended(s *Server, status wire.TxStatus, refused bool) Outcome {
	switch {
	case s.client == nil:
		return OutcomeClean
	case refused || status != s.mends.owed:
		return OutcomeBroken
	case status == wire.TxIdle:
		return OutcomeApplied
	}
	for _, u := range s.mended() {
		s.follow.set(u)
	}
	return OutcomeApplied
}

// TakeReady appends the ReadyForQuery that was withheld, if there is one.
func (s *Server) TakeReady(dst []byte) []byte {
	if s.mends.owed != 0 {
		dst = wire.AppendReadyForQuery(dst, s.mends.owed)
	}
	s.mends = mends{uses: s.mends.uses[:0]}
	return dst
}
