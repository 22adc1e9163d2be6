package relay

import (
	"testing"
	"unsafe"
)

// idleBudget is what an idle client may cost weir on the heap, in bytes: itself and its places in the tables that know it. A
// descriptor costs the kernel more. Ten thousand idle clients are 5 MiB then.
const idleBudget = 512

// sizeClass rounds up to what Go's allocator gives (runtime/sizeclasses.go; only the classes that matter here).
func sizeClass(n uintptr) uintptr {
	for _, class := range []uintptr{144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384, 416, 448, 480, 512} {
		if n <= class {
			return class
		}
	}
	return 1024
}

func TestIdleClientFitsItsBudget(t *testing.T) {
	const (
		pointer = unsafe.Sizeof(uintptr(0))
		// Not visible from here: eventloop's slot is a handler (two words), a descriptor, a generation and flags; the pool keeps
		// 24 bytes for each number that ever waited.
		registration = 4 * pointer
		waiter       = 24
	)
	client := unsafe.Sizeof(Client{})
	tables := pointer + // Engine.clients.items
		unsafe.Sizeof(uint32(0)) + // Engine.clients.free, once it has left
		pointer + // Lane.clients.items
		unsafe.Sizeof(uint32(0)) // Lane.clients.free, once it has left
	total := sizeClass(client) + tables + registration + waiter
	t.Logf("Client %d, in all %d bytes", client, total)
	if total > idleBudget {
		t.Errorf("an idle client costs %d bytes (Client alone is %d), want at most %d", total, client, idleBudget)
	}
}
