package verify

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// clean makes text of anybody's fit for a terminal: no control or format characters,
// and not too long.
func clean(s string, limit int) string {
	cut := len(s) > limit
	if cut {
		s = s[:limit]
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if cut {
		s += "…"
	}
	return s
}

// line is an event in one line for people.
func line(raw []byte) string {
	var e struct {
		Time     string          `json:"time"`
		Request  string          `json:"request_id"`
		Session  string          `json:"session_id"`
		Seq      json.Number     `json:"event_seq"`
		Type     string          `json:"event_type"`
		User     string          `json:"user_id"`
		Agent    string          `json:"agent"`
		Provider string          `json:"provider"`
		Model    string          `json:"model"`
		Payload  json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return "unreadable: " + clean(string(raw), 200)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s", clean(e.Time, 32), clean(e.Request, 64), clean(e.Seq.String(), 20), clean(e.Type, 32))
	for _, m := range []struct{ name, value string }{
		{"session", e.Session}, {"user", e.User}, {"agent", e.Agent}, {"provider", e.Provider}, {"model", e.Model},
	} {
		if m.value != "" {
			fmt.Fprintf(&b, " %s=%s", m.name, clean(m.value, 64))
		}
	}
	if len(e.Payload) > 0 {
		b.WriteByte(' ')
		b.WriteString(clean(string(e.Payload), 300))
	}
	return b.String()
}
