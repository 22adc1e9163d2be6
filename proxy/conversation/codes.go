package conversation

// Codes counts errors by SQLSTATE.
type Codes map[[5]byte]uint64

// codesMax bounds the SQLSTATEs that are told apart: RAISE lets a client make up any. Beyond it they are counted together.
const codesMax = 64

// OtherCodes stands for the SQLSTATEs that are not told apart.
var OtherCodes = [5]byte{'o', 't', 'h', 'e', 'r'}

// Count counts one error. What is no SQLSTATE is counted with those that are not told apart.
func (c *Codes) Count(code string) {
	if *c == nil {
		*c = Codes{}
	}
	key := OtherCodes
	if isCode(code) {
		key = [5]byte([]byte(code))
	}
	if _, known := (*c)[key]; !known && len(*c) >= codesMax {
		key = OtherCodes
	}
	(*c)[key]++
}

// isCode reports whether s is five digits and upper-case letters.
func isCode(s string) bool {
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'A' || s[i] > 'Z') {
			return false
		}
	}
	return len(s) == len(OtherCodes)
}
