package mcp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// content is a part of a result: text, or what is described instead.
type content struct {
	Type     string    `json:"type"`
	Text     string    `json:"text"`
	Data     string    `json:"data"` // base64
	MIME     string    `json:"mimeType"`
	URI      string    `json:"uri"`
	Name     string    `json:"name"`
	Resource *resource `json:"resource"`
}

type resource struct {
	URI  string  `json:"uri"`
	MIME string  `json:"mimeType"`
	Text *string `json:"text"`
	Blob string  `json:"blob"` // base64
}

var errInput = errors.New("the tool asks for input that nobody can give")

// decodeResult makes the result of a call what a model can read. limit is in bytes,
// 0 for DefaultLimit.
func decodeResult(raw json.RawMessage, limit int, scrub scrubber) (*Result, error) {
	var r struct {
		Type       string          `json:"resultType"`
		Content    []content       `json:"content"`
		Structured json.RawMessage `json:"structuredContent"`
		IsError    bool            `json:"isError"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	if r.Type != "" && r.Type != "complete" {
		return &Result{Text: errInput.Error(), Failed: true}, nil
	}
	if r.Content == nil && r.Structured == nil {
		return nil, errors.New("a result without content")
	}
	var b strings.Builder
	said := false
	for i := range r.Content {
		text, is := r.Content[i].describe()
		said = said || is
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(text)
	}
	if !said && len(r.Structured) > 0 && string(r.Structured) != "null" {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		var short bytes.Buffer
		if json.Compact(&short, r.Structured) != nil {
			return nil, errNoMessage
		}
		b.Write(short.Bytes())
	}
	return capped(scrub.text(strings.ToValidUTF8(b.String(), "\uFFFD")), limit, r.IsError), nil
}

// capped makes a result of valid text, cut at the last whole rune within limit bytes,
// 0 for DefaultLimit.
func capped(text string, limit int, failed bool) *Result {
	if limit <= 0 {
		limit = DefaultLimit
	}
	res := &Result{Text: text, Failed: failed}
	if len(text) > limit {
		n := runeStart(text, limit)
		res.Text, res.Cut = strings.Clone(text[:n]), len(text)-n
	}
	return res
}

// describe returns a part's text, or what it is in brackets. said reports whether it
// is text.
func (c *content) describe() (text string, said bool) {
	switch c.Type {
	case "text":
		return c.Text, true
	case "image", "audio":
		return brackets(c.Type, c.MIME, "", size64(c.Data)), false
	case "resource_link":
		return brackets("resource link", c.MIME, firstOf(c.URI, c.Name), -1), false
	case "resource":
		if c.Resource == nil {
			return "[resource]", false
		}
		if c.Resource.Text != nil {
			return *c.Resource.Text, true
		}
		return brackets("resource", c.Resource.MIME, c.Resource.URI, size64(c.Resource.Blob)), false
	}
	return brackets("content of type "+oneLine(c.Type), c.MIME, "", -1), false
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func brackets(what, mime, where string, size int) string {
	s := what
	if mime != "" {
		s += " " + oneLine(mime)
	}
	if where != "" {
		s += " " + oneLine(where)
	}
	if size >= 0 {
		s += fmt.Sprintf(", %d bytes", size)
	}
	return "[" + s + "]"
}

// oneLine keeps what a server says within our brackets.
func oneLine(s string) string {
	return parentheses.Replace(scrubber{}.line(s, 200))
}

var parentheses = strings.NewReplacer("[", "(", "]", ")")

// size64 is the size of what base64 stands for.
func size64(s string) int {
	return base64.RawStdEncoding.DecodedLen(len(strings.TrimRight(s, "=\r\n")))
}
