package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers itself
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // the same
)

// staging is a folder of files that are not shipped as they stand in the source.
type staging string

// packages writes a .deb and a .rpm of each program.
func (r release) packages(t target, programs string) error {
	for _, format := range []string{"deb", "rpm"} {
		pooler, err := r.pooler(format, staging(programs))
		if err != nil {
			return err
		}
		shop, err := r.shop(staging(programs))
		if err != nil {
			return err
		}
		for _, info := range []*nfpm.Info{pooler, shop} {
			info.Arch = t.processor
			if err := r.write(format, info); err != nil {
				return fmt.Errorf("%s of %s: %w", format, info.Name, err)
			}
		}
	}
	return nil
}

// common is what both packages say of themselves.
func (r release) common(name, description string) *nfpm.Info {
	return &nfpm.Info{
		Name: name, Description: description, Version: r.version, VersionSchema: "none", Release: "1", Platform: "linux",
		Section: "database", Priority: "optional", License: "MIT", Maintainer: "the weir authors <weir@localhost>", MTime: r.made,
		Overridables: nfpm.Overridables{
			// The rest is what rpm would take from the machine.
			RPM: nfpm.RPM{BuildHost: "localhost", Group: "Applications/Databases", Summary: strings.SplitN(description, "\n", 2)[0]},
		},
	}
}

// pooler is the package weir.
func (r release) pooler(format string, s staging) (*nfpm.Info, error) {
	info := r.common("weir", "connection-pooling proxy in front of PostgreSQL\n"+
		"Thousands of client sessions in, a small, bounded set of backends out. Session state\n"+
		"follows its client in transaction pooling; waiting explains itself.")
	unit, err := s.edit("deploy/systemd/weir.service", "weir.service",
		"/usr/local/bin/weir", "/usr/bin/weir",
		"Documentation=", "Documentation=man:weir(1) man:weir.toml(5) ",
		"# weir as a service. Copy to /etc/systemd/system, the program to /usr/local/bin, the configuration to /etc/weir, readable\n"+
			"# for group weir (deploy/systemd/sysusers.conf makes the account), then: systemctl enable --now weir\n",
		"# weir as a service. What is to be different belongs into a file of its own: systemctl edit weir\n")
	if err != nil {
		return nil, err
	}
	socket, err := s.edit("deploy/systemd/weir.socket", "weir.socket",
		"Copy to /etc/systemd/system, then: systemctl enable --now weir.socket", "Other addresses: systemctl edit weir.socket;\n# then: systemctl stop weir && systemctl enable --now weir.socket weir")
	if err != nil {
		return nil, err
	}
	command, err := s.packed("deploy/man/weir.1")
	if err != nil {
		return nil, err
	}
	file, err := s.packed("deploy/man/weir.toml.5")
	if err != nil {
		return nil, err
	}
	info.Contents = files.Contents{
		r.file(s.path("weir"), "/usr/bin/weir", 0o755),
		{
			Source: "deploy/weir.toml", Destination: "/etc/weir/weir.toml", Type: files.TypeConfigNoReplace,
			FileInfo: &files.ContentFileInfo{Mode: 0o640, Group: "weir", MTime: r.made},
		},
		{Destination: "/etc/weir", Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: 0o750, Group: "weir", MTime: r.made}},
		r.file(unit, "/usr/lib/systemd/system/weir.service", 0o644),
		r.file(socket, "/usr/lib/systemd/system/weir.socket", 0o644),
		r.file(command, "/usr/share/man/man1/weir.1.gz", 0o644),
		r.file(file, "/usr/share/man/man5/weir.toml.5.gz", 0o644),
		r.file("LICENSE", "/usr/share/doc/weir/copyright", 0o644),
	}
	scripts := "deploy/packages/" + format + "/"
	if format == "deb" {
		info.Depends = []string{"init-system-helpers (>= 1.54~)"}
		info.Deb.Predepends = []string{"passwd"}
		info.Scripts = nfpm.Scripts{PreInstall: scripts + "preinst", PostInstall: scripts + "postinst", PreRemove: scripts + "prerm", PostRemove: scripts + "postrm"}
		return info, nil
	}
	info.Depends = []string{"shadow-utils", "systemd"}
	info.Scripts = nfpm.Scripts{PreInstall: scripts + "pre", PostInstall: scripts + "post", PreRemove: scripts + "preun", PostRemove: scripts + "postun"}
	return info, nil
}

// shop is the package weir-bookstore: the demonstration is no part of a pooler in production.
func (r release) shop(s staging) (*nfpm.Info, error) {
	info := r.common("weir-bookstore", "book shop on PostgreSQL, weir's demo application\n"+
		"Serves a small shop, puts load on it, and compares PostgreSQL used directly and through weir.")
	command, err := s.packed("deploy/man/bookstore.1")
	if err != nil {
		return nil, err
	}
	info.Contents = files.Contents{
		r.file(s.path("bookstore"), "/usr/bin/bookstore", 0o755),
		r.file(command, "/usr/share/man/man1/bookstore.1.gz", 0o644),
		r.file("LICENSE", "/usr/share/doc/weir-bookstore/copyright", 0o644),
	}
	info.Recommends = []string{"weir"}
	return info, nil
}

func (r release) file(from, to string, mode fs.FileMode) *files.Content {
	return &files.Content{Source: from, Destination: to, FileInfo: &files.ContentFileInfo{Mode: mode, MTime: r.made}}
}

// write has the library write a package.
func (r release) write(format string, info *nfpm.Info) error {
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := packager.Package(info, &b); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, packager.ConventionalFileName(info)), b.Bytes(), 0o644)
}

func (s staging) path(name string) string { return filepath.Join(string(s), name) }

// edit copies a file with texts of it replaced, each of which must be there.
func (s staging) edit(from, name string, oldnew ...string) (string, error) {
	content, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(string(content), oldnew[i]) {
			return "", fmt.Errorf("%s has no %q any more", from, oldnew[i])
		}
	}
	text := strings.NewReplacer(oldnew...).Replace(string(content))
	return s.path(name), os.WriteFile(s.path(name), []byte(text), 0o600)
}

// packed copies a manual page, compressed.
func (s staging) packed(page string) (string, error) {
	content, err := os.ReadFile(page)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(content); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	name := s.path(filepath.Base(page) + ".gz")
	return name, os.WriteFile(name, b.Bytes(), 0o600)
}
