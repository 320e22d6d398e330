package mcp

import (
	"bytes"
	"context"
	"encoding/json"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// headerMark is in the schema of every tool with arguments that are to be sent in
// headers too, as 2026-07-28 has it.
const headerMark = "x-mcp-header"

// noTools is a list without any.
const noTools = `{"resultType":"complete","tools":[]}`

// marked reports whether a tool has the mark.
func (e *entry) marked() bool {
	return e.refused == "" && bytes.Contains(e.tool.Schema, []byte(headerMark))
}

// teach tells the SDK of the tools whose arguments travel in headers, without asking
// the server, and returns those that it finds wrongly marked. The SDK knows tools by
// its cache of lists, from which asking for one takes it out first. So it gets to know
// new ones as another page, before it is told to forget those of the last time: a
// call made meanwhile finds either.
func (ss *session) teach(ctx context.Context, entries []*entry) (bad []*entry) {
	type tool struct {
		Name        string          `json:"name"`
		InputSchema json.RawMessage `json:"inputSchema"`
	}
	list := struct {
		Type  string `json:"resultType"`
		Tools []tool `json:"tools"`
	}{"complete", []tool{}}
	for _, e := range entries {
		if !e.marked() {
			continue
		}
		if schema, err := normal(e.tool.Schema); err == nil {
			list.Tools = append(list.Tools, tool{e.tool.Name, schema})
		}
	}
	ss.lesson.Lock()
	defer ss.lesson.Unlock()
	if len(list.Tools) == 0 && ss.page == 0 {
		return nil
	}
	canned, err := json.Marshal(list)
	if err != nil {
		return nil
	}
	ss.page++
	good, ok := ss.learn(ctx, ss.page, canned)
	ss.learn(ctx, ss.page-1, json.RawMessage(noTools))
	for _, e := range entries {
		if ok && e.marked() && !good[e.tool.Name] {
			bad = append(bad, e)
		}
	}
	return bad
}

// learn has the SDK keep a list as the page n, of two, and returns the names of those
// that it finds good. It fails when the session has ended.
func (ss *session) learn(ctx context.Context, n uint, canned json.RawMessage) (good map[string]bool, ok bool) {
	x := &exchange{canned: canned}
	list, err := ss.cs.ListTools(x.with(ctx), &sdk.ListToolsParams{Cursor: [...]string{"even", "odd"}[n%2]})
	if err != nil {
		return nil, false
	}
	good = make(map[string]bool, len(list.Tools))
	for _, t := range list.Tools {
		good[t.Name] = true
	}
	return good, true
}
