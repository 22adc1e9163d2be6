package certs

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/config"
	"weir/internal/testca"
)

// clock is a test's time.
type clock struct{ now atomic.Int64 }

func (c *clock) time() time.Time { return time.Unix(0, c.now.Load()) }
func (c *clock) pass()           { c.now.Add(int64(lookEvery)) }

// kept is a Keeper of files in a folder, under a clock.
type kept struct {
	*Keeper
	clock
	dir string
	log bytes.Buffer
	ca  *testca.Authority
}

func keep(t *testing.T) *kept {
	t.Helper()
	k := &kept{dir: t.TempDir(), ca: testca.New("ca")}
	k.ca.Write(k.dir, "ca")
	k.ca.Issue(testca.Subject{CN: "first"}).Write(k.dir, "weir")
	var err error
	k.Keeper, err = Open("[client_tls]", k.settings(), slog.New(slog.NewTextHandler(&k.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	k.clock.now.Store(k.looked.Load())
	k.Keeper.now = k.time
	return k
}

func (k *kept) path(name string) string { return filepath.Join(k.dir, name) }

func (k *kept) settings() config.TLS {
	return config.TLS{CertFile: config.Path(k.path("weir.crt")), KeyFile: config.Path(k.path("weir.key")), CAFile: config.Path(k.path("ca.crt"))}
}

func (k *kept) name() string { return k.Current().Identity.Leaf.Subject.CommonName }

func (k *kept) logged(parts ...string) bool {
	for line := range strings.Lines(k.log.String()) {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			return true
		}
	}
	return false
}

func TestChangedFileIsNoticedWithinASecond(t *testing.T) {
	k := keep(t)
	k.ca.Issue(testca.Subject{CN: "second"}).Write(k.dir, "weir")
	if got := k.name(); got != "first" {
		t.Errorf("%s at once: the files were looked at too often", got)
	}
	k.pass()
	if got := k.name(); got != "second" {
		t.Errorf("%s after a second", got)
	}
	if !k.logged("level=INFO", "certificate files read again", "section=[client_tls]", "valid_until=") {
		t.Errorf("logged: %s", k.log.String())
	}
	before := k.Current()
	for range 3 {
		k.pass()
		if k.Current() != before {
			t.Error("files that have not changed were read again")
		}
	}
}

func TestChangedAuthorityIsNoticed(t *testing.T) {
	k := keep(t)
	other := testca.New("other")
	other.Write(k.dir, "ca")
	k.pass()
	if list := k.Current().Authorities; len(list) != 1 || !list[0].Equal(other.Certificate) {
		t.Error("the former authority stays")
	}
}

// TestBrokenFileKeepsTheFormer: half a renewal, or a wrong file, stops nobody, and is repaired without a restart.
func TestBrokenFileKeepsTheFormer(t *testing.T) {
	for name, damage := range map[string]func(k *kept) error{
		"garbage":     func(k *kept) error { return os.WriteFile(k.path("weir.crt"), []byte("oops"), 0o600) },
		"emptied":     func(k *kept) error { return os.Truncate(k.path("weir.key"), 0) },
		"removed":     func(k *kept) error { return os.Remove(k.path("weir.crt")) },
		"other's key": func(k *kept) error { return os.Rename(k.path("other.key"), k.path("weir.key")) },
		"no authority": func(k *kept) error {
			return os.WriteFile(k.path("ca.crt"), nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := keep(t)
			k.ca.Issue(testca.Subject{CN: "other"}).Write(k.dir, "other")
			if err := damage(k); err != nil {
				t.Fatal(err)
			}
			k.pass()
			if got := k.name(); got != "first" {
				t.Errorf("in use is %s", got)
			}
			if !k.logged("level=WARN", "cannot be used; the former stay in use", "section=[client_tls]", "error=") {
				t.Errorf("logged: %s", k.log.String())
			}
			lines := strings.Count(k.log.String(), "\n")
			for range 5 {
				k.pass()
				k.Current()
			}
			if n := strings.Count(k.log.String(), "\n"); n != lines {
				t.Errorf("%d lines more for the same state", n-lines)
			}
			k.ca.Write(k.dir, "ca")
			k.ca.Issue(testca.Subject{CN: "repaired"}).Write(k.dir, "weir")
			k.pass()
			if got := k.name(); got != "repaired" {
				t.Errorf("in use is %s", got)
			}
		})
	}
}

// TestSwappedLinkIsNoticed is how Kubernetes renews what it mounts: a link to a folder is replaced. Sizes and times may agree.
func TestSwappedLinkIsNoticed(t *testing.T) {
	dir, ca := t.TempDir(), testca.New("ca")
	when := time.Now()
	for _, name := range []string{"one", "two"} {
		sub := filepath.Join(dir, name)
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		cert, key := ca.Issue(testca.Subject{CN: name}).Write(sub, "tls")
		for _, file := range []string{cert, key} {
			if err := os.Chtimes(file, when, when); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := func(to string) {
		if err := os.Symlink(to, filepath.Join(dir, "next")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	link("one")
	var now clock
	settings := config.TLS{CertFile: config.Path(filepath.Join(dir, "data/tls.crt")), KeyFile: config.Path(filepath.Join(dir, "data/tls.key"))}
	k, err := Open("x", settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now.now.Store(k.looked.Load())
	k.now = now.time
	link("two")
	now.pass()
	if got := k.Current().Identity.Leaf.Subject.CommonName; got != "two" {
		t.Errorf("in use is %s", got)
	}
}

func TestExpiringCertificateIsLoggedWhenItIsRead(t *testing.T) {
	k := keep(t)
	k.ca.Issue(testca.Subject{CN: "soon", NotAfter: k.time().Add(30 * time.Hour)}).Write(k.dir, "weir")
	k.pass()
	if k.name() != "soon" || !k.logged("level=WARN", "certificate expires within 2 days", "file="+k.path("weir.crt")) {
		t.Errorf("in use is %s; logged: %s", k.name(), k.log.String())
	}
}

func TestKeeperServesManyAtOnce(t *testing.T) {
	k := keep(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				k.pass()
				if k.Current().Identity == nil {
					t.Error("nothing in use")
				}
			}
		})
	}
	for range 20 {
		k.ca.Issue(testca.Subject{CN: "next"}).Write(k.dir, "weir")
	}
	all.Wait()
	k.pass()
	if got := k.name(); got != "next" {
		t.Errorf("in use is %s", got)
	}
}
