package users

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sizes counts what a directory remembers.
func (d *Directory) sizes() (known, owned, unknown, flights int) {
	d.each(func(s *shard) {
		known += len(s.known)
		for _, hashes := range s.owned {
			owned += len(hashes)
		}
		unknown += len(s.unknown)
		flights += len(s.flights)
	})
	return known, owned, unknown, flights
}

// roundedUp is a bound as the shards share it.
func roundedUp(n int) int { return (n + shardCount - 1) / shardCount * shardCount }

func TestMadeUpTokens(t *testing.T) {
	p := newPhoneBook()
	d := NewDirectory(p, DirectoryOptions{TTL: time.Hour, UnknownTTL: time.Hour, Callers: 1000})
	var known []string
	for i := range 200 {
		known = append(known, fmt.Sprint("known-", i))
		p.give(known[i])
		knows(t, d, known[i])
	}
	for range 60_000 {
		refuses(t, d, rand.Text(), ErrUnknown)
	}
	_, _, unknown, flights := d.sizes()
	if most := roundedUp(10_000); unknown > most || unknown < most*9/10 || flights > 0 {
		t.Errorf("%d unknown tokens are remembered, want %d; %d look-ups", unknown, most, flights)
	}
	p.asked()
	for _, token := range known {
		knows(t, d, token)
	}
	if n := p.asked(); n > 0 {
		t.Errorf("%d known tokens were displaced", n)
	}
}

func TestManyCallers(t *testing.T) {
	p := newPhoneBook()
	d := NewDirectory(p, DirectoryOptions{TTL: time.Hour, Callers: 1000})
	for i := range 5000 {
		token := fmt.Sprint(i)
		p.give(token)
		knows(t, d, token)
	}
	known, owned, _, _ := d.sizes()
	if most := roundedUp(1000); known > most || known < most*9/10 || owned != known {
		t.Errorf("%d callers are remembered, %d of them by user, want %d", known, owned, most)
	}
	for i := range 5000 { // displaced is not forgotten
		knows(t, d, fmt.Sprint(i))
	}
}

// TestManyLookups: tokens that nobody has seen before take a part of the store's
// time, not all of it, and those that are known get through.
func TestManyLookups(t *testing.T) {
	in(t, "bounded", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{Lookups: 10})
		p.give("a")
		knows(t, d, "a")
		pass(time.Minute) // it has to be asked for again
		p.set(func() { p.answer = func(context.Context) error { pass(100 * time.Millisecond); return nil } })
		var wg sync.WaitGroup
		var busy, unknown atomic.Int32
		for i := range 100 {
			wg.Go(func() {
				began := time.Now()
				switch _, err := d.Find(t.Context(), fmt.Sprint("x", i)); {
				case errors.Is(err, ErrUnavailable) && time.Since(began) == 0:
					busy.Add(1)
				case errors.Is(err, ErrUnknown):
					unknown.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Go(func() { knows(t, d, "a") })
		wg.Wait()
		if busy.Load() != 90 || unknown.Load() != 10 || p.most > 11 {
			t.Errorf("%d busy, %d unknown, %d look-ups at once", busy.Load(), unknown.Load(), p.most)
		}
		refuses(t, d, "y", ErrUnknown) // all have ended
		if d.down.Load() {
			t.Error("being busy is no trouble of the store")
		}
	})
}

// TestNoLookupLeft: tokens made up keep nobody from being asked about in the
// background; then the TTL holds all the same.
func TestNoLookupLeft(t *testing.T) {
	in(t, "revoked", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{Lookups: 1, Timeout: time.Hour})
		p.give("a")
		knows(t, d, "a")
		thaw := make(chan struct{})
		p.set(func() { p.answer = func(context.Context) error { <-thaw; return nil } })
		go func() { _, _ = d.Find(t.Context(), "x") }()
		pass(29*time.Second + 500*time.Millisecond)
		p.set(func() { p.answer = nil })
		p.take("a")
		knows(t, d, "a")
		pass(500 * time.Millisecond)
		refuses(t, d, "a", ErrUnknown)
		close(thaw)
	})
}

// BenchmarkTokenCheck is what a request with a known token costs.
func BenchmarkTokenCheck(b *testing.B) {
	p := newPhoneBook()
	d := NewDirectory(p, DirectoryOptions{TTL: time.Hour})
	var tokens []string
	for range 1000 {
		token, h := NewToken()
		p.users[h] = User{ID: NewUserID(), Name: "a"}
		if _, err := d.Find(b.Context(), token); err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	ctx := b.Context()
	check := func(b *testing.B, token string) {
		if _, err := d.Find(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("one token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			check(b, tokens[0])
		}
	})
	b.Run("many tokens", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			check(b, tokens[i%len(tokens)])
			i++
		}
	})
	b.Run("parallel, one token", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				check(b, tokens[0])
			}
		})
	})
	b.Run("parallel, many tokens", func(b *testing.B) {
		b.ReportAllocs()
		var start atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for i := int(start.Add(17)); pb.Next(); i++ {
				check(b, tokens[i%len(tokens)])
			}
		})
	})
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		d := NewDirectory(p, DirectoryOptions{UnknownTTL: time.Hour})
		for b.Loop() {
			if _, err := d.Find(ctx, "x"); !errors.Is(err, ErrUnknown) {
				b.Fatal(err)
			}
		}
	})
}

func TestTokenCheckAllocatesNothing(t *testing.T) {
	p := newPhoneBook()
	d := NewDirectory(p, DirectoryOptions{TTL: time.Hour})
	token, h := NewToken()
	p.users[h] = User{ID: NewUserID(), Name: "a"}
	runtime.GC()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := d.Find(t.Context(), token); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
