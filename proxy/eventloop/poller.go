package eventloop

// poller is what a platform owes to the loop; poller_epoll.go and poller_kqueue.go hold one each. The loop's goroutine calls all of it
// but wake.
//
//   - newPoller makes one that already watches its own wake-up descriptor.
//   - add watches fd for readability, hang-up and errors, edge-triggered, and reports id with each event.
//   - addShared is add for a descriptor that other pollers watch as well; if the kernel can, it wakes one of them only.
//   - remove ends the watch of a descriptor that stays open.
//   - watch says for which of readability and writability fd is watched from now on; it is reported at once if it is ready now for what it
//     was not watched for before. Hang-up and errors are watched for in any case.
//   - fine is whether wait can sleep for less than a millisecond, and watch can leave out readability.
//   - wait fills events and returns how many; it sleeps up to timeout while there are none (negative: until one comes). A
//     wake-up counts as no event. announce tells Go's scheduler that it may sleep for long; where that cannot be chosen it is
//     always told.
//   - wakeInTime has the kernel wake the calling thread, which is to be the loop's for good, as soon as a timeout is over.
//   - wake ends a wait, now or the next one; any goroutine may call it.
//   - Closing a descriptor ends its watch: both kernels do that by themselves as long as it was not duplicated.
type readiness struct {
	id    uint64
	event Event
}

// Event is a set of what became possible on a descriptor.
type Event uint8

// The members of Event.
const (
	Readable Event = 1 << iota // there may be bytes, or the end of them
	Writable                   // a parked write may go on
	HangUp                     // the peer will send no more (its FIN came), or the connection is broken
	Broken                     // nothing goes either way any more: the peer has reset the connection, or both have ended it
)

// eventsPerPoll bounds how much one poll returns, and with it how long a new event can wait for a batch.
const eventsPerPoll = 256
