package pgerror

import (
	"strings"
	"testing"
	"time"
)

func TestNoBackendSaysWhoHoldsAndWhichSettingBounds(t *testing.T) {
	e := NoBackend(Wait{
		After: 2 * time.Minute, Pool: "shop/app", Leased: 20, Longest: 47 * time.Second, Holder: "nightly report",
		Setting: "pool_size", Value: 20, Section: "databases.shop",
	})
	if want := "no backend became free within 2m0s"; e.Message != want {
		t.Errorf("message %q, want %q", e.Message, want)
	}
	if want := `All 20 backends of pool shop/app are leased, the longest for 47s by "nightly report".`; e.Detail != want {
		t.Errorf("detail %q, want %q", e.Detail, want)
	}
	if want := "Raise pool_size (20, set in [databases.shop]), or see weir_transaction_seconds and weir_backends_pinned for what holds them."; e.Hint != want {
		t.Errorf("hint %q, want %q", e.Hint, want)
	}
}

func TestWaitDetailFitsTheNumberOfBackends(t *testing.T) {
	for _, c := range []struct {
		w    Wait
		want string
	}{
		{Wait{Pool: "a/b"}, "Pool a/b has no backend."},
		{Wait{Pool: "a/b", Dialing: 2}, "Pool a/b has no backend; 2 more are being connected to."},
		{Wait{Pool: "a/b", Leased: 1, Longest: 3 * time.Second}, "The only backend of pool a/b is leased for 3s."},
		{Wait{Pool: "a/b", Leased: 2, Holder: "never shown without a time"}, "All 2 backends of pool a/b are leased."},
	} {
		if got := NoBackend(c.w).Detail; got != c.want {
			t.Errorf("detail %q, want %q", got, c.want)
		}
	}
}

func TestUnknownDatabaseQuotesTheSectionAsTOMLDoes(t *testing.T) {
	for name, want := range map[string]string{
		"shop": "[databases.shop]", "my shop": `[databases."my shop"]`, "": `[databases.""]`, `a"b`: `[databases."a\"b"]`,
	} {
		if e := UnknownDatabase(name); !strings.Contains(e.Hint, want) {
			t.Errorf("hint for %q is %q, want %s in it", name, e.Hint, want)
		}
	}
}

func TestWithSeverityLeavesTheSharedErrorAlone(t *testing.T) {
	ended := Canceled.WithSeverity(SeverityFatal)
	if !ended.Fatal() || ended.Message != Canceled.Message {
		t.Errorf("copy is %+v", ended)
	}
	if Canceled.Fatal() {
		t.Error("the shared error itself was changed")
	}
	if same := Canceled.WithSeverity(SeverityError); same != Canceled {
		t.Error("a copy was made although nothing differs")
	}
}

func TestForeignTextEndsInOneFullStop(t *testing.T) {
	for text, want := range map[string]string{
		"connection refused":                  "The last attempt said: connection refused.",
		"the database system is starting up.": "The last attempt said: the database system is starting up.",
	} {
		if got := Unreachable("db:5432", text).Detail; got != want {
			t.Errorf("detail %q, want %q", got, want)
		}
	}
}
