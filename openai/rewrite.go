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
	out := make([]byte, 0, len(r.body)+len(e.Model)+64)
	copied := int32(0) // everything before it is in out or left out
	last := int32(0)   // end of the last member that stays
	kept := 0
	for i, f := range r.fields {
		name, keep := r.target(i, e)
		if !keep {
			// The comma before the member goes with it; of the first members the
			// one behind it.
			switch {
			case kept > 0:
				out = append(out, r.body[copied:max(copied, last)]...)
				copied = f.end
			case i+1 < len(r.fields):
				out = append(out, r.body[copied:f.key]...)
				copied = r.fields[i+1].key
			default:
				out = append(out, r.body[copied:f.key]...)
				copied = f.end
			}
			last = max(last, copied)
			continue
		}
		kept++
		if name != "" {
			out = append(out, r.body[copied:f.key]...)
			out = appendString(out, name)
			copied = f.keyEnd
		}
		switch {
		case e.Model != "" && r.is(fModel, i):
			out = append(out, r.body[copied:f.val]...)
			out = appendString(out, e.Model)
			copied = f.end
		case ask && r.is(fStreamOptions, i):
			out = append(out, r.body[copied:f.val]...)
			out = appendAsking(out, r.body[f.val:f.end])
			copied = f.end
			ask = false
		}
		last = f.end
	}
	if ask {
		out = append(out, r.body[copied:max(copied, last)]...)
		copied = max(copied, last)
		if kept > 0 {
			out = append(out, ',')
		}
		out = append(out, `"stream_options":{"include_usage":true}`...)
	}
	return append(out, r.body[copied:]...)
}

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
