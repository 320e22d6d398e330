package openai

import (
	"encoding/json"
	"strings"
	"testing"
)

// The scanner accepts what encoding/json does, only not as deep.
//
// security: X9
func TestScannerAgreesWithEncodingJSON(t *testing.T) {
	for _, doc := range []string{
		``, ` `, `null`, `true`, `false`, `nul`, `nulll`, `True`, `tru`, `0`, `-0`, `-`, `+1`, `01`, `1.`, `.1`, `1.0`, `1e`, `1e+`, `1e+1`, `1E-07`,
		`1.5e`, `-1.5E3`, `0x1`, `1_0`, `--1`, `Infinity`, `""`, `"`, `"a`, `"\`, `"\"`, `"\""`, `"\\"`, `"\/\b\f\n\r\t"`, `"\u"`, `"\u12"`, `"\u12F`, `"\uabCD"`,
		`"\uD83D"`, `"\x41"`, "\"\x1f\"", "\"\x7f\"", "\"\t\"", "\"\xff\"", `'a'`, `[]`, `[ ]`, `[`, `]`, `[,]`, `[1,]`, `[,1]`, `[1 2]`, `[1,2]`, `[[],[[]]]`, `[}`,
		`[1}`, `{}`, `{ }`, `{`, `}`, `{]`, `{"a"}`, `{"a":}`, `{"a":1`, `{"a":1,}`, `{,"a":1}`, `{"a":1 "b":2}`, `{"a":1,"b":2}`, `{"a"::1}`, `{a:1}`, `{1:1}`,
		`{null:1}`, `{"a":{"a":[{}]}}`, ` { "a" : [ 1 , "b" ] } `, `{} {}`, `{}x`, `[],`, `1 1`, "\v1", "\u00a01", "\ufeff1", `/**/1`, `[1]//`,
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth),
		strings.Repeat(`{"a":`, MaxDepth) + "1" + strings.Repeat("}", MaxDepth),
	} {
		s := scanner{b: []byte(doc)}
		s.skip()
		if got, want := s.end(), json.Valid([]byte(doc)); got != want {
			t.Errorf("%q: %v (%v), encoding/json says %v", doc, got, s.err(), want)
		}
		if s.err() == nil && s.depth != 0 {
			t.Errorf("%q: ends at depth %d", doc, s.depth)
		}
	}
}

// security: X9
func TestScannerBoundsTheDepth(t *testing.T) {
	for _, open := range []string{"[", `{"a":`} {
		s := scanner{b: []byte(strings.Repeat(open, MaxDepth+1))}
		if s.skip() || s.fault != faultDepth || s.i != MaxDepth*len(open) {
			t.Errorf("%s: %v", open, s.err())
		}
	}
}

// Once something is wrong every walk ends, and the first mistake is told.
func TestScannerKeepsTheFirstFault(t *testing.T) {
	s := scanner{b: []byte(`[1,x,{"a":2}]`)}
	s.enterArray()
	n := 0
	for s.nextElement(&n) {
		s.skip()
	}
	first := s.err()
	if n != 2 || first == nil || !strings.Contains(first.Error(), "offset 3") {
		t.Fatalf("after %d elements: %v", n, first)
	}
	_, member := s.nextMember(&n)
	if member || s.nextElement(&n) || s.skip() || s.enterObject() || s.end() || s.value() != nil {
		t.Error("it went on")
	}
	if s.err().Error() != first.Error() {
		t.Errorf("got %v, want %v", s.err(), first)
	}
}
