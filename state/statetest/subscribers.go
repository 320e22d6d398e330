package statetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// subscribers are the scenarios of those who listen to one store.
var subscribers = []scenarioOfOne{
	{"own news come in order", inOrder},
	{"a subscriber that does not listen holds nobody up", holdsNobodyUp},
	{"the end of a subscription waits for the call under way", waitsForTheCall},
	{"a watch ends with its context", watchEnds},
}

// newTopic makes a topic that no other scenario has.
func newTopic() string { return strings.ReplaceAll(name("topic"), " ", "_") }

// number is a message of its own.
func number(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) } //nolint:gosec // small

// listener keeps what a subscriber gets.
type listener struct {
	mu     sync.Mutex
	got    [][]byte
	missed int
	inside atomic.Int32
	twice  atomic.Bool // two calls at once
}

func (l *listener) hear(m []byte) {
	if l.inside.Add(1) > 1 {
		l.twice.Store(true)
	}
	defer l.inside.Add(-1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if m == nil {
		l.missed++
		return
	}
	l.got = append(l.got, m)
}

// heard returns how many messages have come, and how often some may have been missed.
func (l *listener) heard() (n, missed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.got), l.missed
}

func inOrder(t *testing.T, s state.Store) {
	const many = 200
	topic := newTopic()
	var first, second listener
	end := s.Bus().Subscribe(topic, first.hear)
	defer end()
	quiet := s.Bus().Subscribe(topic, second.hear)
	for i := range many {
		if i == many/2 {
			await(t, "half of them have come", func() bool { n, _ := second.heard(); return n == many/2 })
			quiet()
		}
		s.Bus().Publish(topic, number(i))
	}
	s.Bus().Publish(topic, []byte{}) // nil would mean something else
	await(t, "all have come", func() bool { n, _ := first.heard(); return n == many+1 })
	if n, _ := second.heard(); n != many/2 {
		t.Errorf("one that has left has heard %d", n)
	}
	if first.twice.Load() || second.twice.Load() {
		t.Error("two calls at once")
	}
	for i, m := range first.got[:many] {
		if !bytes.Equal(m, number(i)) {
			t.Fatalf("%v, want %v", m, number(i))
		}
	}
}

// Publish returns at once whatever a subscriber does, and one that could not follow is
// told that it has missed something.
func holdsNobodyUp(t *testing.T, s state.Store) {
	const many = 2000
	topic, release := newTopic(), make(chan struct{})
	wake := sync.OnceFunc(func() { close(release) })
	var slow, quick listener
	asleep := make(chan struct{})
	sleep := sync.OnceFunc(func() { close(asleep); <-release })
	endSlow := s.Bus().Subscribe(topic, func(m []byte) {
		if slow.hear(m); m != nil {
			sleep()
		}
	})
	defer endSlow()
	endQuick := s.Bus().Subscribe(topic, quick.hear)
	defer endQuick()
	defer wake() // before the subscription ends: it waits for the call
	s.Bus().Publish(topic, number(0))
	wait(t, "it sleeps", asleep)
	_, before := slow.heard()
	published := make(chan struct{})
	go func() {
		defer close(published)
		for i := range many {
			s.Bus().Publish(topic, number(i+1))
		}
	}()
	wait(t, "all are published", published)
	await(t, "another subscriber hears", func() bool { n, missed := quick.heard(); return n > many || missed > 0 && n > 1 })
	wake()
	await(t, "it has all, or knows that it has not", func() bool { n, missed := slow.heard(); return n > many || missed > before })
	await(t, "it hears again", func() bool {
		s.Bus().Publish(topic, []byte("again"))
		slow.mu.Lock()
		defer slow.mu.Unlock()
		return string(slow.got[len(slow.got)-1]) == "again"
	})
}

// wait waits until a channel is closed.
func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("not within %s: %s", patience, what)
	}
}

func waitsForTheCall(t *testing.T, s state.Store) {
	topic := newTopic()
	called := make(chan struct{})
	var calls, done atomic.Int32
	begun := sync.OnceFunc(func() { close(called) })
	cancel := s.Bus().Subscribe(topic, func(m []byte) {
		if m == nil {
			return
		}
		calls.Add(1)
		begun()
		<-time.After(50 * time.Millisecond)
		done.Add(1)
	})
	for i := range 3 {
		s.Bus().Publish(topic, number(i))
	}
	wait(t, "it is called", called)
	cancel()
	last := calls.Load()
	if n := done.Load(); n != last {
		t.Errorf("%d calls begun, %d done", last, n)
	}
	var own listener
	end := s.Bus().Subscribe(topic, own.hear)
	defer end()
	s.Bus().Publish(topic, number(4))
	await(t, "others hear", func() bool { n, _ := own.heard(); return n > 0 })
	if n := calls.Load(); n != last {
		t.Errorf("called %d times after the end", n-last)
	}
}

func watchEnds(t *testing.T, s state.Store) {
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var told, after atomic.Int32
	var over atomic.Bool
	go func() {
		defer close(ended)
		s.Quarantine().Watch(ctx, func(state.Rested) {
			if told.Add(1); over.Load() {
				after.Add(1)
			}
		})
		over.Store(true)
	}()
	r := state.Rested{Provider: name("p"), Key: "k", Model: "m", Until: time.Now().Add(time.Hour)}
	s.Quarantine().Rest(r)
	select {
	case <-ended:
		t.Error("it has ended by itself")
	case <-time.After(50 * time.Millisecond):
	}
	end()
	wait(t, "the watch has ended", ended)
	s.Quarantine().Well(r.Provider, r.Key, r.Model)
	<-time.After(20 * time.Millisecond)
	if after.Load() > 0 {
		t.Errorf("told after the end")
	}
}
