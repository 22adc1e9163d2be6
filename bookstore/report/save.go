package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The files that Save writes.
const (
	PageFile    = "report.html"
	JSONFile    = "result.json"
	RowsFile    = "rows.csv"
	SamplesFile = "samples.csv"
	ChartFile   = "chart.svg"
)

// CheckFolder makes the folder that Save will write to, and says so if it cannot be written to: before a comparison of
// minutes, not after it.
func CheckFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a report is to be read by others
		return fmt.Errorf("make the report's folder: %w", err)
	}
	probe, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return fmt.Errorf("write to the report's folder: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// Save writes the report in all its forms into a folder, over an older one.
func (r *Report) Save(dir string) error {
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{JSONFile, r.WriteJSON},
		{RowsFile, r.WriteRowsCSV},
		{SamplesFile, r.WriteSamplesCSV},
		{PageFile, r.WritePage},
		{ChartFile, r.WriteChart},
	} {
		if err := WriteFile(filepath.Join(dir, file.name), file.write); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile writes a file whole or not at all.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	err = errors.Join(write(f), f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
