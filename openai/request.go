package openai

import (
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// Request is a thin view of a request body. It has validated the whole and
// knows where the top-level fields are; nothing else is decoded, so that every
// byte the gateway does not need reaches the upstream as the client sent it
// (contract R1). It is immutable and safe for concurrent use.
type Request struct {
	Endpoint Endpoint
	Model    string
	Stream   bool

	// Choices is how many answers are asked for: n, or 1, for every prompt.
	Choices int

	// IncludeUsage is the client's own stream_options.include_usage.
	IncludeUsage bool

	body    []byte
	fields  []field
	inline  [16]field
	prompts int                // of a completion
	seen    [knownFields]int16 // index into fields + 1
}

// field is a top-level member: where its key begins and ends (quotes included)
// and its value.
type field struct{ key, keyEnd, val, end int32 }

// ParseRequest views body as a request to ep. The body is kept and must not
// change afterwards. The error is a 400 that names the field or the offset.
func ParseRequest(ep Endpoint, body []byte) (*Request, *Error) {
	if !utf8.Valid(body) {
		return nil, InvalidRequest("", "We could not parse the JSON body of your request: invalid UTF-8 at offset %d.", invalidUTF8(body))
	}
	r := &Request{Endpoint: ep, Choices: 1, body: body}
	r.fields = r.inline[:0]
	s := scanner{b: body}
	if e := r.scan(&s); e != nil {
		return nil, e
	}
	if s.end(); s.fault != "" {
		return nil, InvalidRequest("", "We could not parse the JSON body of your request: %v.", s.err())
	}
	if r.prompts > 1 {
		r.Choices *= r.prompts
	}
	if r.seen[fModel] == 0 {
		return nil, InvalidRequest("model", "You must provide a model parameter.")
	}
	if ep == Chat && r.seen[fMessages] == 0 {
		return nil, InvalidRequest("messages", "Missing required parameter: 'messages'.")
	}
	if ep == Embeddings && r.Stream {
		return nil, InvalidRequest("stream", "Embeddings cannot be streamed.")
	}
	return r, nil
}

func invalidUTF8(b []byte) (at int) {
	for at < len(b) {
		r, n := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && n == 1 {
			return at
		}
		at += n
	}
	return at
}

// scan walks the top level. Faults of syntax stay in s.
func (r *Request) scan(s *scanner) *Error {
	if s.peek(); s.i == len(s.b) {
		return InvalidRequest("", "The request body is empty; a JSON object is expected.")
	}
	if !s.enterObject() {
		return nil
	}
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			return nil
		}
		if n > maxFields {
			return InvalidRequest("", "The request has more than %d top-level fields.", maxFields)
		}
		keyEnd := s.i - 1
		for s.b[keyEnd-1] != '"' {
			keyEnd--
		}
		s.space()
		at := field{key: int32(keyEnd - len(key) - 2), keyEnd: int32(keyEnd), val: int32(s.i)} //nolint:gosec // bodies are capped far below 2 GiB
		f, exact := lookUp(key)
		switch {
		case f < 0:
			s.skip()
		case !exact:
			return InvalidRequest(fieldNames[f], "The field '%s' must be written '%s'.", Cut(unquote(key), 64), fieldNames[f])
		case r.seen[f] != 0:
			return InvalidRequest(fieldNames[f], "The field '%s' occurs more than once.", fieldNames[f])
		default:
			if e := r.read(f, s); e != nil {
				return e
			}
		}
		if s.fault != "" {
			return nil
		}
		at.end = int32(s.i) //nolint:gosec // see above
		r.fields = append(r.fields, at)
		if f >= 0 {
			r.seen[f] = int16(len(r.fields)) //nolint:gosec // at most maxFields
		}
	}
}

// PeekModel returns what a refused request names as its model, for logs; "" if
// that cannot be told.
func PeekModel(body []byte) string {
	var doc struct{ Model string }
	if json.Unmarshal(body, &doc) != nil || CheckModel(doc.Model) != nil {
		return ""
	}
	return doc.Model
}

// Body returns the body as it came. It must not be changed.
func (r *Request) Body() []byte { return r.body }

// Field returns the bytes of a top-level field's value, nil when it is absent.
// Of an unknown field that occurs twice the last is returned, as most decoders
// do.
func (r *Request) Field(name string) []byte {
	for _, f := range slices.Backward(r.fields) {
		if r.named(f, name) {
			return r.body[f.val:f.end]
		}
	}
	return nil
}

func (r *Request) named(f field, name string) bool {
	return means(r.body[f.key+1:f.keyEnd-1], name)
}
