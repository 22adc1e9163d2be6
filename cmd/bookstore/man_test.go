package main

import (
	"flag"
	"io"
	"testing"

	"weir/internal/manpage"
)

var update = flag.Bool("update", false, "write the manual page instead of comparing with it")

func TestManualPageIsThatOfTheCommandLine(t *testing.T) {
	p := manpage.New("bookstore", 1, "weir", "book shop on PostgreSQL, weir's demo application")
	p.Commands(newParser(t.Context(), streams{out: io.Discard, err: io.Discard}, func(int) {}).Model)
	p.Section("EXIT STATUS")
	p.Item("0", "It went well.")
	p.Item("1", "It did not; standard error or the log says why.")
	p.Item("2", "The command line was wrong.")
	p.Section("SIGNALS")
	p.Item("SIGTERM, SIGINT", "The first ends a command in good order; the second ends it at once.")
	p.Section("SEE ALSO")
	p.Text("weir(1)")
	manpage.Golden(t, p, "../../deploy/man/bookstore.1", *update)
}
