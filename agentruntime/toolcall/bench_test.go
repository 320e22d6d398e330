package toolcall

import (
	"strings"
	"testing"
)

func BenchmarkText(b *testing.B) {
	prose := strings.Repeat("The proxy answers 502 since 14:07, but only for uploads above 8 MB; see `proxy.log`.\n\n", 50)
	for name, text := range map[string]string{
		"prose": prose,
		"call":  "<tool_call>\n{\"name\": \"read\", \"arguments\": {\"path\": \"a\"}}\n</tool_call>",
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, _, err := Text(text, known); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkArguments(b *testing.B) {
	const raw = `{"path": "/srv/app/query.py", "view_range": [2142, 2250], "deep": {"a": true}}`
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Arguments(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBegins(b *testing.B) {
	const text = "The proxy answers 502 since 14:07, but only for uploads above 8 MB"
	b.ReportAllocs()
	for b.Loop() {
		Begins(text)
	}
}
