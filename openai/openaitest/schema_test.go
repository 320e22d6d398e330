package openaitest

import (
	"reflect"
	"testing"
)

func TestNullableIsRewritten(t *testing.T) {
	null := map[string]any{"type": "null"}
	for name, c := range map[string]struct{ in, want any }{
		"a plain schema stays": {
			in:   map[string]any{"type": "string"},
			want: map[string]any{"type": "string"},
		},
		"a nullable schema may be null": {
			in:   map[string]any{"type": "string", "enum": []any{"stop"}, "nullable": true},
			want: map[string]any{"anyOf": []any{map[string]any{"type": "string", "enum": []any{"stop"}}, null}},
		},
		"so may a reference": {
			in:   map[string]any{"$ref": "#/x", "nullable": true},
			want: map[string]any{"anyOf": []any{map[string]any{"$ref": "#/x"}, null}},
		},
		"inside of lists and properties": {
			in:   []any{map[string]any{"properties": map[string]any{"p": map[string]any{"nullable": true}}}},
			want: []any{map[string]any{"properties": map[string]any{"p": map[string]any{"anyOf": []any{map[string]any{}, null}}}}},
		},
		"a property called nullable is no keyword": {
			in:   map[string]any{"properties": map[string]any{"nullable": map[string]any{"type": "boolean"}}},
			want: map[string]any{"properties": map[string]any{"nullable": map[string]any{"type": "boolean"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := allowNull(c.in); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v\nwant %v", got, c.want)
			}
		})
	}
}

func TestCheckTellsGoodFromBad(t *testing.T) {
	v := Schema(t, "ErrorResponse")
	for doc, good := range map[string]bool{
		`{"error":{"message":"m","type":"t","param":null,"code":null}}`: true,
		`{"error":{"message":"m","type":"t","param":"p","code":"c"}}`:   true,
		`{"error":{"message":"m","type":"t","param":null}}`:             false,
		`{"error":{"message":"m","type":"t","param":1,"code":null}}`:    false,
		`{"error":null}`: false,
		`{"error":`:      false,
	} {
		if err := v.Check([]byte(doc)); (err == nil) != good {
			t.Errorf("%s: got %v", doc, err)
		}
	}
}
