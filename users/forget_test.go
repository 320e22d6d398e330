package users

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// forgets are the ways to forget the token a.
var forgets = map[string]func(*Directory){
	"Forget":     func(d *Directory) { d.Forget(HashToken("a")) },
	"ForgetUser": func(d *Directory) { d.ForgetUser("user_a") },
	"ForgetAll":  (*Directory).ForgetAll,
}

func TestForget(t *testing.T) {
	for name, forget := range forgets {
		in(t, name+" ends a revoked token at once", func(t *testing.T, p *phoneBook) {
			d := NewDirectory(p, DirectoryOptions{})
			p.give("a")
			p.give("b")
			knows(t, d, "a")
			b := knows(t, d, "b")
			p.take("a")
			knows(t, d, "a") // from memory
			forget(d)
			refuses(t, d, "a", ErrUnknown)
			if known, owned, _, _ := d.sizes(); name == "ForgetAll" && known+owned > 0 {
				t.Errorf("%d tokens are remembered, %d by user", known, owned)
			}
			if got := knows(t, d, "b"); (got == b) == (name == "ForgetAll") {
				t.Errorf("somebody else: asked for again is %t", got != b)
			}
		})
		in(t, name+" while the store is away", func(t *testing.T, p *phoneBook) {
			d := NewDirectory(p, DirectoryOptions{})
			p.give("a")
			knows(t, d, "a")
			p.set(func() { p.err = errDown })
			forget(d)
			refuses(t, d, "a", ErrUnavailable) // known no more, and not unknown either
		})
		in(t, name+" lets an unknown token be asked for again", func(t *testing.T, p *phoneBook) {
			d := NewDirectory(p, DirectoryOptions{})
			refuses(t, d, "a", ErrUnknown)
			p.give("a")
			refuses(t, d, "a", ErrUnknown)
			forget(d)
			knows(t, d, "a")
		})
		for _, known := range []bool{false, true} {
			in(t, fmt.Sprintf("%s beats a look-up that had begun, known beforehand: %t", name, known), func(t *testing.T, p *phoneBook) {
				d := NewDirectory(p, DirectoryOptions{})
				p.give("a")
				if known {
					knows(t, d, "a")
					pass(20 * time.Second)
				}
				p.set(func() { p.answer = func(context.Context) error { pass(100 * time.Millisecond); return nil } })
				var wg sync.WaitGroup
				wg.Go(func() { knows(t, d, "a") }) // the store has read the old answer, and is slow to say it
				synctest.Wait()
				p.take("a")
				forget(d)
				wg.Go(func() { refuses(t, d, "a", ErrUnknown) }) // does not join it
				wg.Wait()
				pass(time.Second)
				p.set(func() { p.answer = nil })
				refuses(t, d, "a", ErrUnknown)
			})
			in(t, fmt.Sprintf("%s beats a refusal that had begun, known beforehand: %t", name, known), func(t *testing.T, p *phoneBook) {
				d := NewDirectory(p, DirectoryOptions{})
				if known {
					p.give("a")
					knows(t, d, "a")
					pass(20 * time.Second)
					p.take("a")
				}
				p.set(func() { p.answer = func(context.Context) error { pass(100 * time.Millisecond); return nil } })
				go func() { _, _ = d.Find(t.Context(), "a") }()
				synctest.Wait()
				p.give("a")
				forget(d)
				knows(t, d, "a")
				pass(200 * time.Millisecond)
				knows(t, d, "a")
			})
		}
		in(t, name+" reaches who waits for a store that fails", func(t *testing.T, p *phoneBook) {
			d := NewDirectory(p, DirectoryOptions{})
			p.give("a")
			knows(t, d, "a")
			pass(time.Minute)
			p.set(func() { p.answer = frozen })
			var wg sync.WaitGroup
			wg.Go(func() { refuses(t, d, "a", ErrUnavailable) })
			synctest.Wait()
			forget(d)
			wg.Wait()
		})
	}
	in(t, "ForgetUser takes all of a user's tokens", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{})
		var all []string
		for i := range MaxTokens {
			token := fmt.Sprint("token-", i)
			all = append(all, token)
			p.set(func() { p.users[HashToken(token)] = User{ID: "user_a", Name: "a"} })
			if _, err := d.Find(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		d.Forget(HashToken(all[0]))
		p.set(func() { clear(p.users) })
		d.ForgetUser("user_a")
		for _, token := range all {
			refuses(t, d, token, ErrUnknown)
		}
		for i := range d.shards {
			if s := &d.shards[i]; len(s.known)+len(s.owned) > 0 {
				t.Errorf("a shard remembers %d tokens of %d users", len(s.known), len(s.owned))
			}
		}
	})
}

// TestForgetRace revokes tokens among many who ask: once Forget has returned, nobody
// who begins to ask gets the caller.
func TestForgetRace(t *testing.T) {
	p := newPhoneBook()
	d := NewDirectory(p, DirectoryOptions{TTL: 2 * time.Millisecond, UnknownTTL: time.Microsecond})
	const tokens, rounds = 4, 300
	var given [tokens]atomic.Int64 // odd until Forget has returned
	ended := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-ended:
					return
				default:
				}
				token := i % tokens
				before := given[token].Load()
				c, err := d.Find(t.Context(), fmt.Sprint("t", token))
				if c != nil && before%2 == 0 && given[token].Load() == before {
					t.Errorf("t%d is known, though it was revoked and forgotten", token)
				}
				if err != nil && !errors.Is(err, ErrUnknown) {
					t.Error(err)
				}
			}
		})
	}
	for round := range rounds {
		i := round % tokens
		token := fmt.Sprint("t", i)
		given[i].Add(1)
		p.give(token)
		for {
			if c, _ := d.Find(t.Context(), token); c != nil {
				break
			}
		}
		p.take(token)
		switch round % 3 {
		case 0:
			d.Forget(HashToken(token))
		case 1:
			d.ForgetUser("user_" + token)
		default:
			d.ForgetAll()
		}
		given[i].Add(1)
		for range 20 {
			if c, err := d.Find(t.Context(), token); c != nil || !errors.Is(err, ErrUnknown) {
				t.Errorf("%s: %+v, %v", token, c, err)
			}
		}
	}
	close(ended)
	wg.Wait()
}
