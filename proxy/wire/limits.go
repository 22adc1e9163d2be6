package wire

// Lengths as PostgreSQL bounds them; each counts the length word itself, not the type byte.
const (
	// HeaderLen is the type byte and the int32 length.
	HeaderLen = 5
	// MaxLargeMessage bounds messages that carry a user's data: PQ_LARGE_MESSAGE_LIMIT in PostgreSQL's
	// src/include/libpq/libpq.h, which is MaxAllocSize - 1, 1 GiB - 2 bytes.
	MaxLargeMessage = 1<<30 - 2
	// MaxSmallMessage bounds all others: PQ_SMALL_MESSAGE_LIMIT in the same file.
	MaxSmallMessage = 10_000
	// MaxReported bounds how many parameters a server reports (ParameterStatus). PostgreSQL 18 has 15 of them, and extensions may have
	// their own; each is looked for in a list.
	MaxReported = 256
)

// maxLen holds the limit of each message type that a client may send after login; 0 marks a type that it may not send.
// The split is that of SocketBackend in PostgreSQL's src/backend/tcop/postgres.c.
var maxLen = [256]uint32{
	ClientQuery:        MaxLargeMessage,
	ClientParse:        MaxLargeMessage,
	ClientBind:         MaxLargeMessage,
	ClientFunctionCall: MaxLargeMessage,
	ClientCopyData:     MaxLargeMessage,
	ClientDescribe:     MaxSmallMessage,
	ClientExecute:      MaxSmallMessage,
	ClientClose:        MaxSmallMessage,
	// A Flush with a body is an error that makes the server ignore everything up to a Sync, although a Flush is never
	// answered: no account could tell. A client that sends one is refused.
	ClientFlush:     4,
	ClientSync:      MaxSmallMessage,
	ClientCopyDone:  MaxSmallMessage,
	ClientCopyFail:  MaxSmallMessage,
	ClientTerminate: MaxSmallMessage,
}

// maxServerMessage is what an int32 can say: a single DataRow may take 1 GiB and its overhead.
const maxServerMessage = 1<<31 - 1

// bounds are the least and the greatest length that a message may have.
type bounds struct{ least, most uint32 }

// serverLen holds the bounds of each message type that a server may send after login (manual, "Message Formats"); zeroes mark a
// type that it may not send.
var serverLen = [256]bounds{
	ServerParseComplete:      {4, 4},
	ServerBindComplete:       {4, 4},
	ServerCloseComplete:      {4, 4},
	ServerNoData:             {4, 4},
	ServerPortalSuspended:    {4, 4},
	ServerEmptyQueryResponse: {4, 4},
	ServerCopyDone:           {4, 4},
	ServerReadyForQuery:      {5, 5},
	ServerCommandComplete:    {5, maxServerMessage},
	ServerErrorResponse:      {5, maxServerMessage},
	ServerNoticeResponse:     {5, maxServerMessage},
	ServerParameterStatus:    {6, maxServerMessage},
	ServerNotification:       {10, maxServerMessage},
	ServerRowDescription:     {6, maxServerMessage},
	ServerParameterDesc:      {6, maxServerMessage},
	ServerDataRow:            {6, maxServerMessage},
	ServerFunctionCallResult: {8, maxServerMessage},
	ServerCopyData:           {4, maxServerMessage},
	ServerCopyInResponse:     {7, maxServerMessage},
	ServerCopyOutResponse:    {7, maxServerMessage},
	ServerCopyBothResponse:   {7, maxServerMessage},
}
