package manpage

import (
	"strings"
	"testing"
)

// Nothing in a text may be read as a request or an escape: it would vanish from the page.
func TestTextsAreShownAsTheyAre(t *testing.T) {
	p := New("a", 1, "m", "line")
	p.Item("--a-b", `.hidden \fB "quoted" 'x'`, ".again")
	const want = "\\fB\\-\\-a\\-b\\fR\n\\&.hidden \\efB \\(dqquoted\\(dq \\(aqx\\(aq\n.IP\n\\&.again\n"
	if !strings.Contains(p.String(), want) {
		t.Errorf("no %q in:\n%s", want, p)
	}
}
