package caddymodule

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// Those who are not let in leave a trace, and not one each.
//
// contract: U3
func TestStrangersLeaveRoom(t *testing.T) {
	u := newUpstream(t)
	dir := t.TempDir()
	g := start(t, config{global: fmt.Sprintf("audit file %q\ntoken ann ann-secret\nprovider up openai {\nbase_url %s\n}", dir, u.base())})
	for range 25 {
		g.chat("up/m", false, bearer("wrong")...).want(t, 401)
	}
	g.do(http.MethodPost, "/v1/auth/register", `{"username":"x"}`).want(t, 403)
	for range 15 { // whoever is known is recorded always
		g.chat("nobody/m", false, bearer("ann-secret")...).want(t, 404)
	}
	var known, unknown int
	count := func() bool {
		known, unknown = 0, 0
		for _, e := range g.events(dir) {
			if e.UserID == "ann" {
				known++
			} else {
				unknown++
			}
		}
		return known == 15
	}
	eventually(t, "all of hers are recorded", count)
	if unknown != strangersByAddress {
		t.Errorf("recorded: %d of who is known, %d of who is not", known, unknown)
	}
	// With anonymous callers let in nothing has changed for those who are refused, nor
	// for those who are over a limit.
	g.mustLoad(config{global: g.last.global, handler: "auth optional\nrate_limit 3 47m"})
	for range 30 {
		g.do(http.MethodGet, "/v1/models/nothing", "").want(t, 404)
		g.chat("nobody/m", false, bearer("ann-secret")...)
	}
	eventually(t, "what is not cheap is recorded", func() bool { count(); return known >= 15+3 })
	if known > 15+3+strangersByAddress || unknown > 2*strangersByAddress {
		t.Errorf("recorded: %d of who is known, %d of who is not", known, unknown)
	}
}

func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStrangers()
		admit := func(address string, n int) (recorded int, unrecorded int64) {
			for range n {
				if before, ok := s.admit(t.Context(), address); ok {
					recorded++
					unrecorded += before
				}
			}
			return recorded, unrecorded
		}
		if got, _ := admit("loud", 1000); got != strangersByAddress {
			t.Errorf("of one: %d", got)
		}
		got, unrecorded := 0, int64(0)
		for i := range 100 {
			n, before := admit(strconv.Itoa(i), 1)
			got, unrecorded = got+n, unrecorded+before
		}
		if got != strangersInAll-strangersByAddress || unrecorded != 990 {
			t.Errorf("of all: %d, of which the first says that there were %d", got, unrecorded)
		}
		time.Sleep(strangersWindow) //nolint:forbidigo // synctest's clock
		if got, unrecorded := admit("loud", 1); got != 1 || unrecorded != 50 {
			t.Errorf("a minute later: %d, %d", got, unrecorded)
		}
	})
}
