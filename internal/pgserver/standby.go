package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// errNoBackup: a fetched PostgreSQL has the server's programs only.
var errNoBackup = errors.New("there is no pg_basebackup of this PostgreSQL")

// Standby makes and runs a streaming standby of the server, which must run. The caller stops it.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	program := filepath.Join(s.programs.bin, "pg_basebackup")
	if !executable(program) {
		return nil, errNoBackup
	}
	standby := &Server{opts: s.opts, programs: s.programs, run: s.run}
	dir, err := os.MkdirTemp(filepath.Dir(s.dir), "weir-pg-")
	if err != nil {
		return nil, fmt.Errorf("make the standby's folder: %w", err)
	}
	standby.dir = dir
	if standby.owner, err = own(dir); err != nil {
		return nil, fmt.Errorf("start the folder's caretaker: %w", err)
	}
	if err := s.run.chown(dir); err != nil {
		standby.removeFolder()
		return nil, err
	}
	out, err := s.run.command(ctx, program, "-D", standby.DataDir(), "-h", s.dir, "-p", strconv.Itoa(s.port), "-U", s.opts.Superuser,
		"-R", "-c", "fast", "--no-sync").CombinedOutput()
	if err != nil {
		standby.removeFolder()
		return nil, fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	if err := standby.launchSomewhere(ctx); err != nil {
		standby.removeFolder()
		return nil, err
	}
	return standby, nil
}

// Promote makes a standby a primary, and returns when it is one.
func (s *Server) Promote(ctx context.Context) error {
	return s.Exec(ctx, "postgres", "SELECT pg_promote()")
}

// Kill ends the server as a crash does. Its folder stays.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		_ = syscall.Kill(s.proc.PID, syscall.SIGQUIT)
		s.proc.stop()
		s.proc = nil
	}
}

// Demote stops the server and runs it again as a standby, which follows no other.
func (s *Server) Demote(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.stop()
		s.proc = nil
	}
	if err := os.WriteFile(filepath.Join(s.DataDir(), "standby.signal"), nil, 0o644); err != nil {
		return err
	}
	return s.launch(ctx)
}
