package sqlscan

// ExitsTransaction tells whether the text is one statement that PostgreSQL takes
// in a failed transaction (IsTransactionExitStmt in src/backend/tcop/postgres.c:
// COMMIT, END, ROLLBACK, ABORT, ROLLBACK TO, PREPARE TRANSACTION), or none at
// all, which it takes as well. It does not allocate, save in the modes in which
// characters must be told apart.
func ExitsTransaction(text []byte, mode Mode) bool {
	p := newParser(text, mode)
	if !p.begin() {
		return p.tok.kind == tokenEnd
	}
	var u SettingUse
	if known, ok := p.transaction(&u); !known || !ok || p.begin() {
		return false
	}
	switch u.Kind {
	case Commit, Rollback, RollbackTo, PrepareTransaction:
		return p.tok.kind == tokenEnd
	default:
		return false
	}
}

// BeginsTransaction tells whether the text is one BEGIN or START TRANSACTION and
// nothing else.
func BeginsTransaction(text []byte, mode Mode) bool {
	p := newParser(text, mode)
	if !p.begin() || !p.is("begin") && !p.is("start") {
		return false
	}
	var u SettingUse
	known, ok := p.transaction(&u)
	return known && ok && !p.begin() && p.tok.kind == tokenEnd
}

// transaction reads a statement that begins, ends or divides a transaction. It
// returns known false if it is another, and ok false if it cannot be read to its
// end. Of a savepoint it leaves the name to nameSavepoint.
func (p *parser) transaction(u *SettingUse) (known, ok bool) {
	switch {
	case p.accept("begin"):
		u.Kind = Begin
		p.acceptAny("work", "transaction")
		return true, p.transactionModes(func(string, string) {})
	case p.accept("start"):
		u.Kind = Begin
		return true, p.accept("transaction") && p.transactionModes(func(string, string) {})
	case p.accept("end"):
		u.Kind = Commit
		return true, p.chain(u)
	case p.accept("commit"):
		u.Kind = Commit
		if p.accept("prepared") {
			return true, p.finishPrepared(u)
		}
		return true, p.chain(u)
	case p.accept("abort"):
		u.Kind = Rollback
		return true, p.chain(u)
	case p.accept("rollback"):
		u.Kind = Rollback
		if p.accept("prepared") {
			return true, p.finishPrepared(u)
		}
		return true, p.rollback(u)
	case p.accept("savepoint"):
		return true, p.savepoint(u, Savepoint)
	case p.accept("release"):
		p.acceptSavepoint()
		return true, p.savepoint(u, Release)
	case p.is("prepare") && p.isWord(p.then, "transaction"):
		return p.prepareTransaction(u)
	}
	return false, true
}

// finishPrepared reads after COMMIT PREPARED and ROLLBACK PREPARED.
func (p *parser) finishPrepared(u *SettingUse) bool {
	u.Kind = FinishPrepared
	return p.acceptLast(tokenString, tokenBits)
}

// prepareTransaction reads PREPARE TRANSACTION.
func (p *parser) prepareTransaction(u *SettingUse) (known, ok bool) {
	p.advance()
	p.advance()
	if p.tok.kind != tokenString && p.tok.kind != tokenBits {
		return false, true // PREPARE transaction AS ...: a statement of that name
	}
	u.Kind = PrepareTransaction
	return true, p.acceptLast(tokenString, tokenBits)
}

// rollback reads after ROLLBACK.
func (p *parser) rollback(u *SettingUse) bool {
	if !p.isWord(p.then, "to") && !p.is("to") {
		return p.chain(u)
	}
	p.acceptAny("work", "transaction")
	if !p.accept("to") {
		return false
	}
	p.acceptSavepoint()
	return p.savepoint(u, RollbackTo)
}

// acceptSavepoint passes over the word SAVEPOINT, unless it is the name of one.
func (p *parser) acceptSavepoint() {
	if p.is("savepoint") && !ends(p.then) {
		p.advance()
	}
}

// savepoint reads a savepoint's name, which ends the statement.
func (p *parser) savepoint(u *SettingUse, kind SettingKind) bool {
	u.Kind = kind
	if !p.isIdentifier() || !ends(p.then) {
		return false
	}
	p.named = p.tok
	p.advance()
	return true
}

// nameSavepoint notes the savepoint that a statement names, if it is about one.
// It allocates. False: the database may know it by another name.
func (p *parser) nameSavepoint(u *SettingUse) (certain bool) {
	switch u.Kind {
	case Savepoint, RollbackTo, Release:
		u.Name, certain = p.identifier(p.named)
		return certain
	default:
		return true
	}
}

// chain reads the rest of COMMIT and ROLLBACK.
func (p *parser) chain(u *SettingUse) bool {
	p.acceptAny("work", "transaction")
	if p.accept("and") {
		u.Chain = !p.accept("no")
		if !p.accept("chain") {
			return false
		}
	}
	return ends(p.tok)
}

// acceptLast passes over the statement's last token, which is of one of these
// kinds.
func (p *parser) acceptLast(kinds ...tokenKind) bool {
	for _, kind := range kinds {
		if p.tok.kind == kind {
			p.advance()
			return ends(p.tok)
		}
	}
	return false
}

// transactionModes reads a list of modes, which may be empty, and gives each to
// set as the setting that it is for one transaction, without transaction_ in
// front.
func (p *parser) transactionModes(set func(name, value string)) bool {
	for !ends(p.tok) {
		switch {
		case p.accept("isolation"):
			level, ok := p.isolationLevel()
			if !ok {
				return false
			}
			set("isolation", level)
		case p.accept("read"):
			switch {
			case p.accept("only"):
				set("read_only", "1")
			case p.accept("write"):
				set("read_only", "0")
			default:
				return false
			}
		case p.accept("deferrable"):
			set("deferrable", "1")
		case p.acceptAll("not", "deferrable"):
			set("deferrable", "0")
		default:
			return false
		}
		if p.acceptByte(',') && ends(p.tok) {
			return false
		}
	}
	return true
}

func (p *parser) isolationLevel() (level string, ok bool) {
	if !p.accept("level") {
		return "", false
	}
	switch {
	case p.accept("serializable"):
		return "serializable", true
	case p.accept("repeatable"):
		return "repeatable read", p.accept("read")
	case p.accept("read"):
		if p.accept("committed") {
			return "read committed", true
		}
		return "read uncommitted", p.accept("uncommitted")
	}
	return "", false
}
