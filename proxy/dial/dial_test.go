package dial

import (
	"errors"
	"strings"
	"testing"

	"weir/config"
	"weir/proxy/backend"
	"weir/proxy/hosts"
	"weir/proxy/pgerror"
)

// TestClientsAreToldOfEachServer: of those that were tried before the last one, and of those that were left out, too.
func TestClientsAreToldOfEachServer(t *testing.T) {
	last := &backend.DialError{Target: "c:1", Addr: "c:1", Err: errors.New("connection refused")}
	client := ErrorOf("c:1", &hosts.None{Last: last, Rest: []string{"a:1: gone", "b:1: no route (not tried again yet)"}}).Client
	if client.Code != pgerror.CodeCannotConnect {
		t.Errorf("clients are told %v", client)
	}
	for _, want := range []string{"c:1", "a:1: gone", "b:1: no route (not tried again yet)"} {
		if text := client.Message + client.Detail; strings.Count(text, want) != 1 {
			t.Errorf("%q does not stand once in %q", want, text)
		}
	}
	unsuited := &hosts.Unsuited{Attrs: config.TargetPrimary, Found: []string{"a:1 is a standby"}, Rest: []string{"b:1: gone"}}
	if detail := ErrorOf("a:1", unsuited).Client.Detail; !strings.Contains(detail, "a:1 is a standby, b:1: gone") {
		t.Errorf("of a standby and of one that is gone: %q", detail)
	}
}
