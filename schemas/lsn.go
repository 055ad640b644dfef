package schemas

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// LSN is a position in a source's commit log, in bytes from its beginning. The
// LSN of a change is the LSN at which its transaction's commit record ENDS, so
// that "every commit ending at or before W" is a plain comparison. Zero is before
// everything.
type LSN uint64

// String gives PostgreSQL's form: two hexadecimal halves, "16/B374D848".
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// ParseLSN reads what String writes.
func ParseLSN(s string) (LSN, error) {
	hi, lo, ok := strings.Cut(s, "/")
	if ok {
		h, err1 := strconv.ParseUint(hi, 16, 32)
		l, err2 := strconv.ParseUint(lo, 16, 32)
		if err1 == nil && err2 == nil {
			return LSN(h<<32 | l), nil
		}
	}
	return 0, &Error{Code: CodeInvalidText, SQLState: "22P02", Message: fmt.Sprintf("%q is not an LSN", s), Hint: "an LSN looks like 16/B374D848"}
}

// MarshalText and UnmarshalText use the form of String, in JSON too.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the form of String.
func (l *LSN) UnmarshalText(b []byte) error {
	v, err := ParseLSN(string(b))
	*l = v
	return err
}

// Position places one change: which source, which life of its log, which commit
// and which change within it.
type Position struct {
	Source string
	// Incarnation names one life of the source's log: PostgreSQL's system
	// identifier and timeline, or the engine's log id. Positions of different
	// incarnations do not compare.
	Incarnation string
	LSN         LSN
	// Ordinal counts the changes of a transaction from 0, given at commit.
	Ordinal uint32
}

// EndOf is the last position of the commit that ends at lsn.
func EndOf(lsn LSN) Position { return Position{LSN: lsn, Ordinal: math.MaxUint32} }

// Before orders positions of one source and incarnation.
func (p Position) Before(q Position) bool {
	return p.LSN < q.LSN || p.LSN == q.LSN && p.Ordinal < q.Ordinal
}

// Compare is negative when p lies before q, positive when after it, as Before has it.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.LSN, q.LSN), cmp.Compare(p.Ordinal, q.Ordinal))
}

// Previous is the last position before p.
func (p Position) Previous() Position {
	if p.Ordinal == 0 {
		p.LSN, p.Ordinal = p.LSN-1, math.MaxUint32
	} else {
		p.Ordinal--
	}
	return p
}
