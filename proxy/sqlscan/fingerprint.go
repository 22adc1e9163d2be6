package sqlscan

import "weir/proxy/ascii"

// Fingerprint returns a number that is the same for texts that differ in nothing
// but literals, parameters, the lengths of lists and rows of those in brackets,
// comments, white space, the case of words, and semicolons at the ends. It is
// FNV-1a: texts with equal numbers can be made on purpose, so it may decide what
// is shown together, and not what is allowed. It does not allocate, save in the
// modes in which characters must be told apart. What of a text cannot be read is
// left out.
func Fingerprint(text []byte, mode Mode) uint64 {
	l := newLexer(text, mode)
	f := fingerprint{hash: fnvOffset}
	for {
		t := l.next()
		switch t.kind {
		case tokenEnd:
			f.flush()
			return f.hash
		case tokenUnread:
			f.flush()
			f.put('\'')
			return f.hash
		case tokenString, tokenBits, tokenNumber, tokenParameter:
			f.take(literal)
		case tokenByte:
			f.byte(t.c)
		case tokenName:
			f.word(l.text[t.from:t.to], 0)
		case tokenWord:
			word := l.text[t.from:t.to]
			if (f.last == '(' || f.last == ',') && isConstant(word) {
				f.take(literal)
			} else {
				f.word(word, 'a'-'A')
			}
		}
	}
}

// fingerprint is a hash of tokens, some of which wait until it is known whether
// they only repeat what came before.
type fingerprint struct {
	hash uint64
	list listState
	last byte // the last token: a byte, literal or word
	sign byte // + or - that waits, because it may belong to a literal; or 0
	semi bool // a semicolon waits
}

// These stand for tokens of more than one byte.
const (
	literal = 1
	aWord   = 2
)

// listState is what the last tokens are the beginning of.
type listState uint8

const (
	noList    listState = iota
	listOpen            // ( or [
	listItem            // the same and a literal
	listComma           // the same and a comma, which waits
	rowEnd              // a list and its )
	rowComma            // the same and a comma, which waits
	rowOpen             // the same and ,( which wait
	rowItem             // the same and ,(? which wait
	rowMore             // the same and ,(?, which wait
)

// waiting is what waits in each state; \x01 is a literal.
var waiting = [...]string{listComma: ",", rowComma: ",", rowOpen: ",(", rowItem: ",(\x01", rowMore: ",(\x01,"}

// repeats are the tokens that lead from a state to another without being hashed.
var repeats = [...]struct {
	from listState
	on   byte
	to   listState
}{
	{listItem, ',', listComma},
	{listComma, literal, listItem},
	{rowEnd, ',', rowComma},
	{rowComma, '(', rowOpen},
	{rowOpen, literal, rowItem},
	{rowItem, ',', rowMore},
	{rowMore, literal, rowItem},
	{rowItem, ')', rowEnd},
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func (f *fingerprint) put(c byte) { f.hash = (f.hash ^ uint64(c)) * fnvPrime }

// byte takes an operator or punctuation.
func (f *fingerprint) byte(c byte) {
	switch {
	case c == ';':
		f.flush()
		f.semi = f.hash != fnvOffset
		f.last = c
	case (c == '+' || c == '-') && f.sign == 0 && f.mayHaveSign():
		f.sign = c
	default:
		f.take(c)
	}
}

// mayHaveSign tells whether a sign that follows belongs to a literal, because
// the last token is no value.
func (f *fingerprint) mayHaveSign() bool {
	switch f.last {
	case 0, ';', aWord, literal, ')', ']':
		return false
	}
	return true
}

// take takes a byte or a literal.
func (f *fingerprint) take(c byte) {
	sign := f.sign
	f.sign = 0
	if sign != 0 && c != literal {
		f.step(sign)
	}
	f.step(c)
}

// step hashes a token, or lets it wait, or drops it.
func (f *fingerprint) step(c byte) {
	f.last = c
	if f.list >= listItem {
		for _, r := range repeats {
			if r.from == f.list && r.on == c {
				f.list = r.to
				return
			}
		}
	}
	from := f.list
	f.settle()
	if from == rowOpen {
		from = listOpen
	}
	f.put(c)
	switch {
	case c == '(' || c == '[':
		f.list = listOpen
	case c == literal && from == listOpen:
		f.list = listItem
	case c == ')' && from == listItem:
		f.list = rowEnd
	}
}

// settle hashes what waits.
func (f *fingerprint) settle() {
	if f.semi {
		f.put(';')
		f.semi = false
	}
	for i := range len(waiting[f.list]) {
		f.put(waiting[f.list][i])
	}
	f.list = noList
}

// flush hashes all that waits at the end of a statement, save a semicolon.
func (f *fingerprint) flush() {
	semi := f.semi
	f.semi = false
	if f.sign != 0 {
		f.settle()
		f.put(f.sign)
		f.sign = 0
	}
	f.settle()
	f.semi = semi
}

// word takes a word or a quoted name; fold is what is added to a capital.
func (f *fingerprint) word(w []byte, fold byte) {
	if sign := f.sign; sign != 0 {
		f.sign = 0
		f.step(sign)
	}
	f.settle()
	f.last = aWord
	f.put(0) // before each word, so that they do not run together
	for _, c := range w {
		if 'A' <= c && c <= 'Z' {
			c += fold
		}
		f.put(c)
	}
}

// isConstant tells whether a word stands for a value where a literal may stand.
func isConstant(word []byte) bool {
	var space [8]byte
	if len(word) > len(space) {
		return false
	}
	switch string(ascii.AppendLower(space[:0], word)) {
	case "null", "true", "false", "default":
		return true
	}
	return false
}
