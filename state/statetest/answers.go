package statetest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// answers are the scenarios of cached answers.
var answers = []scenarioOfOne{
	{"an answer's life", answersLife},
	{"answers of any size", answersSize},
	{"answers are told apart", answersApart},
}

func answersLife(t *testing.T, s state.Store) {
	const ttl = 500 * time.Millisecond
	look := func(key string) bool { return admit(t, s, state.Admission{Cache: key}).Cached != nil }
	key := name("key")
	s.Put(key+" none", []byte("answer"), 0)
	s.Put(key+" less", []byte("answer"), -time.Second)
	seen, put := false, time.Now()
	s.Put(key, []byte("answer"), ttl)
	await(t, "an answer comes and goes", func() bool {
		there, after := look(key), time.Since(put)
		switch {
		case there:
			seen = true
		case seen && after < ttl-skew:
			t.Fatalf("it is gone after %s, of %s", after, ttl)
		case !seen && after > ttl: // a busy machine has not looked in time
			put = time.Now()
			s.Put(key, []byte("answer"), ttl)
		}
		return seen && !there
	})
	if look(key+" none") || look(key+" less") {
		t.Error("there is one without a life")
	}
}

func answersSize(t *testing.T, s state.Store) {
	look := func(key string) []byte { return admit(t, s, state.Admission{Cache: key}).Cached }
	largest := bytes.Repeat([]byte("x"), state.MaxCached)
	empty, large := name("empty"), name("large")
	s.Put(empty, []byte{}, time.Hour)
	s.Put(large, largest, time.Hour)
	await(t, "an empty answer is one", func() bool { return look(empty) != nil })
	await(t, "the largest is there", func() bool { return bytes.Equal(look(large), largest) })
	s.Put(large, append(largest, 'x'), time.Hour)
	s.Put(empty, []byte("next"), time.Hour)
	await(t, "the next is there", func() bool { return string(look(empty)) == "next" })
	if got := look(large); !bytes.Equal(got, largest) {
		t.Errorf("one that is too large has changed what was there: %d bytes", len(got))
	}
}

// security: X6
func answersApart(t *testing.T, s state.Store) {
	run := name("key")
	keys := []string{"", "a", "A", "a ", "a\x00", "a\x00b", "a}", "{a}", "ä", strings.Repeat("a", 1000)}
	for _, key := range keys {
		s.Put(run+key, []byte("of "+key), time.Hour)
	}
	for _, key := range keys {
		var got []byte
		await(t, "the answer is there", func() bool { got = admit(t, s, state.Admission{Cache: run + key}).Cached; return got != nil })
		if string(got) != "of "+key {
			t.Errorf("%.20q has the answer %.20q", key, got)
		}
	}
	if got := admit(t, s, state.Admission{Cache: run + "b"}).Cached; got != nil {
		t.Errorf("there is %q for another", got)
	}
}
