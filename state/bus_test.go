package state

import (
	"strconv"
	"testing"
	"testing/synctest"
)

// subscriber keeps what it hears; nil is "missed".
type subscriber struct {
	heard []string
	hold  chan struct{} // if set, each message waits for one value
}

func (s *subscriber) hear(m []byte) {
	if m == nil {
		s.heard = append(s.heard, "missed")
		return
	}
	s.heard = append(s.heard, string(m))
	if s.hold != nil {
		<-s.hold
	}
}

func (s *subscriber) wants(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	if len(s.heard) != len(want) {
		t.Fatalf("%s: %.100q, want %.100q", when, s.heard, want)
	}
	for i, m := range want {
		if s.heard[i] != m {
			t.Fatalf("%s: %d is %q, want %q", when, i, s.heard[i], m)
		}
	}
	s.heard = nil
}

func TestBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b LocalBus
		b.Publish("topic", []byte("to nobody"))
		var one, two, other subscriber
		endOne, endTwo := b.Subscribe("topic", one.hear), b.Subscribe("topic", two.hear)
		endOther := b.Subscribe("other", other.hear)
		b.Publish("topic", []byte("a"))
		b.Publish("topic", []byte{})
		b.Publish("other", []byte("b"))
		one.wants(t, "one", "a", "")
		two.wants(t, "two", "a", "")
		other.wants(t, "other", "b")

		endOne()
		endOne() // again
		b.Publish("topic", []byte("c"))
		one.wants(t, "one has left")
		two.wants(t, "two has not", "c")

		b.Missed()
		b.Missed()
		synctest.Wait()
		for _, s := range []*subscriber{&two, &other} {
			if n := len(s.heard); n < 1 || n > 2 || s.heard[0] != "missed" {
				t.Errorf("%q", s.heard)
			}
		}
		if len(one.heard) > 0 {
			t.Errorf("%q", one.heard)
		}
		endTwo()
		endOther()
		if len(b.topics) != 0 {
			t.Errorf("%v is left", b.topics)
		}
	})
}

// A subscriber that is slow misses what does not fit into its queue, is told so, and
// goes on; others miss nothing.
func TestBusMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b LocalBus
		slow, quick := subscriber{hold: make(chan struct{})}, subscriber{}
		defer b.Subscribe("topic", slow.hear)()
		defer b.Subscribe("topic", quick.hear)()
		var all []string
		for i := range queued + 10 {
			all = append(all, strconv.Itoa(i))
			b.Publish("topic", []byte(all[i]))
			synctest.Wait()
		}
		slow.wants(t, "the slow one sleeps over the first", "0")
		quick.wants(t, "the quick one", all...)
		close(slow.hold)
		slow.wants(t, "once awake", append([]string{"missed"}, all[1:queued+1]...)...)
		b.Publish("topic", []byte("next"))
		slow.wants(t, "afterwards", "next")
		quick.wants(t, "afterwards", "next")
	})
}

// The end of a subscription waits for the call under way, and leaves what is queued.
func TestBusEnd(t *testing.T) {
	for range 20 { // chance must not help
		synctest.Test(t, func(t *testing.T) {
			var b LocalBus
			s := subscriber{hold: make(chan struct{})}
			end := b.Subscribe("topic", s.hear)
			for _, m := range []string{"a", "b", "c", "d"} { // the first is under way, the others wait
				b.Publish("topic", []byte(m))
			}
			synctest.Wait()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				end()
			}()
			synctest.Wait()
			select {
			case <-ended:
				t.Error("it has not waited")
			default:
			}
			close(s.hold)
			<-ended
			s.wants(t, "at the end", "a")
		})
	}
}
