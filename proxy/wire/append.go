package wire

import "encoding/binary"

// The appenders of this file append one whole message to dst and return the longer slice, as append does. They allocate
// only where dst has no room. Strings that travel NUL-terminated are cut at a NUL of their own: such a string could
// otherwise smuggle a field, or a message, past the code that checked it.

// begin writes a message's type byte and leaves room for its length, which end fills in.
func begin(dst []byte, kind byte) (out []byte, at int) {
	return append(dst, kind, 0, 0, 0, 0), len(dst)
}

func end(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-1))
	return dst
}

func appendCString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == 0 {
			s = s[:i]
			break
		}
	}
	dst = append(dst, s...)
	return append(dst, 0)
}

// Sub-types of Authentication messages (manual, "Message Formats").
const (
	authOk           = 0
	authCleartext    = 3
	authMD5          = 5
	authSASL         = 10
	authSASLContinue = 11
	authSASLFinal    = 12
)

func appendAuthentication(dst []byte, subtype uint32, data []byte) []byte {
	dst, at := begin(dst, ServerAuthentication)
	dst = binary.BigEndian.AppendUint32(dst, subtype)
	dst = append(dst, data...)
	return end(dst, at)
}

// AppendAuthenticationOk tells a client that it is who it says.
func AppendAuthenticationOk(dst []byte) []byte { return appendAuthentication(dst, authOk, nil) }

// AppendAuthenticationCleartextPassword asks for the password itself.
func AppendAuthenticationCleartextPassword(dst []byte) []byte {
	return appendAuthentication(dst, authCleartext, nil)
}

// AppendAuthenticationMD5Password asks for the password, hashed with that salt.
func AppendAuthenticationMD5Password(dst []byte, salt [4]byte) []byte {
	return appendAuthentication(dst, authMD5, salt[:])
}

// AppendAuthenticationSASL offers mechanisms, the preferred one first.
func AppendAuthenticationSASL(dst []byte, mechanisms ...string) []byte {
	dst, at := begin(dst, ServerAuthentication)
	dst = binary.BigEndian.AppendUint32(dst, authSASL)
	for _, m := range mechanisms {
		dst = appendCString(dst, m)
	}
	return end(append(dst, 0), at)
}

// AppendAuthenticationSASLContinue carries a mechanism's challenge.
func AppendAuthenticationSASLContinue(dst, data []byte) []byte {
	return appendAuthentication(dst, authSASLContinue, data)
}

// AppendAuthenticationSASLFinal carries a mechanism's outcome.
func AppendAuthenticationSASLFinal(dst, data []byte) []byte {
	return appendAuthentication(dst, authSASLFinal, data)
}

// AppendNegotiateProtocolVersion tells a client the newest protocol that weir speaks, and which of its _pq_. options weir
// does not know.
//
// The manual calls the number the "newest minor protocol version", but PostgreSQL sends major and minor together
// (SendNegotiateProtocolVersion in src/backend/tcop/backend_startup.c), and libpq expects that.
func AppendNegotiateProtocolVersion(dst []byte, minor uint16, unknown []string) []byte {
	dst, at := begin(dst, ServerNegotiateVersion)
	dst = binary.BigEndian.AppendUint32(dst, 3<<16|uint32(minor))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(unknown)))
	for _, name := range unknown {
		dst = appendCString(dst, name)
	}
	return end(dst, at)
}

// AppendParameterStatus tells a client the value of a reported setting.
func AppendParameterStatus(dst []byte, name, value string) []byte {
	dst, at := begin(dst, ServerParameterStatus)
	dst = appendCString(dst, name)
	dst = appendCString(dst, value)
	return end(dst, at)
}

// AppendBackendKeyData gives a client its cancel key. Protocol 3.0 wants a secret of 4 bytes, 3.2 takes up to 256.
func AppendBackendKeyData(dst []byte, pid uint32, secret []byte) []byte {
	dst, at := begin(dst, ServerBackendKeyData)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	dst = append(dst, secret...)
	return end(dst, at)
}

