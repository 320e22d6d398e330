package openai

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// event is an Event that outlives its reader.
type event struct {
	Raw, Type, Data string
	Partial         bool
}

func keep(ev Event) event { return event{string(ev.Raw), string(ev.Type), string(ev.Data), ev.Partial} }

// events reads src to its end; the error is nil for a clean one.
func events(src io.Reader) (all []event, err error) {
	er := NewEventReader(src)
	defer er.Release()
	for {
		ev, err := er.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, keep(ev))
	}
}

// fields reads the stream and leaves the Raws out.
func fields(evs []event) (out []event) {
	for _, ev := range evs {
		ev.Raw = ""
		out = append(out, ev)
	}
	return out
}

// The streams are cut into two reads at every byte, and into reads of one byte:
// none of it may be seen in the events.
//
// security: X10
func TestEvents(t *testing.T) {
	data := func(d ...string) (evs []event) {
		for _, d := range d {
			evs = append(evs, event{Data: d})
		}
		return evs
	}
	for name, c := range map[string]struct {
		stream string
		want   []event
	}{
		"nothing":                {"", nil},
		"one":                    {"data: a\n\n", data("a")},
		"three":                  {"data: a\n\ndata: b\n\ndata: [DONE]\n\n", data("a", "b", "[DONE]")},
		"CRLF":                   {"data: a\r\n\r\ndata: b\r\n\r\n", data("a", "b")},
		"lone CR":                {"data: a\r\rdata: b\r\r", data("a", "b")},
		"every line end":         {"data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\rdata: e\r\n\r", data("a", "b", "c", "d", "e")},
		"CR within LF":           {"data: a\rdata: b\n\ndata: c\n\n", data("a\nb", "c")},
		"no space":               {"data:a\n\ndata:  b \n\n", data("a", " b ")},
		"a tab is no space":      {"data:\ta\n\n", data("\ta")},
		"colons in data":         {"data: {\"a\":1}\n\n", data(`{"a":1}`)},
		"many lines":             {"data: a\ndata:b\ndata\ndata: \ndata: c\n\ndata: d\ndata: e\n\n", data("a\nb\n\n\nc", "d\ne")},
		"empty data":             {"data\n\ndata:\n\n", data("", "")},
		"a comment of its own":   {": keep-alive\n\ndata: a\n\n", data("", "a")},
		"a comment before":       {": hi\ndata: a\n\n", data("a")},
		"a comment between":      {"data: a\n:\n: hi\ndata: b\n\n", data("a\nb")},
		"stray blank lines":      {"\n\ndata: a\n\n\n", data("", "", "a", "")},
		"other fields":           {"id: 7\nretry: 10\ndata: a\nx\n\n", data("a")},
		"names that only begin":  {"database: a\neventual: b\ndata : c\n data: d\nDATA: e\n\n", data("")},
		"event: error":           {"event: error\ndata: {}\n\n", []event{{Type: "error", Data: "{}"}}},
		"type after the data":    {"data: {}\nevent:error\n\ndata: a\n\n", []event{{Type: "error", Data: "{}"}, {Data: "a"}}},
		"two types":              {"event: a\nevent: b\ndata: c\n\nevent\n\n", []event{{Type: "b", Data: "c"}, {}}},
		"UTF-8 and zero":         {"data: é😀\x00\xff\u2028\n\n", data("é😀\x00\xff\u2028")},
		"byte order mark":        {"\xEF\xBB\xBFdata: a\n\n\xEF\xBB\xBFdata: b\n\n", data("a", "")},
		"only a byte order mark": {"\xEF\xBB\xBF", nil},
		"half a mark":            {"\xEF\xBBdata: a\n\n", data("")},
		"half a mark, the end":   {"\xEF\xBB", []event{{Partial: true}}},
		"cut in the data":        {"data: a\n\ndata: b", []event{{Data: "a"}, {Data: "b", Partial: true}}},
		"cut before blank":       {"event: error\ndata: a\ndata: b\n", []event{{Type: "error", Data: "a\nb", Partial: true}}},
		"cut before blank, CR":   {"data: a\r", []event{{Data: "a", Partial: true}}},
		"cut before blank, CRLF": {"data: a\r\n", []event{{Data: "a", Partial: true}}},
		"cut in a name":          {"data: a\ndat", []event{{Data: "a", Partial: true}}},
		"cut in a comment":       {": hi", []event{{Partial: true}}},
		"not a stream":           {"<html>\n<p>Bad gateway</p>\n\n</html>", []event{{}, {Partial: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			whole, err := events(strings.NewReader(c.stream))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "events", fields(whole), c.want)
			raws := ""
			for _, ev := range whole {
				raws += ev.Raw
			}
			if want := strings.TrimPrefix(c.stream, "\xEF\xBB\xBF"); raws != want {
				t.Errorf("raws %q, want %q", raws, want)
			}
			for i := range c.stream {
				cut, err := events(io.MultiReader(strings.NewReader(c.stream[:i]), strings.NewReader(c.stream[i:])))
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "cut at "+c.stream[:i], cut, whole)
			}
			bytewise, err := events(iotest.OneByteReader(strings.NewReader(c.stream)))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "byte by byte", bytewise, whole)
			together, err := events(iotest.DataErrReader(strings.NewReader(c.stream)))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "data with the end", together, whole)
		})
	}
}

func equal(t *testing.T, what string, got, want []event) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%s, from event %d:\ngot  %#v\nwant %#v", what, i, got[min(i, len(got)):], want[min(i, len(want)):])
		}
	}
}

// An event that is complete before the connection breaks is handed out; what was
// cut off by it is not, and the error stays.
//
// contract: S4
func TestBrokenConnection(t *testing.T) {
	broken := errors.New("connection reset")
	er := NewEventReader(io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(broken)))
	defer er.Release()
	if ev, err := er.Next(); err != nil || string(ev.Data) != "a" {
		t.Fatalf("%q, %v", ev.Data, err)
	}
	for range 2 {
		if ev, err := er.Next(); !errors.Is(err, broken) || ev.Raw != nil {
			t.Fatalf("%q, %v", ev.Raw, err)
		}
	}
}

func TestSilentReader(t *testing.T) {
	if _, err := events(silent{}); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// One read's events are taken as one piece: their Raws stand side by side, and
// none of their slices changes while there are more.
func TestBufferedEventsStandSideBySide(t *testing.T) {
	er := NewEventReader(strings.NewReader("data: a\ndata: b\n\n: c\n\ndata: d\ndata: e\n\ndata: f"))
	defer er.Release()
	if er.Buffered() {
		t.Fatal("an event before the first read")
	}
	var evs []Event
	for ok := true; ok; ok = er.Buffered() {
		ev, err := er.Next()
		if err != nil {
			t.Fatal(err)
		}
		evs = append(evs, ev)
	}
	if len(evs) != 3 || string(evs[0].Data) != "a\nb" || string(evs[2].Data) != "d\ne" {
		t.Fatalf("%#v", evs)
	}
	all := evs[0].Raw[:len(evs[0].Raw)+len(evs[1].Raw)+len(evs[2].Raw)]
	if string(all) != "data: a\ndata: b\n\n: c\n\ndata: d\ndata: e\n\n" {
		t.Errorf("%q", all)
	}
}

func TestIsDone(t *testing.T) {
	for data, want := range map[string]bool{"[DONE]": true, " [DONE]\t": true, "": false, "[done]": false, `"[DONE]"`: false, "[DONE] [DONE]": false} {
		if IsDone([]byte(data)) != want {
			t.Errorf("%q: want %v", data, want)
		}
	}
}
