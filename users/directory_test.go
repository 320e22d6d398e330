package users

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// phoneBook is a Store that only finds, as the test wants it to.
type phoneBook struct {
	Store

	mu     sync.Mutex
	users  map[Hash]User
	err    error                       // what it answers instead
	answer func(context.Context) error // what it does before it answers
	calls  int
	now    int // calls under way
	most   int // of now
}

func newPhoneBook() *phoneBook { return &phoneBook{users: make(map[Hash]User)} }

func (p *phoneBook) Find(ctx context.Context, h Hash) (User, Token, error) {
	p.mu.Lock()
	p.calls++
	p.now++
	p.most = max(p.most, p.now)
	u, there := p.users[h]
	err, answer := p.err, p.answer
	p.mu.Unlock()
	defer p.set(func() { p.now-- })
	if answer != nil {
		if err := answer(ctx); err != nil {
			return User{}, Token{}, err
		}
	}
	switch {
	case err != nil:
		return User{}, Token{}, err
	case !there:
		return User{}, Token{}, ErrUnknown
	}
	return u, Token{Hash: h, ID: "tok_" + u.Name}, nil
}

// set changes the store.
func (p *phoneBook) set(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// asked returns how often it was asked since asked was last called.
func (p *phoneBook) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.calls
	p.calls = 0
	return n
}

// give makes a user with a token, who is called like it.
func (p *phoneBook) give(token string) {
	p.set(func() { p.users[HashToken(token)] = User{ID: "user_" + token, Name: token} })
}

func (p *phoneBook) take(token string) { p.set(func() { delete(p.users, HashToken(token)) }) }

// frozen never answers, until its caller gives up.
func frozen(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// knows requires that a token is known.
func knows(t *testing.T, d *Directory, token string) *Caller {
	t.Helper()
	c, err := d.Find(t.Context(), token)
	if err != nil || c.ID != "user_"+token || c.Name != token || c.TokenID != "tok_"+token {
		t.Fatalf("%s: got %+v, %v", token, c, err)
	}
	return c
}

// refuses requires an error, and no caller.
func refuses(t *testing.T, d *Directory, token string, want error) {
	t.Helper()
	c, err := d.Find(t.Context(), token)
	if c != nil || !errors.Is(err, want) {
		t.Fatalf("%s: got %+v, %v, want %v", token, c, err, want)
	}
	if want == ErrUnavailable && errors.Is(err, ErrUnknown) {
		t.Fatalf("%s: %v says that it is unknown", token, err)
	}
}

// wantAsked requires how often the store was asked, once all is quiet.
func wantAsked(t *testing.T, p *phoneBook, when string, want int) {
	t.Helper()
	synctest.Wait()
	if got := p.asked(); got != want {
		t.Errorf("%s: asked %d times, want %d", when, got, want)
	}
}

// in runs a test in its own time.
func in(t *testing.T, name string, test func(t *testing.T, p *phoneBook)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			test(t, newPhoneBook())
			pass(time.Second) // look-ups in the background end
		})
	})
}

func pass(d time.Duration) { <-time.After(d) }

