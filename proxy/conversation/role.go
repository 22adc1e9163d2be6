package conversation

// hotStandby is the parameter with which servers say whether they are a standby, since PostgreSQL 14.
const hotStandby = "in_hot_standby"

// refusesWrites is the SQLSTATE read_only_sql_transaction.
const refusesWrites = "25006"

// roleNews is what a server has shown of its role since it was last asked after.
type roleNews struct {
	changed bool // it has reported another one
	denied  bool // it has refused to write (25006)
}

// Standby reports whether the backend's server is a standby. known is false if the server does not say.
func (s *Server) Standby() (standby, known bool) {
	value, known := valueOf(s.params, hotStandby)
	return value == "on", known
}

// HasRoleNews reports whether RoleNews has any.
func (s *Server) HasRoleNews() bool { return s.role != roleNews{} }

// RoleNews reports, once, what the server has shown of its role: that it has changed, that it refused to write.
func (s *Server) RoleNews() (changed, denied bool) {
	n := s.role
	s.role = roleNews{}
	return n.changed, n.denied
}
