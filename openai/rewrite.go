package openai

import "slices"

const includeUsage = "include_usage"

// Rename moves a field's value to another name.
type Rename struct{ From, To string }

// Edit says what Rewrite changes. The zero Edit changes nothing.
type Edit struct {
	// Model replaces the model's id.
	Model string

	// AskUsage makes stream_options.include_usage true, in streams only: the
	// gateway counts tokens whether or not the client asked (contract S2). The
	// responses endpoint always tells them, and refuses to be asked.
	AskUsage bool

	// Drop leaves out top-level fields that the upstream does not know.
	Drop []string

	// Rename renames top-level fields. A field already there under the new name
	// wins, then the last one to get it, and the others are dropped: there must
	// not be two.
	Rename []Rename
}

// Rewrite returns a fresh body with e applied. Every byte outside of the edited
// fields is the client's own (contract R1).
func (r *Request) Rewrite(e Edit) []byte {
	ask := e.AskUsage && r.Stream && !r.IncludeUsage && r.Endpoint != Responses && !slices.Contains(e.Drop, fieldNames[fStreamOptions])
	first, last := r.fields[0], r.fields[len(r.fields)-1] // there is one at least: model
	out := make([]byte, 0, len(r.body)+len(e.Model)+64)
	out = append(out, r.body[:first.key]...)
	kept := false
	for i, f := range r.fields {
		name, keep := r.target(i, e)
		if !keep {
			continue
		}
		if kept { // the comma before a member stays or goes with it
			out = append(out, r.body[r.fields[i-1].end:f.key]...)
		}
		kept = true
		copied := f.key
		if name != "" {
			out = AppendString(out, name)
			copied = f.keyEnd
		}
		switch {
		case e.Model != "" && r.is(fModel, i):
			out = append(out, r.body[copied:f.val]...)
			out = AppendString(out, e.Model)
		case ask && r.is(fStreamOptions, i):
			out = append(out, r.body[copied:f.val]...)
			out = appendAsking(out, r.body[f.val:f.end])
			ask = false
		default:
			out = append(out, r.body[copied:f.end]...)
		}
	}
	if ask {
		if kept {
			out = append(out, ',')
		}
		out = append(out, `"stream_options":{"include_usage":true}`...)
	}
	return append(out, r.body[last.end:]...)
}

// is reports whether field i is the known one.
func (r *Request) is(known, i int) bool { return int(r.seen[known]) == i+1 }

// target says whether field i stays, and under which other name.
func (r *Request) target(i int, e Edit) (name string, keep bool) {
	name, keep = r.edited(r.fields[i], e)
	if name == "" {
		return "", keep
	}
	for j, f := range r.fields {
		other, stays := r.edited(f, e)
		if stays && (other == "" && r.named(f, name) || other == name && j > i) {
			return "", false
		}
	}
	return name, true
}

// edited is target for a field on its own.
func (r *Request) edited(f field, e Edit) (name string, keep bool) {
	for _, d := range e.Drop {
		if r.named(f, d) {
			return "", false
		}
	}
	for _, n := range e.Rename {
		if r.named(f, n.From) {
			return n.To, true
		}
	}
	return "", true
}

// appendAsking appends stream_options with include_usage true.
func appendAsking(dst, options []byte) []byte {
	s := scanner{b: options}
	if s.peek() != '{' { // null
		return append(dst, `{"include_usage":true}`...)
	}
	s.enterObject()
	inside := s.i
	n, from, to := 0, -1, 0
	for {
		key, ok := s.nextMember(&n)
		if !ok {
			break
		}
		s.space()
		begin := s.i
		s.skip()
		if means(key, includeUsage) {
			from, to = begin, s.i
		}
	}
	if from >= 0 {
		dst = append(dst, options[:from]...)
		dst = append(dst, "true"...)
		return append(dst, options[to:]...)
	}
	dst = append(dst, options[:inside]...)
	dst = append(dst, `"include_usage":true`...)
	if n > 0 {
		dst = append(dst, ',')
	}
	return append(dst, options[inside:]...)
}
