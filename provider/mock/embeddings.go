package mock

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// Bounds on what one request can make us send. OpenAI takes 2048 inputs, too.
const (
	defaultDimensions = 256
	maxDimensions     = 4096
	maxInputs         = 2048
)

// embeddings speaks /v1/embeddings. Every input is one step, so that a big
// answer is never in memory as a whole.
type embeddings struct {
	model      string
	inputs     []uint64 // their digests
	dimensions int
	base64     bool
	prompt     int64

	vector []float32
	raw    []byte
}

func (p *Provider) embed(ctx context.Context, c *provider.Call) (*provider.Response, error) {
	e, refusal := newEmbeddings(c)
	if refusal != nil {
		return refuse(ctx, refusal), nil
	}
	// A vector is not made token by token: it takes the time of one.
	whole := p.pace(1)
	if err := waitUntil(ctx, whole.due(whole.last())); err != nil {
		return nil, err
	}
	at := pace{tokens: len(e.inputs), cuts: p.o.Cut > 0, cut: min(p.o.Cut, len(e.inputs))}
	header := http.Header{"Content-Type": {"application/json"}}
	return &provider.Response{Status: http.StatusOK, Header: header, Body: newStream(ctx, e, at)}, nil
}

func newEmbeddings(c *provider.Call) (*embeddings, *openai.Error) {
	r := c.Request
	e := &embeddings{model: c.Model, dimensions: defaultDimensions, prompt: estimate(r.Field("input"))}
	if v := r.Field("dimensions"); v != nil && string(v) != "null" {
		n, err := strconv.Atoi(string(v))
		if err != nil || n < 1 || n > maxDimensions {
			return nil, openai.InvalidRequest("dimensions", "Invalid 'dimensions': expected an integer from 1 to %d.", maxDimensions)
		}
		e.dimensions = n
	}
	switch string(r.Field("encoding_format")) {
	case "", "null", `"float"`:
	case `"base64"`:
		e.base64 = true
	default:
		return nil, openai.InvalidRequest("encoding_format", "Invalid 'encoding_format': expected 'float' or 'base64'.")
	}
	inputs, ok := digests(r.Field("input"))
	if !ok || len(inputs) == 0 || len(inputs) > maxInputs {
		return nil, openai.InvalidRequest("input", "Invalid 'input': expected a string, or an array of 1 to %d strings, of integers, or of arrays of integers.", maxInputs)
	}
	e.inputs = inputs
	return e, nil
}

// digests returns the digest of each input. A text has the same one however its
// JSON is escaped, and alone as in a list.
func digests(raw []byte) (list []uint64, ok bool) {
	var text string
	var texts []string
	var tokens []int64
	var lists [][]int64
	switch {
	case raw == nil || string(raw) == "null":
		return nil, false
	case json.Unmarshal(raw, &text) == nil:
		return []uint64{digest([]byte(text))}, true
	case json.Unmarshal(raw, &texts) == nil:
		for _, t := range texts {
			list = append(list, digest([]byte(t)))
		}
		return list, true
	case json.Unmarshal(raw, &tokens) == nil:
		return []uint64{digestTokens(tokens)}, true
	case json.Unmarshal(raw, &lists) == nil:
		for _, l := range lists {
			list = append(list, digestTokens(l))
		}
		return list, true
	}
	return nil, false
}

func digestTokens(tokens []int64) uint64 {
	b := make([]byte, 0, 8*len(tokens))
	for _, t := range tokens {
		b = binary.LittleEndian.AppendUint64(b, uint64(t)) //nolint:gosec // the bits count
	}
	return digest(b)
}

func (e *embeddings) step(dst []byte, k int) []byte {
	switch {
	case k == 0:
		return append(dst, `{"object":"list","data":[`...)
	case k > len(e.inputs):
		dst = append(dst, `],"model":`...)
		dst = openai.AppendString(dst, e.model)
		dst = append(dst, `,"usage":{"prompt_tokens":`...)
		dst = appendInt(dst, e.prompt)
		dst = append(dst, `,"total_tokens":`...)
		dst = appendInt(dst, e.prompt)
		return append(dst, "}}"...)
	case k > 1:
		dst = append(dst, ',')
	}
	dst = append(dst, `{"object":"embedding","index":`...)
	dst = appendInt(dst, k-1)
	dst = append(dst, `,"embedding":`...)
	dst = e.appendVector(dst, e.inputs[k-1])
	return append(dst, '}')
}

// appendVector appends the unit vector that belongs to a digest.
func (e *embeddings) appendVector(dst []byte, seed uint64) []byte {
	v, sum := e.vector[:0], 0.0
	for i := range e.dimensions {
		x := float64(int64(mix(seed+uint64(i)))) / (1 << 63) //nolint:gosec // the sign is as random as the rest
		sum += x * x
		v = append(v, float32(x))
	}
	e.vector = v
	length := float32(math.Sqrt(sum))
	if !e.base64 {
		dst = append(dst, '[')
		for i, x := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendFloat(dst, float64(x/length), 'g', -1, 32)
		}
		return append(dst, ']')
	}
	e.raw = e.raw[:0]
	for _, x := range v {
		e.raw = binary.LittleEndian.AppendUint32(e.raw, math.Float32bits(x/length))
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, e.raw)
	return append(dst, '"')
}
