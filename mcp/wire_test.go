package mcp

import (
	"os"
	"testing"
)

// A message that was never written may be sent again.
//
// contract: M3
func TestUnwrittenIsUnsent(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c := &command{stdin: w}
	x := new(exchange)
	c.write(outgoing{[]byte("first\n"), x})
	if _, _, sent := x.end(); !sent {
		t.Error("what was written is taken as never sent")
	}
	r.Close()
	x = new(exchange)
	c.write(outgoing{[]byte("second\n"), x})
	if _, _, sent := x.end(); sent {
		t.Error("what could not be written is taken as sent")
	}
}

// A server's requests pile up nowhere, whether they are answered or not.
//
// contract: M2
func TestRequestsOfTheServersAreBounded(t *testing.T) {
	w := newWire(&isolate{changed: func() {}})
	w.stop = func() {}
	for range 10 * maxRequests { // more than the queue takes: it would wait for ever
		w.read([]byte(`{"jsonrpc":"2.0","id":"a","method":"sampling/createMessage"}`))
	}
	if n := len(w.in); n != maxRequests {
		t.Errorf("%d wait, want %d", n, maxRequests)
	}
	_ = w.Close()
}
