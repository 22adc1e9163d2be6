package main

import (
	"flag"
	"io"
	"testing"

	"weir/internal/manpage"
)

var update = flag.Bool("update", false, "write the manual page instead of comparing with it")

func TestManualPageIsThatOfTheCommandLine(t *testing.T) {
	p := manpage.New("weir", 1, "weir", "connection-pooling proxy in front of PostgreSQL")
	p.Commands(newParser(streams{out: io.Discard, err: io.Discard}, func(int) {}).Model)
	p.Section("IN PGBOUNCER'S PLACE")
	p.Text("weir [-d] [-q] [-v] [-u NAME] FILE serves a configuration file of PgBouncer's as it is, with PgBouncer's options, defaults and signals. So does " +
		"weir under the name pgbouncer, as by a link.")
	for _, flag := range newPgBouncerParser("weir", new(pgbouncerCmd), streams{out: io.Discard, err: io.Discard}, func(int) {}).Model.Flags {
		if flag.Short != 'h' {
			p.Flag(flag)
		}
	}
	p.Section("EXIT STATUS")
	p.Item("0", "It went well.")
	p.Item("1", "It did not; standard error or the log says why.")
	p.Item("2", "The command line was wrong.")
	p.Section("SIGNALS")
	p.Item("SIGTERM, SIGINT", "The first has weir drain: clients may go on for drain_timeout, and are sent away between two transactions then. "+
		"The second ends weir at once.")
	p.Item("SIGHUP", "Has the configuration read anew. One with a fault changes nothing, and the log says what is wrong with it.")
	p.Section("ENVIRONMENT")
	p.Item("PGHOST, PGHOSTADDR, PGPORT, PGPASSWORD, PGSSLMODE and the other PGSSL...",
		"Where the server is and how to log in to it, as for libpq; for what neither the file nor --to says.")
	p.Section("FILES")
	p.Item("/etc/weir/weir.toml", "The configuration of the service that weir's packages install.")
	p.Section("SEE ALSO")
	p.Text("weir.toml(5), bookstore(1), https://www.postgresql.org/docs/current/libpq-envars.html")
	manpage.Golden(t, p, "../../deploy/man/weir.1", *update)
}
