package openai

import (
	"fmt"
	"strings"
	"testing"
)

func TestFields(t *testing.T) {
	r, e := ParseRequest(Chat, []byte(`{ "mod\u0065l" : "m", "messages":[{"role":"user"}] ,"x": {"a":[1, 2]},"temperature":0.50 }`))
	if e != nil {
		t.Fatal(e)
	}
	var got []string
	for name, value := range r.Fields() {
		got = append(got, name+"="+string(value))
	}
	if s := strings.Join(got, " "); s != `model="m" messages=[{"role":"user"}] x={"a":[1, 2]} temperature=0.50` {
		t.Error(s)
	}
	n := 0
	for range r.Fields() {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d fields after a break", n)
	}
}

func TestElements(t *testing.T) {
	for array, want := range map[string]string{
		`[]`: "", `[ 1 , {"a":[2]},"x,]" ]`: `1|{"a":[2]}|"x,]"|`, `{"a":1}`: "", `null`: "", ``: "", `[1,`: "1|",
	} {
		var got strings.Builder
		for v := range Elements([]byte(array)) {
			got.Write(v)
			got.WriteByte('|')
		}
		if got.String() != want {
			t.Errorf("%s: %s", array, got.String())
		}
	}
	for range Elements([]byte(`[1,2]`)) {
		break
	}
}

func TestMember(t *testing.T) {
	for object, want := range map[string]string{
		`{"a":1,"role" : "user" }`: `"user"`, `{"role":"x","r\u006fle":[1]}`: `[1]`, `{"a":{"role":1}}`: "none", `[]`: "none", ``: "none", `{"role"`: "none",
	} {
		got := "none"
		if from, to, ok := Member([]byte(object), "role"); ok {
			got = object[from:to]
		}
		if got != want {
			t.Errorf("%s: %s", object, got)
		}
	}
}

func ExampleElements() {
	for v := range Elements([]byte(`[{"role":"user"}, 7]`)) {
		fmt.Println(string(v))
	}
	// Output:
	// {"role":"user"}
	// 7
}
