package mcp

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// pinFile is a store in memory.
type pinFile struct {
	mu    sync.Mutex
	pins  map[string]string
	saves int
	fails error
}

func (p *pinFile) Load(string) (map[string]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.pins), p.fails
}

func (p *pinFile) Save(_ string, pins map[string]string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pins = pins
	p.saves++
	return p.fails
}

// contract: X8
func TestPins(t *testing.T) {
	for _, mode := range []PinMode{PinOff, PinWarn, PinOn} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRaw()
			var version atomic.Int64
			r.list = func(*string) string {
				return list("", tool("a", fmt.Sprint("version ", version.Load()), anyObject), tool("b", "stays", `{"type": "object", "a":1}`))
			}
			url := serve(t, r).URL
			store, o := new(pinFile), new(observed)
			s := open(t, Options{URL: url, Pin: mode, Pins: store, Observer: o})
			if got := names(s.Offer(t.Context())); got != "a b" {
				t.Fatalf("offers %q", got)
			}
			version.Store(1)
			r.set(func() {
				before := r.list
				r.list = func(c *string) string {
					return strings.Replace(before(c), `"type": "object", "a":1`, `"a":1,"type":"object"`, 1)
				}
			})
			relist := func(s *Server) {
				n := r.lists.Load()
				at := s.Status().Listed
				s.Refresh()
				eventually(t, "listed again", func() bool {
					now := s.Status().Listed
					return r.lists.Load() > n && now != nil && (at == nil || now.After(*at))
				})
			}
			relist(s)
			relist(s) // tells nothing twice

			want, offered := "[]", "a b"
			switch mode {
			case PinWarn:
				want = "[a false]"
			case PinOn:
				want, offered = "[a true]", "b"
			}
			if got := fmt.Sprint(o.changed); got != want {
				t.Errorf("heard %s, want %s", got, want)
			}
			if got := names(s.Offer(t.Context())); got != offered {
				t.Errorf("offers %q, want %q", got, offered)
			}
			if mode != PinOn {
				return
			}
			_, err := s.Call(t.Context(), Call{Tool: "a"})
			if k := kindOf(t, err); k != KindPinned || r.calls.Load() != 0 {
				t.Errorf("got %v", err)
			}
			if st := s.Status().Tools[0]; st.State != "changed" {
				t.Errorf("the status is %+v", st)
			}
			// Another process finds the same.
			later := open(t, Options{URL: url, Pin: mode, Pins: store})
			if got := names(later.Offer(t.Context())); got != "b" {
				t.Errorf("later it offers %q", got)
			}
			if err := s.Approve("nothing"); !errors.Is(err, ErrNoTool) {
				t.Errorf("approving nothing: %v", err)
			}
			if err := s.Approve("a"); err != nil {
				t.Fatal(err)
			}
			if got := names(s.Offer(t.Context())); got != "a b" {
				t.Errorf("approved, it offers %q", got)
			}
			relist(s)
			if got := names(s.Offer(t.Context())); got != "a b" {
				t.Errorf("listed again, it offers %q", got)
			}
			again := open(t, Options{URL: url, Pin: mode, Pins: store})
			if got := names(again.Offer(t.Context())); got != "a b" {
				t.Errorf("then it offers %q", got)
			}
		})
	}
}

// Pins that can't be read are no reason to trust everything.
//
// contract: X8
func TestPinsUnreadable(t *testing.T) {
	r := newRaw()
	store := &pinFile{fails: errors.New("disk is gone")}
	o := new(observed)
	s := open(t, Options{URL: serve(t, r).URL, Pin: PinOn, Pins: store, Observer: o})
	if got := names(s.Offer(t.Context())); got != "" {
		t.Errorf("offers %q", got)
	}
	if err := s.Approve("echo"); err == nil {
		t.Error("approved without the pins")
	}
	if len(o.lines) == 0 {
		t.Error("nobody heard of it")
	}
}

func TestPinMode(t *testing.T) {
	for _, m := range []PinMode{PinOff, PinWarn, PinOn} {
		if got, err := ParsePinMode(m.String()); err != nil || got != m {
			t.Errorf("%v reads as %v, %v", m, got, err)
		}
	}
	if _, err := ParsePinMode("maybe"); err == nil {
		t.Error("maybe is a mode")
	}
}
