package pgerror

// The SQLSTATEs that weir sends, and why this one. The first two characters are the class (manual, "PostgreSQL Error Codes").
const (
	// CodeSuccess is that of notices that only inform.
	CodeSuccess = "00000"
	// CodeWarning is that of a notice that warns.
	CodeWarning = "01000"
	// CodeCannotConnect: weir, as a client of the server, could not establish a connection. Drivers may retry it.
	CodeCannotConnect = "08001"
	// CodeConnectionFailure: an established connection to the server broke. Whether a COMMIT under way was carried out is
	// not known, so nothing may retry it blindly; that is what class 08 tells drivers.
	CodeConnectionFailure = "08006"
	// CodeProtocolViolation: the client's bytes are not what the protocol allows. A driver's bug or no PostgreSQL client.
	CodeProtocolViolation = "08P01"
	// CodeNotSupported: correct, but weir (or PostgreSQL, for old protocols) does not do it.
	CodeNotSupported = "0A000"
	// CodeInvalidValue: a parameter has a value outside of its domain.
	CodeInvalidValue = "22023"
	// CodeIdleTransactionTimeout: PostgreSQL's own code for idle_in_transaction_session_timeout.
	CodeIdleTransactionTimeout = "25P03"
	// CodeTransactionTimeout: PostgreSQL's own code (from 17) for transaction_timeout.
	CodeTransactionTimeout = "25P04"
	// CodeInvalidAuthorization: who wants in was not said, or in no way that could be checked.
	CodeInvalidAuthorization = "28000"
	// CodeInvalidPassword: the password is wrong, or there is no such user: deliberately one code for both.
	CodeInvalidPassword = "28P01"
	// CodeUnknownDatabase: the database is not one of weir's. Sent to authenticated clients only.
	CodeUnknownDatabase = "3D000"
	// CodeSyntaxError: PostgreSQL answers bad switches in the startup parameter "options" with it.
	CodeSyntaxError = "42601"
	// CodeNameTooLong: a name is longer than can be dealt with. PostgreSQL cuts those of portals without a word.
	CodeNameTooLong = "42622"
	// CodeUnknownSetting: what PostgreSQL answers for a setting that does not exist.
	CodeUnknownSetting = "42704"
	// CodeTooManyConnections: a bound on clients or backends was hit. PostgreSQL uses it for max_connections, and drivers
	// and retry policies already know it as "busy, try later".
	CodeTooManyConnections = "53300"
	// CodeConfigurationLimit is configuration_limit_exceeded.
	CodeConfigurationLimit = "53400"
	// CodeProgramLimit is program_limit_exceeded: what PostgreSQL answers for what is too large.
	CodeProgramLimit = "54000"
	// CodeNotInPrerequisiteState: what PostgreSQL answers for currval and lastval in a session that has drawn no value.
	CodeNotInPrerequisiteState = "55000"
	// CodeQueryCanceled: a statement, or a login, was ended on request or because its time was up.
	CodeQueryCanceled = "57014"
	// CodeAdminShutdown: weir ends the connection on its operator's behalf. Poolers in applications reconnect on it.
	CodeAdminShutdown = "57P01"
	// CodeCannotConnectNow: not now, but soon: starting up or shutting down. libpq and drivers try the next host.
	CodeCannotConnectNow = "57P03"
	// CodeUnknownStatement, CodeUnknownCursor and CodeDuplicateStatement are PostgreSQL's for names of the extended protocol.
	CodeUnknownStatement   = "26000"
	CodeUnknownCursor      = "34000"
	CodeDuplicateStatement = "42P05"
	// CodeConfigFile is config_file_error, PgBouncer's code for a RELOAD that fails.
	CodeConfigFile = "F0000"
	// CodeIdleSessionTimeout: PostgreSQL's own code for idle_session_timeout.
	CodeIdleSessionTimeout = "57P05"
)