func TestDirectory(t *testing.T) {
	in(t, "asks once, then again in the background", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{})
		p.give("a")
		first := knows(t, d, "a")
		for range 14 {
			if knows(t, d, "a") != first {
				t.Error("another caller")
			}
			pass(time.Second)
		}
		wantAsked(t, p, "in half the TTL", 1)
		pass(time.Second)
		if knows(t, d, "a") != first {
			t.Error("did not answer from memory")
		}
		wantAsked(t, p, "behind half the TTL", 1)
		if knows(t, d, "a") == first {
			t.Error("nothing new was kept")
		}
		for range 300 {
			pass(time.Second)
			knows(t, d, "a")
		}
		wantAsked(t, p, "in 300s", 20)
	})
	in(t, "what has changed shows", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{})
		p.give("a")
		knows(t, d, "a")
		p.set(func() {
			u := p.users[HashToken("a")]
			u.Overrides.Concurrency, u.Keys = 7, map[string][]byte{"one": {1}}
			p.users[HashToken("a")] = u
		})
		pass(31 * time.Second)
		if c := knows(t, d, "a"); c.Overrides.Concurrency != 7 || len(c.Keys) != 1 {
			t.Errorf("got %+v", c)
		}
	})
	in(t, "a token revoked elsewhere ends with the TTL", func(t *testing.T, p *phoneBook) {
		for _, step := range []time.Duration{0, time.Second, 16 * time.Second, 29 * time.Second} {
			d := NewDirectory(p, DirectoryOptions{})
			p.give("a")
			knows(t, d, "a")
			p.take("a")
			if step > 0 {
				for range 29 * time.Second / step {
					pass(step)
					_, _ = d.Find(t.Context(), "a")
				}
				pass(29*time.Second%step + time.Second)
			} else {
				pass(30 * time.Second)
			}
			refuses(t, d, "a", ErrUnknown)
		}
	})
	in(t, "a disabled user is unknown", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{})
		p.give("a")
		knows(t, d, "a")
		p.set(func() {
			u := p.users[HashToken("a")]
			u.Disabled = true
			p.users[HashToken("a")] = u
		})
		pass(31 * time.Second)
		refuses(t, d, "a", ErrUnknown)
		p.give("a")
		d.ForgetUser("user_a")
		knows(t, d, "a")
	})
	in(t, "an unknown token is asked for once a second", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{})
		for range 10 {
			refuses(t, d, "x", ErrUnknown)
		}
		wantAsked(t, p, "at once", 1)
		p.give("x")
		refuses(t, d, "x", ErrUnknown)
		pass(time.Second)
		knows(t, d, "x")
		wantAsked(t, p, "afterwards", 1)
	})
	in(t, "one look-up for all", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{})
		p.give("a")
		p.answer = func(context.Context) error { pass(100 * time.Millisecond); return nil }
		leaving, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { // begins the look-up
			_, err := d.Find(leaving, "a")
			if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknown) {
				t.Errorf("who leaves: %v", err)
			}
		})
		synctest.Wait()
		for range 100 {
			wg.Go(func() { knows(t, d, "a") })
		}
		synctest.Wait()
		leave()
		wg.Wait()
		wantAsked(t, p, "by 101", 1)
	})
	in(t, "a store that panics is one that fails", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{})
		p.answer = func(context.Context) error { panic("at the disco") }
		refuses(t, d, "a", ErrUnavailable)
		p.answer = nil
		refuses(t, d, "a", ErrUnknown)
	})
}

var errDown = errors.New("connection refused")