// AppendReadyForQuery tells a client that it may go on, and in which transaction status.
func AppendReadyForQuery(dst []byte, s TxStatus) []byte {
	dst, at := begin(dst, ServerReadyForQuery)
	return end(append(dst, byte(s)), at)
}

// AppendCommandComplete ends a statement's answer with its tag.
func AppendCommandComplete(dst []byte, tag string) []byte {
	dst, at := begin(dst, ServerCommandComplete)
	return end(appendCString(dst, tag), at)
}

// AppendParameterDescription tells a client the parameter types of a statement.
func AppendParameterDescription(dst []byte, types []uint32) []byte {
	dst, at := begin(dst, ServerParameterDesc)
	return end(appendTypes(dst, types), at)
}

func appendTypes(dst []byte, types []uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(types)))
	for _, t := range types {
		dst = binary.BigEndian.AppendUint32(dst, t)
	}
	return dst
}

// AppendQuery sends a server one simple query.
func AppendQuery(dst []byte, sql string) []byte {
	dst, at := begin(dst, ClientQuery)
	return end(appendCString(dst, sql), at)
}

// AppendQueryBytes is AppendQuery for a text that is no string.
func AppendQueryBytes(dst, sql []byte) []byte {
	dst, at := begin(dst, ClientQuery)
	return end(append(append(dst, sql...), 0), at)
}

// AppendParseBody is AppendParse with what stands after the name as it is.
func AppendParseBody(dst []byte, name string, body []byte) []byte {
	dst, at := begin(dst, ClientParse)
	dst = appendCString(dst, name)
	return end(append(dst, body...), at)
}

// BeginParse begins a Parse of the unnamed statement, whose text, without a NUL in it, is to be appended before EndParse.
func BeginParse(dst []byte) (out []byte, at int) {
	dst, at = begin(dst, ClientParse)
	return append(dst, 0), at
}

// EndParse ends what BeginParse has begun at that place.
func EndParse(dst []byte, at int) []byte { return end(append(dst, 0, 0, 0), at) }

// AppendParse prepares a statement. types are those of its first parameters; 0 leaves one to the server.
func AppendParse(dst []byte, name, sql string, types []uint32) []byte {
	dst, at := begin(dst, ClientParse)
	dst = appendCString(appendCString(dst, name), sql)
	return end(appendTypes(dst, types), at)
}

// AppendDescribe asks for the description of a statement, of kind 'S', or of a portal, 'P'.
func AppendDescribe(dst []byte, kind byte, name string) []byte {
	dst, at := begin(dst, ClientDescribe)
	return end(appendCString(append(dst, kind), name), at)
}

// AppendClose closes a statement, of kind 'S', or a portal, 'P'.
func AppendClose(dst []byte, kind byte, name string) []byte {
	dst, at := begin(dst, ClientClose)
	return end(appendCString(append(dst, kind), name), at)
}

// AppendSync ends a batch of extended-protocol messages.
func AppendSync(dst []byte) []byte {
	dst, at := begin(dst, ClientSync)
	return end(dst, at)
}

// AppendFlush appends a Flush.
func AppendFlush(dst []byte) []byte {
	dst, at := begin(dst, ClientFlush)
	return end(dst, at)
}

// AppendTerminate tells a server that the connection ends in good order.
func AppendTerminate(dst []byte) []byte {
	dst, at := begin(dst, ClientTerminate)
	return end(dst, at)
}

// AppendSSLRequest is what comes before TLS.
func AppendSSLRequest(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, 8)
	return binary.BigEndian.AppendUint32(dst, sslRequestCode)
}

// AppendCancelRequest is the whole of what a cancel connection sends.
func AppendCancelRequest(dst []byte, pid uint32, secret []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(12+len(secret)))
	dst = binary.BigEndian.AppendUint32(dst, cancelRequestCode)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return append(dst, secret...)
}
