// Package certs keeps the certificates, keys and authorities that [client_tls] and [server_tls] name: it reads the files, and
// reads them again when they have changed, so that a renewed certificate needs no restart.
//
// Files are looked at when a handshake asks for what they hold, at most once a second. What cannot be read leaves the former in
// use. Everything is safe for concurrent use; nothing runs by itself. The package may import config.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"weir/config"
)

// lookEvery bounds how often the files are looked at; a stat of three files costs as much as a small part of a handshake.
const lookEvery = time.Second

// Material is what the files of one place in the configuration hold. It does not change: other files make another one.
type Material struct {
	Identity    *tls.Certificate    // nil: none is configured
	Roots       *x509.CertPool      // nil: none are configured
	Authorities []*x509.Certificate // those in Roots; empty where they are the system's
}

// Keeper keeps one Material.
type Keeper struct {
	where    string // in the configuration, for the log
	settings config.TLS
	log      *slog.Logger
	now      func() time.Time // a test's clock

	current atomic.Pointer[Material]
	looked  atomic.Int64 // when the files were looked at, Unix nanoseconds

	mu    sync.Mutex
	tried [3]stamp // the state of the files when they were last read, with whatever success
}

// stamp tells one state of a file from another. Kubernetes swaps a link, so that only the inode is sure to differ.
type stamp struct {
	info fs.FileInfo
	err  bool
}

func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil && s.err == o.err
	}
	return os.SameFile(s.info, o.info) && s.info.ModTime().Equal(o.info.ModTime()) && s.info.Size() == o.info.Size()
}

// Open reads the files of a section of the configuration, which where names.
func Open(where string, settings config.TLS, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{where: where, settings: settings, log: log, now: time.Now}
	k.tried = k.stamps()
	k.looked.Store(k.now().UnixNano())
	m, err := k.read()
	if err != nil {
		return nil, err
	}
	k.current.Store(m)
	return k, nil
}

// Current is what the files hold, as of the last second.
func (k *Keeper) Current() *Material {
	now := k.now().UnixNano()
	if looked := k.looked.Load(); now-looked >= int64(lookEvery) && k.looked.CompareAndSwap(looked, now) {
		k.look() // on one goroutine; the others go on with what there is
	}
	return k.current.Load()
}

// look reads the files if they have changed since they were last read.
func (k *Keeper) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	stamps := k.stamps()
	changed := false
	for i, s := range stamps {
		changed = changed || !s.same(k.tried[i])
	}
	if !changed {
		return
	}
	k.tried = stamps
	m, err := k.read()
	if err != nil {
		k.log.Warn("certificate files have changed and cannot be used; the former stay in use", "section", k.where, "error", err)
		return
	}
	k.current.Store(m)
	k.log.Info("certificate files read again", "section", k.where, "valid_until", m.validUntil())
}

// stamps come before the reading: a file that changes between the two is read once more, rather than never.
func (k *Keeper) stamps() [3]stamp {
	var all [3]stamp
	for i, name := range [...]config.Path{k.settings.CertFile, k.settings.KeyFile, k.settings.CAFile} {
		if name == "" || name == config.SystemRoots {
			continue
		}
		info, err := os.Stat(string(name))
		all[i] = stamp{info: info, err: err != nil && !errors.Is(err, fs.ErrNotExist)}
	}
	return all
}

func (k *Keeper) read() (*Material, error) {
	m := new(Material)
	var err error
	if m.Identity, err = k.settings.Identity(); err != nil {
		return nil, err
	}
	if m.Roots, m.Authorities, err = k.settings.Authorities(); err != nil {
		return nil, err
	}
	if until := m.validUntil(); until != "" {
		if problem := config.ExpiryProblem(m.Identity.Leaf.NotAfter, k.now()); problem != "" {
			k.log.Warn("certificate "+problem, "section", k.where, "file", string(k.settings.CertFile))
		}
	}
	return m, nil
}

// Expiry is how long a certificate is valid that weir shows to others.
type Expiry struct {
	Section string // of the configuration that names it
	File    string
	Until   time.Time
}

// expiries are those of the certificates that there are at these places.
func expiries(places []*Keeper) (all []Expiry) {
	for _, k := range places {
		if m := k.Current(); m.Identity != nil {
			all = append(all, Expiry{k.where, string(k.settings.CertFile), m.Identity.Leaf.NotAfter})
		}
	}
	return all
}

func (m *Material) validUntil() string {
	if m.Identity == nil {
		return ""
	}
	return m.Identity.Leaf.NotAfter.UTC().Format(time.RFC3339)
}
