package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path"
	"path/filepath"
)

// file is one of a tarball: where it comes from, and where it goes.
type file struct {
	mode     int64
	from, to string
}

// tarball writes both programs and the files that go with them, in a folder of the tarball's name.
func (r release) tarball(t target, programs string) error {
	folder := "weir_" + r.version + "_" + t.String()
	files := []file{
		{0o755, filepath.Join(programs, "weir"), "bin/weir"},
		{0o755, filepath.Join(programs, "bookstore"), "bin/bookstore"},
		{0o644, "LICENSE", "LICENSE"},
		{0o644, "deploy/man/weir.1", "share/man/man1/weir.1"},
		{0o644, "deploy/man/bookstore.1", "share/man/man1/bookstore.1"},
		{0o644, "deploy/man/weir.toml.5", "share/man/man5/weir.toml.5"},
		{0o640, "deploy/weir.toml", "weir.toml"},
	}
	if t.system == "linux" {
		for _, name := range []string{"sysusers.conf", "weir.service", "weir.socket"} {
			files = append(files, file{0o644, "deploy/systemd/" + name, "systemd/" + name})
		}
	}
	var b bytes.Buffer
	packed := gzip.NewWriter(&b) // without a name and a time
	w := tar.NewWriter(packed)
	for _, f := range files {
		content, err := os.ReadFile(f.from)
		if err != nil {
			return err
		}
		head := &tar.Header{
			Name: path.Join(folder, f.to), Mode: f.mode, Size: int64(len(content)), ModTime: r.made,
			Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		}
		if err := w.WriteHeader(head); err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, folder+".tar.gz"), b.Bytes(), 0o644)
}
