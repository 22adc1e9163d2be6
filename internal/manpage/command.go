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
			p.flag(flag)
		}
	}
	p.Section("FLAGS OF THE PROGRAM ITSELF")
	for _, flag := range app.Flags {
		p.flag(flag)
	}
}

func (p *Page) flag(flag *kong.Flag) {
	if flag.Hidden {
		return
	}
	term := "--" + flag.Name
	if flag.Short != 0 {
		term = "-" + string(flag.Short) + ", " + term
	}
	if !flag.IsBool() {
		term += "=" + flag.FormatPlaceHolder()
	}
	paragraphs := []string{flag.Help}
	if names := flag.Envs; len(names) > 0 {
		paragraphs = append(paragraphs, "Environment: "+strings.Join(names, ", ")+".")
	}
	p.Item(term, paragraphs...)
}
