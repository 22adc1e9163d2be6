package sqlscan

// NameKind is what a statement does with a prepared statement.
type NameKind uint8

// The kinds.
const (
	NameExecute    NameKind = iota // EXECUTE, also in EXPLAIN and CREATE TABLE AS
	NameDeallocate                 // DEALLOCATE
)

// NameUse is a place in a text that names a prepared statement.
type NameUse struct {
	Kind NameKind
	All  bool // DEALLOCATE ALL; there is no name
	Sole bool // the statement is all that the text does
	// Uncertain: the database's encoding decides how the name is folded or cut,
	// because it has bytes above 0x7f.
	Uncertain bool
	From, To  int    // the name's bytes in the text, with its quotes; of ALL, the word
	Command   int    // the statement's number in the text, from 0
	End       int    // where the statement ends; 0: that cannot be told
	Name      string // folded, without quotes, cut as PostgreSQL cuts names; in the client's encoding
}

// StatementNames gives yield each use of a prepared statement's name, in the
// order of the text, until yield returns false. It returns false if yield has,
// or if the text cannot be read to its end with certainty. It allocates for each
// name. Only a text with one of the effects Execute, Deallocate and Opaque has one.
func StatementNames(text []byte, mode Mode, yield func(u NameUse) bool) bool {
	p := newParser(text, mode)
	var last NameUse // not yet given to yield: whether it is the sole statement shows later
	held, statements := false, 0
	for p.begin() {
		statements++
		if held && !yield(last) {
			return false
		}
		last, held = p.nameUse()
		last.Command = statements - 1
		if !p.skipTo("") {
			break
		}
		last.End = p.ended
	}
	read := p.tok.kind == tokenEnd
	if held {
		last.Sole = statements == 1 && read
		return yield(last) && read
	}
	return read
}

// nameUse reads a statement up to the name that it uses.
func (p *parser) nameUse() (u NameUse, ok bool) {
	switch {
	case p.accept("deallocate"):
		return p.deallocate()
	case p.accept("explain"):
		return p.explain()
	case p.is("create"):
		return p.createTableAs()
	}
	return p.execute()
}

func (p *parser) explain() (u NameUse, ok bool) {
	if p.isByte('(') {
		if !p.brackets() {
			return u, false
		}
	} else {
		p.acceptAny("analyze", "analyse")
		p.accept("verbose")
	}
	if p.is("create") {
		return p.createTableAs()
	}
	return p.execute()
}

func (p *parser) createTableAs() (u NameUse, ok bool) {
	p.advance()
	p.acceptAny("local", "global")
	p.acceptAny("temp", "temporary", "unlogged")
	if !p.accept("table") || !p.skipTo("as") || !p.accept("as") {
		return u, false
	}
	return p.execute()
}

// execute reads EXECUTE name, and the token after it, without which the name
// might be another: EXECUTE a.b.
func (p *parser) execute() (u NameUse, ok bool) {
	if !p.accept("execute") || !p.isIdentifier() {
		return u, false
	}
	if !ends(p.then) && !(p.then.kind == tokenByte && p.then.c == '(') && !p.isWord(p.then, "with") {
		return u, false
	}
	return p.use(NameExecute), true
}

func (p *parser) deallocate() (u NameUse, ok bool) {
	if p.is("prepare") && !ends(p.then) { // DEALLOCATE prepare names a statement
		p.advance()
	}
	if !ends(p.then) {
		return u, false
	}
	if p.is("all") {
		return NameUse{Kind: NameDeallocate, All: true, From: p.tok.from, To: p.tok.to}, true
	}
	if !p.isIdentifier() {
		return u, false
	}
	return p.use(NameDeallocate), true
}

// use makes the present token a use of a name.
func (p *parser) use(kind NameKind) NameUse {
	name, certain := p.identifier(p.tok)
	return NameUse{Kind: kind, From: p.tok.from, To: p.tok.to, Name: name, Uncertain: !certain}
}
