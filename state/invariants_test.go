package state

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// check compares what the store counts with what it holds.
func check(t testing.TB, m *MemorySessions) {
	t.Helper()
	bytes, idle := 0, 0
	counts := map[string]int{}
	for key, e := range m.byKey {
		bytes += e.size
		if e.key != key || e.size != e.s.Size() || (e.owner == nil) != (key.User == "") {
			t.Fatalf("entry %v: %+v", key, e)
		}
		if key.User != "" {
			counts[key.User]++
		}
		if e.all != nil {
			idle++
		} else if e.lease == nil || e.lease.ctx.Err() != nil {
			t.Fatalf("%v is neither running nor idle", key)
		}
		if (e.owner != nil && e.all != nil) != (e.own != nil) {
			t.Fatalf("%v is in one list only", key)
		}
	}
	own := 0
	for user, o := range m.owners {
		own += o.idle.Len()
		if o.count != counts[user] || o.count == 0 || o.idle.Len() > m.bounds.PerUser {
			t.Fatalf("user %q has %d sessions, counted %d", user, counts[user], o.count)
		}
	}
	anonymous := 0
	var last time.Time
	for at := m.idle.Front(); at != nil; at = at.Next() {
		e := at.Value.(*entry)
		if m.byKey[e.key] != e || e.all != at || e.s.Used.Before(last) {
			t.Fatalf("the idle list: %+v", e)
		}
		last = e.s.Used
		if e.owner == nil {
			anonymous++
		}
	}
	if m.bytes != bytes || m.idle.Len() != idle || own+anonymous != idle || len(m.owners) != len(counts) ||
		len(m.byKey) > m.bounds.Total || m.bytes > m.bounds.Bytes {
		t.Fatalf("%d bytes of %d, %d idle of %d and %d+%d, %d owners of %d, %d sessions",
			m.bytes, bytes, m.idle.Len(), idle, own, anonymous, len(m.owners), len(counts), len(m.byKey))
	}
}

// Whatever happens in whatever order, what the store counts is what it holds.
func TestAnythingInAnyOrder(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := NewMemorySessions(Bounds{Total: 12, PerUser: 4, Bytes: 4000})
			type run struct {
				Lease
				leave context.CancelFunc
			}
			var runs []run
			for range 2000 {
				key := sessionKey([]string{"", "a", "b", "c", "d"}[r.IntN(5)], r.IntN(6))
				switch r.IntN(8) {
				case 0, 1:
					ctx, leave := context.WithCancel(t.Context())
					l, err := m.Begin(ctx, key, Opening{Issued: true, TTL: time.Duration(r.IntN(3)) * time.Minute})
					if err != nil {
						leave()
						continue
					}
					runs = append(runs, run{l, leave})
				case 2:
					_ = m.Cancel(t.Context(), key)
				case 3:
					_, _ = m.Get(t.Context(), key)
				case 4:
					time.Sleep(time.Duration(r.IntN(20)) * time.Second) //nolint:forbidigo // the clock is the bubble's
				default:
					if len(runs) == 0 {
						continue
					}
					i := r.IntN(len(runs))
					switch l := runs[i]; r.IntN(4) {
					case 0:
						l.leave()
					case 1:
						_ = l.Save(t.Context(), Session{Notebook: []string{strings.Repeat("x", r.IntN(1000))}})
					default:
						_ = l.Release(t.Context())
						l.leave()
						runs = append(runs[:i], runs[i+1:]...)
					}
				}
				synctest.Wait()
				check(t, m)
			}
			for _, l := range runs {
				_ = l.Release(t.Context())
				l.leave()
			}
			time.Sleep(time.Hour) //nolint:forbidigo // the clock is the bubble's
			for range 12 {
				used(t, m, sessionKey("last", 0))
			}
			if len(m.byKey) != 1 || len(m.owners) != 1 || m.bytes != 0 {
				t.Errorf("seed %d: %d sessions, %d owners, %d bytes", seed, len(m.byKey), len(m.owners), m.bytes)
			}
		})
	}
}
