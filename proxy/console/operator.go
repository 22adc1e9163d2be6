package console

import (
	"context"

	"weir/config"
	"weir/proxy/status"
)

// Source is what there is to see. Each call asks anew; any goroutine may ask.
type Source interface {
	status.Source
	Clients() []status.Client
	Backends() []status.Backend
	Failures() []status.Failure
	Statements() []status.Statement
	Databases() []status.Database
	Users() []status.User
	Peers() []status.PeerAddress
	Settings() []config.Shown
	Memory() []status.Memory
	State() status.State
}

// Shutdown is a way to end weir.
type Shutdown uint8

// The ways.
const (
	ShutdownNow            Shutdown = iota
	ShutdownWaitForServers          // clients without a backend are sent away; the others when their transaction is over
	ShutdownWaitForClients          // it ends when the last client has left
)

// Operator carries out what an administrator wants. A database is "" for all of them. Errors are for the administrator's eyes. Any
// goroutine may ask; what waits ends with its context.
type Operator interface {
	// Reload reads the configuration anew.
	Reload(ctx context.Context) error
	// Pause returns when the last backend is closed. Where ctx ends before, the pause has ended, too.
	Pause(ctx context.Context, database string) error
	Resume(database string) error
	Disable(database string) error
	Enable(database string) error
	Reconnect(database string) error
	// Kill ends clients and backends, and leaves a pause.
	Kill(database string) error
	KillClient(id uint32) error
	// WaitClose returns when no backend is left of those that Reconnect or a change of the configuration has marked.
	WaitClose(ctx context.Context, database string) error
	Shutdown(how Shutdown) error
	// Set changes a setting until the next Reload. The notice says what has not followed, or is empty.
	Set(section, name, value string) (notice string, err error)
}
