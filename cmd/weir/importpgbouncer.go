package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"weir/config"
	"weir/config/pgbouncer"
)

type importCmd struct {
	File   string `arg:"" name:"FILE" help:"PgBouncer's configuration file, pgbouncer.ini."`
	Output string `short:"o" placeholder:"FILE" help:"Where the new file goes, in place of standard output; it must not exist, and only its owner can read it."`
	Folder string `placeholder:"DIR" help:"The folder that PgBouncer runs in, where relative file names begin; by default the one that weir runs in."`
}

// Run writes weir.toml, and says line by line what has no equivalent: on standard error and as comments in the file.
func (c *importCmd) Run(s streams) error {
	result, err := readPgBouncer(c.File, c.Folder)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by `weir import-pgbouncer %s`. What is not said here is weir's default: see docs/configuration.md.\n", c.File)
	if result.Unfit != nil {
		fmt.Fprintln(s.err, result.Unfit)
	}
	if len(result.Notes) > 0 {
		fmt.Fprintln(&b, "#\n# What weir does not do, or does otherwise:")
	}
	for _, n := range result.Notes {
		fmt.Fprintln(s.err, n)
		fmt.Fprintf(&b, "#   %s\n", n)
	}
	fmt.Fprintln(&b)
	if err := result.Config.WriteFile(&b); err != nil {
		return err
	}
	if c.Output == "" {
		_, err = s.out.Write(b.Bytes())
		return err
	}
	f, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if _, err = f.Write(b.Bytes()); err != nil {
		_ = f.Close()
		return fmt.Errorf("write the configuration: %w", err)
	}
	return f.Close()
}

// readPgBouncer reads an ini file of PgBouncer's; folder "" is the one that weir runs in.
func readPgBouncer(name, folder string) (*pgbouncer.Result, error) {
	dir, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	document, err := pgbouncer.Read(name, func(name string) ([]byte, error) {
		if folder != "" && !filepath.IsAbs(name) && name != "" {
			if inFolder := filepath.Join(dir, name); fileExists(inFolder) {
				name = inFolder
			}
		}
		return config.ReadFile(name)
	})
	if err != nil {
		return nil, err
	}
	return pgbouncer.Translate(document, dir)
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
