// Package tunnel keeps a client and a backend together for as long as both last: what one of them sends the other gets. It looks
// at no message but for where it ends and whether it is too long, and knows no transaction and no pool. It is for replication: a stream of COPY BOTH has no
// end at which the backend could go to another client, and a physical one speaks no SQL.
//
// A tunnel belongs to one loop. It may import proxy/eventloop, proxy/socket and proxy/wire.
package tunnel
