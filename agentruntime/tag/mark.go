package tag

import (
	"encoding/binary"
	"math/bits"
)

// The bytes that matter are rare, but several: eight bytes are compared with all
// of them at once, in one pass instead of one for each.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// zero has the high bit set in the lowest byte of w that is 0, and in none below.
func zero(w uint64) uint64 { return (w - ones) &^ w & highs }

// nextMark returns where the first < or ` or ~ in b is, len(b) for none.
func nextMark(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if m := zero(w^'<'*ones) | zero(w^'`'*ones) | zero(w^'~'*ones); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(b); i++ {
		if x := b[i]; x == '<' || x == '`' || x == '~' {
			return i
		}
	}
	return i
}

// nextQuote returns where the first < or " or \ or line feed in b is, len(b) for
// none.
func nextQuote(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if m := zero(w^'<'*ones) | zero(w^'"'*ones) | zero(w^'\\'*ones) | zero(w^'\n'*ones); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(b); i++ {
		if x := b[i]; x == '<' || x == '"' || x == '\\' || x == '\n' {
			return i
		}
	}
	return i
}
