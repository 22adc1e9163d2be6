// Package console is the admin console: the commands and the SHOWs of PgBouncer, and weir's own, on virtual databases that no server has.
//
// Pure parts: parse.go reads a command, the tables of show_*.go make rows of snapshots (package status), answer.go says what drivers ask
// first, encode.go puts values into the protocol's formats. session.go speaks the protocol, on a goroutine of the session's own: it
// blocks no loop, and what it shows comes by message from the loops. What a command does is the Operator's business, which package proxy
// is.
//
// It may import config (for the settings that SHOW CONFIG has), proxy/logline (for the form of ptr), proxy/pgerror, proxy/status, proxy/wire and pgproto3.
package console
