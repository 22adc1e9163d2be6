package manpage

import (
	"strings"

	"github.com/alecthomas/kong"
)

// Commands adds a program's flags and commands, as the command line itself describes them.
func (p *Page) Commands(app *kong.Application) {
	p.Section("SYNOPSIS")
	p.Text(app.Name + " COMMAND [FLAGS]")
	p.Section("COMMANDS")
	for _, command := range app.Leaves(true) {
		p.Subsection(command.Path())
		p.Text(command.Help)
		for _, arg := range command.Positional {
			p.Item(arg.Summary(), arg.Help)
		}
		for _, flag := range command.Flags {
			p.Flag(flag)
		}
	}
	p.Section("FLAGS OF THE PROGRAM ITSELF")
	for _, flag := range app.Flags {
		p.Flag(flag)
	}
}

// Flag adds a flag, unless it is hidden.
func (p *Page) Flag(flag *kong.Flag) {
	if flag.Hidden {
		return
	}
	term := "--" + flag.Name
	if flag.Short != 0 {
		term = "-" + string(flag.Short) + ", " + term
	}
	if !flag.IsBool() && !flag.IsCounter() {
		term += "=" + flag.FormatPlaceHolder()
	}
	paragraphs := []string{flag.Help}
	if names := flag.Envs; len(names) > 0 {
		paragraphs = append(paragraphs, "Environment: "+strings.Join(names, ", ")+".")
	}
	p.Item(term, paragraphs...)
}
