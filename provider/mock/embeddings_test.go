package mock

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/openai/openaitest"
)

func vectors(t *testing.T, fields string) (list [][]float32) {
	t.Helper()
	body := ask(t, newMock(Options{}), openai.Embeddings, `{"model":"m",`+fields+`}`)
	doc := decode[struct {
		Data []struct {
			Index     int
			Embedding json.RawMessage
		}
		Usage struct {
			Prompt int `json:"prompt_tokens"`
			Total  int `json:"total_tokens"`
		}
	}](t, body)
	if doc.Usage.Prompt < 1 || doc.Usage.Total != doc.Usage.Prompt {
		t.Errorf("%+v", doc.Usage)
	}
	if !strings.Contains(fields, "base64") { // which the published schema does not know
		openaitest.Schema(t, "CreateEmbeddingResponse").Validate(t, []byte(body))
	}
	for i, d := range doc.Data {
		if d.Index != i {
			t.Errorf("index %d at %d", d.Index, i)
		}
		var v []float32
		if d.Embedding[0] == '"' {
			raw, err := base64.StdEncoding.DecodeString(decode[string](t, string(d.Embedding)))
			if err != nil {
				t.Fatal(err)
			}
			for ; len(raw) > 0; raw = raw[4:] {
				v = append(v, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
			}
		} else {
			v = decode[[]float32](t, string(d.Embedding))
		}
		list = append(list, v)
	}
	return list
}

// contract: R6
func TestEmbeddingsAreUnitVectors(t *testing.T) {
	for fields, want := range map[string]struct{ inputs, dimensions int }{
		`"input":"one"`:                                                    {1, 256},
		`"input":["one","two","one"]`:                                      {3, 256},
		`"input":[1,2,3]`:                                                  {1, 256},
		`"input":[[1,2],[3]],"dimensions":3`:                               {2, 3},
		`"input":"one","dimensions":4096`:                                  {1, 4096},
		`"input":"one","dimensions":null`:                                  {1, 256},
		`"input":"one","encoding_format":"base64"`:                         {1, 256},
		`"input":["a","b"],"encoding_format":null`:                         {2, 256},
		`"input":"","dimensions":1`:                                        {1, 1},
		`"input":["` + strings.Repeat(`x","`, 2047) + `x"],"dimensions":2`: {2048, 2},
	} {
		list := vectors(t, fields)
		if len(list) != want.inputs {
			t.Fatalf("%.40s: %d vectors", fields, len(list))
		}
		for _, v := range list {
			sum := 0.0
			for _, x := range v {
				sum += float64(x) * float64(x)
			}
			if len(v) != want.dimensions || math.Abs(sum-1) > 1e-5 {
				t.Errorf("%.40s: %d dimensions, length² %v", fields, len(v), sum)
			}
		}
	}
}

func TestSameInputSameVector(t *testing.T) {
	want := vectors(t, `"input":"one two"`)[0]
	for _, fields := range []string{
		`"input":["one two"]`, `"input":"one\u0020two"`, `"input":"one two","user":"u","encoding_format":"base64"`, `"input":["x","one two"]`,
	} {
		list := vectors(t, fields)
		if got := list[len(list)-1]; !slices.Equal(got, want) {
			t.Errorf("%s gets another vector", fields)
		}
	}
	if a := vectors(t, `"input":[[1,2],[1,2],[2,1]]`); !slices.Equal(a[0], a[1]) || slices.Equal(a[0], a[2]) {
		t.Error("token lists are not told apart by their tokens")
	}
	if slices.Equal(vectors(t, `"input":"one three"`)[0], want) {
		t.Error("two texts get one vector")
	}
}

func TestBadEmbeddings(t *testing.T) {
	many := `["` + strings.Repeat(`x","`, 2048) + `x"]`
	for _, fields := range []string{
		`"input":null`, `"input":[]`, `"input":7`, `"input":[1,"x"]`, `"input":[1.5]`, `"input":` + many, `"user":"u"`,
		`"input":"x","dimensions":4097`, `"input":"x","dimensions":"3"`, `"input":"x","encoding_format":3`,
	} {
		if res := do(t, newMock(Options{}), openai.Embeddings, fmt.Sprintf(`{"model":"m",%s}`, fields)); res.Status != 400 {
			t.Errorf("%.40s: %d", fields, res.Status)
		}
	}
}
