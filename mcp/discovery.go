package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// Bounds of a list.
const (
	maxPages       = 100
	maxTools       = 1000
	maxName        = 256
	maxDescription = 4 << 10
	maxSchema      = 64 << 10
)

// view is an offer made from a list.
type view struct {
	from  *listing
	offer Offer
}

// Offer returns the tools for a request. Only the first requests of a server never
// listed before wait for anything, and they not long.
func (s *Server) Offer(ctx context.Context) Offer {
	s.attach()
	if !s.state.breaker.Ready(now()) {
		return Offer{Down: "is left alone after failures"}
	}
	l := s.state.current(ctx, s)
	if l == nil {
		return Offer{Down: s.state.trouble()}
	}
	if v := s.offer.Load(); v != nil && v.from == l {
		return v.offer
	}
	v := &view{from: l}
	for _, e := range l.entries {
		if e.refused == "" && (!e.changed || s.o.Pin != PinOn) && s.allowed(e.tool.Name) {
			v.offer.Tools = append(v.offer.Tools, e.tool)
		}
	}
	s.offer.Store(v)
	return v.offer
}

// discover lists the tools.
func (s *Server) discover() (*listing, *fault) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), s.o.Timeout, errTimeout)
	defer cancel()
	l, f := s.pages(ctx)
	if f != nil && (f.lost || f.unsent && f.kind == KindProtocol) {
		l, f = s.pages(ctx)
	}
	return l, f
}

// pages asks for page after page.
func (s *Server) pages(ctx context.Context) (*listing, *fault) {
	ss, f := s.acquire(ctx)
	if f != nil {
		return nil, blame(ctx, f)
	}
	defer s.release(ss)
	l := &listing{ttl: defaultTTL}
	var cursor *string
	seen := make(map[string]bool)
	for n := 0; ; n++ {
		p, f := s.page(ctx, ss, cursor)
		if f != nil {
			if f.lost {
				s.drop(ss)
			}
			return nil, blame(ctx, f)
		}
		l.entries = append(l.entries, p.entries...)
		if p.ttl > 0 {
			l.ttl = p.ttl
		}
		if p.next == nil || seen[*p.next] { // a cursor that comes again leads in circles
			break
		}
		if n+1 == maxPages || len(l.entries) >= maxTools {
			l.cut = true
			break
		}
		cursor = p.next
		seen[*cursor] = true
	}
	slices.SortStableFunc(l.entries, func(a, b *entry) int { return strings.Compare(a.tool.Name, b.tool.Name) })
	l.entries = slices.CompactFunc(l.entries, func(a, b *entry) bool { return a.tool.Name == b.tool.Name })
	if len(l.entries) > maxTools {
		l.entries, l.cut = l.entries[:maxTools], true
	}
	if ss.headers {
		for _, e := range ss.teach(ctx, l.entries) {
			e.refused = "its " + headerMark + " is not valid"
		}
	}
	l.at = time.Now()
	return l, nil
}

// page is one of a list.
type page struct {
	entries []*entry
	next    *string
	ttl     time.Duration
}

func (s *Server) page(ctx context.Context, ss *session, cursor *string) (*page, *fault) {
	x := &exchange{cursor: cursor}
	cctx, cancel := context.WithCancel(x.with(ctx))
	_, err := ss.cs.ListTools(cctx, new(sdk.ListToolsParams))
	raw, f, sent := x.end()
	cancel()
	switch {
	case f != nil:
		return nil, f
	case raw == nil:
		return nil, s.callFault(ctx, err, sent)
	case err != nil:
		return nil, &fault{kind: KindProtocol, text: "listed its tools in a way that can't be read", cause: err}
	}
	p, err := s.decodePage(raw)
	if err != nil {
		return nil, &fault{kind: KindProtocol, text: "listed its tools in a way that can't be read", cause: err}
	}
	return p, nil
}

func (s *Server) decodePage(raw json.RawMessage) (*page, error) {
	var list struct {
		Tools []json.RawMessage `json:"tools"`
		Next  *string           `json:"nextCursor"`
		TTL   *float64          `json:"ttlMs"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	if list.Tools == nil {
		return nil, errors.New("a list without tools")
	}
	p := &page{next: list.Next}
	if list.TTL != nil {
		ms := min(max(*list.TTL, 0), float64(maxTTL/time.Millisecond))
		p.ttl = max(time.Duration(ms)*time.Millisecond, minTTL)
	}
	for _, raw := range list.Tools[:min(len(list.Tools), maxTools+1)] {
		if e := s.decodeTool(raw); e != nil {
			p.entries = append(p.entries, e)
		}
	}
	return p, nil
}

// decodeTool reads a tool, nil if it is not even one with a name.
func (s *Server) decodeTool(raw json.RawMessage) *entry {
	var t struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Schema      json.RawMessage `json:"inputSchema"`
	}
	if json.Unmarshal(raw, &t) != nil || t.Name == "" {
		return nil
	}
	schema := json.RawMessage(`{"type":"object"}`)
	var short bytes.Buffer
	if json.Compact(&short, t.Schema) == nil && short.Len() > 0 && short.Bytes()[0] == '{' {
		schema = short.Bytes()
	}
	e := &entry{hash: definitionHash(t.Name, t.Description, schema)}
	e.refused = unfit(t.Name, t.Description, schema)
	if e.refused != "" && len(schema) > maxSchema {
		schema = json.RawMessage(`{"type":"object"}`)
	}
	description := s.scrub.text(t.Description)
	if len(description) > maxDescription {
		description = description[:runeStart(description, maxDescription-len("…"))] + "…"
	}
	name := t.Name
	if len(name) > maxName {
		name = name[:runeStart(name, maxName)]
	}
	e.tool = &Tool{Server: s.o.Name, Name: strings.Clone(name), Description: strings.Clone(description), Schema: []byte(s.scrub.text(string(schema)))}
	return e
}

// unfit says why a tool must not be offered, nothing if it may (contract X8).
func unfit(name, description string, schema json.RawMessage) string {
	switch {
	case len(name) > maxName:
		return fmt.Sprintf("its name is longer than %d bytes", maxName)
	case len(schema) > maxSchema:
		return fmt.Sprintf("its schema is larger than %d KiB", maxSchema>>10)
	case tooDeep(schema):
		return "its schema is nested too deeply"
	}
	if c := hiddenIn(name, false); c != "" {
		return "its name has the invisible character " + c
	}
	if c := hiddenIn(description, true); c != "" {
		return "its description has the invisible character " + c
	}
	if c := hiddenInJSON(schema); c != "" {
		return "its schema has the invisible character " + c
	}
	return ""
}
