// Package wire knows the bytes of PostgreSQL's frontend/backend protocol 3: message types, lengths, the few fields that a
// pooler must look at, and how to write the messages that weir sends itself. It reads messages in place and appends to the
// caller's buffers; nothing here allocates on the data path, blocks, or knows what a client or a pool is.
//
// Everything is a pure function of its arguments and may be called on any goroutine. It may import proxy/pgerror and the
// standard library only.
package wire