// fault: K2
// security: X2
func TestStoreAway(t *testing.T) {
	for name, away := range map[string]func(*phoneBook){
		"down":   func(p *phoneBook) { p.err = errDown },
		"frozen": func(p *phoneBook) { p.answer = frozen },
		"slow to fail": func(p *phoneBook) {
			p.err = errDown
			p.answer = func(context.Context) error { pass(200 * time.Millisecond); return nil }
		},
	} {
		in(t, "those in use never wait: "+name, func(t *testing.T, p *phoneBook) {
			d := NewDirectory(p, DirectoryOptions{})
			p.give("a")
			knows(t, d, "a")
			known := time.Now()
			pass(10 * time.Second)
			p.set(func() { away(p) })
			for time.Since(known) < 10*time.Minute-2*time.Second {
				pass(time.Second)
				if began := time.Now(); knows(t, d, "a") == nil || time.Since(began) > 0 {
					t.Fatalf("waited for %v", time.Since(began))
				}
				if began := time.Now(); true {
					refuses(t, d, fmt.Sprint("x", began.UnixNano()), ErrUnavailable)
					if took := time.Since(began); took > 250*time.Millisecond {
						t.Fatalf("an unknown one waited for %v", took)
					}
				}
			}
			pass(10 * time.Second)
			refuses(t, d, "a", ErrUnavailable) // after 10m; but not unknown
			synctest.Wait()                    // until the look-up has ended, too
			p.set(func() { p.err, p.answer = nil, nil })
			knows(t, d, "a")
			refuses(t, d, "y", ErrUnknown)
		})
		in(t, "a token unused for long waits once: "+name, func(t *testing.T, p *phoneBook) {
			d := NewDirectory(p, DirectoryOptions{})
			for _, token := range []string{"a", "b"} {
				p.give(token)
				knows(t, d, token)
			}
			p.set(func() { away(p) })
			pass(5 * time.Minute)
			began := time.Now()
			knows(t, d, "a")
			if took := time.Since(began); took > 250*time.Millisecond {
				t.Errorf("waited for %v", took)
			}
			began = time.Now()
			for range 100 {
				knows(t, d, "a")
				knows(t, d, "b")
			}
			if took := time.Since(began); took > 0 {
				t.Errorf("then waited for %v", took)
			}
		})
		in(t, "it is left alone meanwhile: "+name, func(t *testing.T, p *phoneBook) {
			d := NewDirectory(p, DirectoryOptions{})
			p.give("a")
			knows(t, d, "a")
			p.set(func() { away(p) })
			pass(20 * time.Second)
			wantAsked(t, p, "before", 1)
			for range 1000 {
				pass(10 * time.Millisecond)
				knows(t, d, "a")
			}
			synctest.Wait()
			if n := p.asked(); n < 4 || n > 12 {
				t.Errorf("asked %d times in 10s", n)
			}
		})
		in(t, "what was revoked meanwhile is refused once it is back: "+name, func(t *testing.T, p *phoneBook) {
			d := NewDirectory(p, DirectoryOptions{})
			p.give("a")
			knows(t, d, "a")
			p.set(func() { away(p) })
			pass(time.Minute)
			knows(t, d, "a")
			p.take("a")
			p.set(func() { p.err, p.answer = nil, nil })
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); pass(100 * time.Millisecond) {
				_, _ = d.Find(t.Context(), "a")
			}
			refuses(t, d, "a", ErrUnknown)
		})
	}
	in(t, "once it is back, nobody is believed for longer", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{})
		p.give("a")
		p.give("b")
		knows(t, d, "a")
		p.set(func() { p.err = errDown })
		refuses(t, d, "b", ErrUnavailable)
		p.set(func() { p.err = nil })
		knows(t, d, "b")
		p.take("a")
		pass(time.Minute)
		refuses(t, d, "a", ErrUnknown)
	})
	in(t, "what was refused stays so while it is away", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{})
		p.give("a")
		knows(t, d, "a")
		p.take("a")
		pass(time.Minute)
		refuses(t, d, "a", ErrUnknown)
		p.set(func() { p.err = errDown })
		pass(2 * time.Second)
		refuses(t, d, "a", ErrUnavailable)
	})
	in(t, "it fails for one token only", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{TTL: 2 * time.Second})
		p.give("a")
		knows(t, d, "a")
		pass(3 * time.Second)
		p.asked()
		for range 1000 {
			p.set(func() { p.err = errDown })
			knows(t, d, "a")
			synctest.Wait()
			p.set(func() { p.err = nil })
			refuses(t, d, fmt.Sprint("x", time.Now().UnixNano()), ErrUnknown) // it works
			pass(10 * time.Millisecond)
		}
		if n := p.asked() - 1000; n < 4 || n > 12 {
			t.Errorf("asked %d times in 10s", n)
		}
	})
	in(t, "it does not heed contexts", func(t *testing.T, p *phoneBook) {
		d := NewDirectory(p, DirectoryOptions{})
		p.give("a")
		knows(t, d, "a")
		thaw := make(chan struct{})
		p.answer = func(context.Context) error { <-thaw; return nil }
		pass(20 * time.Second)
		for range 100 {
			pass(time.Second)
			knows(t, d, "a")
		}
		wantAsked(t, p, "though it never answers", 2)
		began := time.Now()
		for range 10 {
			refuses(t, d, "x", ErrUnavailable)
		}
		if took := time.Since(began); took > 250*time.Millisecond {
			t.Errorf("waited for %v", took)
		}
		close(thaw)
		synctest.Wait()
		knows(t, d, "a")
		refuses(t, d, "x", ErrUnknown)
	})
}
