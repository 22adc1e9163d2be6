package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"sync"
	"time"

	"weir/config"
	"weir/proxy/logline"
)

// lastLinesWait is how long the end waits for a reader of the log that is slow.
const lastLinesWait = time.Second

// openLogs opens all that [log] names, for lines of a level. The logger writes to all of them; close is for the end.
func openLogs(conf *config.Config, level slog.Leveler, stderr io.Writer) (logger *slog.Logger, outputs *logOutputs, err error) {
	c := conf.Log
	outputs = &logOutputs{path: string(c.File)}
	if c.Stderr {
		outputs.writers = append(outputs.writers, stderr)
	}
	if outputs.path != "" {
		if outputs.file, err = openLogFile(outputs.path); err != nil {
			return nil, nil, err
		}
	}
	if c.Syslog {
		w, err := syslog.New(facilities[c.SyslogFacility]|syslog.LOG_INFO, c.SyslogIdent)
		if err != nil {
			return nil, nil, fmt.Errorf("log to syslog: %w", err)
		}
		outputs.writers = append(outputs.writers, syslogWriter{w})
	}
	logger, outputs.lines = logline.New(outputs, logline.Options{
		Level: level, JSON: c.Format == config.FormatJSON, PgBouncer: conf.PgBouncer, Prompt: conf.PgBouncer && outputs.onlyFile(),
	})
	return logger, outputs, nil
}

// onlyFile reports whether the log goes into a plain file and nowhere else.
func (o *logOutputs) onlyFile() bool {
	if o.file == nil || len(o.writers) > 0 {
		return false
	}
	info, err := o.file.Stat()
	return err == nil && info.Mode().IsRegular()
}

func openLogFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640) //nolint:gosec // G302: a group that reads logs is usual
	if err != nil {
		return nil, fmt.Errorf("log to a file: %w", err)
	}
	return f, nil
}

// logOutputs are where the log goes. The goroutine of package logline writes, any may have the file opened anew.
type logOutputs struct {
	path    string
	writers []io.Writer
	lines   *logline.Log

	mu   sync.Mutex
	file *os.File
}

// Write gives a line to all. It fails if it fails for one.
func (o *logOutputs) Write(line []byte) (int, error) {
	var failed error
	o.mu.Lock()
	file := o.file
	o.mu.Unlock()
	if file != nil {
		if _, err := file.Write(line); err != nil {
			failed = err
		}
	}
	for _, w := range o.writers {
		if _, err := w.Write(line); err != nil {
			failed = err
		}
	}
	if failed != nil {
		return 0, failed
	}
	return len(line), nil
}

// reopen opens the file by its name again; if that fails, the former stays.
func (o *logOutputs) reopen() error {
	if o.path == "" {
		return nil
	}
	fresh, err := openLogFile(o.path)
	if err != nil {
		return err
	}
	o.mu.Lock()
	former := o.file
	o.file = fresh
	o.mu.Unlock()
	return former.Close() // a line that is being written to it at this moment fails, and is counted
}

func (o *logOutputs) close() {
	o.lines.Close(lastLinesWait)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		_ = o.file.Close()
		o.file = nil
	}
}

var facilities = map[string]syslog.Priority{
	"daemon": syslog.LOG_DAEMON, "user": syslog.LOG_USER, "auth": syslog.LOG_AUTH, "authpriv": syslog.LOG_AUTHPRIV,
	"local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3,
	"local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5, "local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
}

// syslogWriter gives each line the priority of its level.
type syslogWriter struct{ *syslog.Writer }

func (w syslogWriter) Write(line []byte) (int, error) {
	head := line[:min(len(line), 128)] // the level stands before what a client has said
	var err error
	switch {
	case bytes.Contains(head, []byte("level=ERROR")), bytes.Contains(head, []byte(`"level":"ERROR"`)):
		err = w.Err(string(line))
	case bytes.Contains(head, []byte("level=WARN")), bytes.Contains(head, []byte(`"level":"WARN"`)):
		err = w.Warning(string(line))
	case bytes.Contains(head, []byte("level=DEBUG")), bytes.Contains(head, []byte(`"level":"DEBUG"`)):
		err = w.Debug(string(line))
	default:
		err = w.Info(string(line))
	}
	if err != nil {
		return 0, err
	}
	return len(line), nil
}
