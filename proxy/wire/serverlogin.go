package wire

import (
	"encoding/binary"
	"fmt"
)

// This file has the messages of a login as the client of a server: what weir sends to PostgreSQL, and what it reads there.

// MaxMinor is the newest minor version of protocol 3 that weir speaks.
const MaxMinor = 2

// AppendStartup asks a server for a session of protocol 3.minor.
func AppendStartup(dst []byte, minor uint16, params []Param) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, 0) // the length, below
	dst = binary.BigEndian.AppendUint32(dst, 3<<16|uint32(minor))
	for _, p := range params {
		dst = appendCString(appendCString(dst, p.Name), p.Value)
	}
	dst = append(dst, 0)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}

// AppendPassword answers a question for a password, in clear or hashed with a salt.
func AppendPassword(dst []byte, answer string) []byte {
	dst, at := begin(dst, ClientPassword)
	return end(appendCString(dst, answer), at)
}

// AppendSASLInitialResponse chooses a mechanism, and begins it.
func AppendSASLInitialResponse(dst []byte, mechanism, first string) []byte {
	dst, at := begin(dst, ClientPassword)
	dst = appendCString(dst, mechanism)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(first)))
	return end(append(dst, first...), at)
}

// AppendSASLResponse goes on with a mechanism.
func AppendSASLResponse(dst []byte, data string) []byte {
	dst, at := begin(dst, ClientPassword)
	return end(append(dst, data...), at)
}

// AppendBind binds the parameters, as text, to the unnamed statement, for the unnamed portal. The rows come as text, too.
func AppendBind(dst []byte, params []string) []byte {
	dst, at := begin(dst, ClientBind)
	dst = append(dst, 0, 0, 0, 0) // both names, and no format codes
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(params)))
	for _, p := range params {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(p)))
		dst = append(dst, p...)
	}
	return end(append(dst, 0, 0), at)
}

// AppendBindNames binds a portal to a statement without parameters.
func AppendBindNames(dst []byte, portal, statement string) []byte {
	dst, at := begin(dst, ClientBind)
	dst = appendCString(appendCString(dst, portal), statement)
	return end(append(dst, 0, 0, 0, 0, 0, 0), at)
}

// AppendExecute runs the unnamed portal to its end.
func AppendExecute(dst []byte) []byte { return AppendExecuteOf(dst, "") }

// AppendExecuteOf runs a portal to its end.
func AppendExecuteOf(dst []byte, portal string) []byte {
	dst, at := begin(dst, ClientExecute)
	return end(append(appendCString(dst, portal), 0, 0, 0, 0), at)
}

// AuthKind is what an Authentication message asks for or says (manual, "Message Formats").
type AuthKind uint32

// The kinds that weir answers. Others have names only.
const (
	AuthOk           AuthKind = authOk
	AuthCleartext    AuthKind = authCleartext
	AuthMD5          AuthKind = authMD5
	AuthSASL         AuthKind = authSASL
	AuthSASLContinue AuthKind = authSASLContinue
	AuthSASLFinal    AuthKind = authSASLFinal
)

var authNames = map[AuthKind]string{
	AuthOk: "Ok", 2: "Kerberos V5", AuthCleartext: "password", AuthMD5: "md5", 6: "SCM credentials", 7: "GSSAPI", 8: "GSSAPI's next step",
	9: "SSPI", AuthSASL: "SASL", AuthSASLContinue: "SASL's next step", AuthSASLFinal: "SASL's end",
}

func (k AuthKind) String() string {
	if name, ok := authNames[k]; ok {
		return name
	}
	return fmt.Sprintf("unknown kind %d", uint32(k))
}

// PeekAuthentication returns what an Authentication message asks for, and with which data.
func PeekAuthentication(body []byte) (kind AuthKind, data []byte, err error) {
	if len(body) < 4 {
		return 0, nil, ErrTruncated
	}
	return AuthKind(binary.BigEndian.Uint32(body)), body[4:], nil
}

// PeekBackendKeyData returns what a cancel request needs. The secret has 4 bytes in protocol 3.0, and up to 256 from 3.2 on.
func PeekBackendKeyData(body []byte, minor uint16) (pid uint32, secret []byte, err error) {
	if len(body) < 4 {
		return 0, nil, ErrTruncated
	}
	pid, secret = binary.BigEndian.Uint32(body), body[4:]
	most := cancelSecretMax
	if minor < 2 {
		most = cancelSecretMin
	}
	if len(secret) < cancelSecretMin || len(secret) > most {
		return 0, nil, fmt.Errorf("a cancel key of %d bytes, expected %d to %d in protocol 3.%d", len(secret), cancelSecretMin, most, minor)
	}
	return pid, secret, nil
}

// PeekNegotiateVersion returns the minor version of protocol 3 that a server offers in place of asked, which must be lower. weir asks
// for no option of the protocol, so a server that refuses one is wrong. The rules are libpq's (pqGetNegotiateProtocolVersion3 in
// src/interfaces/libpq/fe-protocol3.c).
func PeekNegotiateVersion(body []byte, asked uint16) (minor uint16, err error) {
	if len(body) < 8 {
		return 0, ErrTruncated
	}
	version, options := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
	if version>>16 != 3 || uint16(version) >= asked {
		return 0, fmt.Errorf("the server offers protocol %d.%d where 3.%d was asked for", version>>16, uint16(version), asked)
	}
	if options != 0 || len(body) != 8 {
		return 0, fmt.Errorf("the server refuses %d options of the protocol, and none was asked for", options)
	}
	return uint16(version), nil
}

// PeekColumns returns the number of columns that a RowDescription announces, or a DataRow has.
func PeekColumns(body []byte) (int, error) {
	if len(body) < 2 {
		return 0, ErrTruncated
	}
	return int(binary.BigEndian.Uint16(body)), nil
}

// PeekRow returns the values of a DataRow, nil for NULL. They are parts of body.
func PeekRow(body []byte) ([][]byte, error) {
	row, rest, err := peekValues(body)
	if err == nil && len(rest) != 0 {
		return nil, ErrTruncated
	}
	return row, err
}

// peekValues returns a count of values, the values, and what follows them.
func peekValues(body []byte) (row [][]byte, rest []byte, err error) {
	n, err := PeekColumns(body)
	if err != nil {
		return nil, nil, err
	}
	rest = body[2:]
	if len(rest) < 4*n {
		return nil, nil, ErrTruncated
	}
	row = make([][]byte, n)
	for i := range row {
		if len(rest) < 4 {
			return nil, nil, ErrTruncated
		}
		size := binary.BigEndian.Uint32(rest)
		rest = rest[4:]
		if size == nullSize {
			continue
		}
		if uint64(size) > uint64(len(rest)) {
			return nil, nil, ErrTruncated
		}
		row[i], rest = rest[:size:size], rest[size:]
	}
	return row, rest, nil
}

// nullSize is the length that stands for NULL: -1.
const nullSize = 1<<32 - 1
