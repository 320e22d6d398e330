package mcp

import (
	"encoding/json"
	"fmt"
	"unicode"
)

// hidden reports whether a reader sees nothing of r while a model may read it:
// zero-width, bidirectional and tag characters, fillers, variation selectors other
// than the two that emoji need.
func hidden(r rune) bool {
	if r < 0x7f {
		return false
	}
	switch r {
	case '\uFE0E', '\uFE0F':
		return false
	}
	return r >= 0xE0000 && r <= 0xE0FFF ||
		unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// hiddenIn names the first character of s that must not be in the definition of a
// tool, or returns an empty string. Descriptions may have line breaks and tabs.
func hiddenIn(s string, breaks bool) string {
	selector := true // one at the start selects nothing
	for _, r := range s {
		ok := !hidden(r) && (!unicode.IsControl(r) || breaks && (r == '\n' || r == '\t' || r == '\r'))
		if r == '\uFE0E' || r == '\uFE0F' {
			ok = !selector
			selector = true
		} else {
			selector = false
		}
		if !ok {
			return fmt.Sprintf("U+%04X", r)
		}
	}
	return ""
}

// hiddenInJSON is hiddenIn for all strings of a document, the names of members too.
func hiddenInJSON(doc json.RawMessage) string {
	var v any
	if json.Unmarshal(doc, &v) != nil {
		return ""
	}
	return hiddenInValue(v)
}

func hiddenInValue(v any) string {
	switch v := v.(type) {
	case string:
		return hiddenIn(v, true)
	case []any:
		for _, e := range v {
			if c := hiddenInValue(e); c != "" {
				return c
			}
		}
	case map[string]any:
		for name, e := range v {
			if c := hiddenIn(name, true); c != "" {
				return c
			}
			if c := hiddenInValue(e); c != "" {
				return c
			}
		}
	}
	return ""
}
