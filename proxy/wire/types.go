package wire

// Type bytes of messages that a client sends (manual, "Message Formats"). The sender is part of the name, because the two
// directions use the same letters for different messages.
const (
	ClientQuery        = 'Q'
	ClientParse        = 'P'
	ClientBind         = 'B'
	ClientDescribe     = 'D'
	ClientExecute      = 'E'
	ClientClose        = 'C'
	ClientFlush        = 'H'
	ClientSync         = 'S'
	ClientFunctionCall = 'F'
	ClientCopyData     = 'd'
	ClientCopyDone     = 'c'
	ClientCopyFail     = 'f'
	ClientTerminate    = 'X'
	ClientPassword     = 'p' // also SASLInitialResponse and SASLResponse
)

// Type bytes of messages that a server sends.
const (
	ServerAuthentication     = 'R'
	ServerBackendKeyData     = 'K'
	ServerBindComplete       = '2'
	ServerCloseComplete      = '3'
	ServerCommandComplete    = 'C'
	ServerCopyData           = 'd'
	ServerCopyDone           = 'c'
	ServerCopyInResponse     = 'G'
	ServerCopyOutResponse    = 'H'
	ServerCopyBothResponse   = 'W'
	ServerDataRow            = 'D'
	ServerEmptyQueryResponse = 'I'
	ServerErrorResponse      = 'E'
	ServerFunctionCallResult = 'V'
	ServerNegotiateVersion   = 'v'
	ServerNoData             = 'n'
	ServerNoticeResponse     = 'N'
	ServerNotification       = 'A'
	ServerParameterDesc      = 't'
	ServerParameterStatus    = 'S'
	ServerParseComplete      = '1'
	ServerPortalSuspended    = 's'
	ServerReadyForQuery      = 'Z'
	ServerRowDescription     = 'T'
)

// TxStatus is the transaction status that ReadyForQuery carries.
type TxStatus byte

// The three values of TxStatus.
const (
	TxIdle   TxStatus = 'I' // not in a transaction block
	TxActive TxStatus = 'T' // in a transaction block
	TxFailed TxStatus = 'E' // in a failed transaction block: only ROLLBACK is taken
)

func (s TxStatus) String() string {
	switch s {
	case TxIdle:
		return "idle"
	case TxActive:
		return "in transaction"
	case TxFailed:
		return "in failed transaction"
	}
	return "unknown"
}

// Valid reports whether s is one of the three values that the protocol knows.
func (s TxStatus) Valid() bool { return s == TxIdle || s == TxActive || s == TxFailed }
