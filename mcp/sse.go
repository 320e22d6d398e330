package mcp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// sseTransport is HTTP+SSE as of 2024-11-05: a stream with all that the server says,
// and an address in its first event to post to.
type sseTransport struct {
	iso *isolate
	url string
}

// Connect implements sdk.Transport.
func (t *sseTransport) Connect(ctx context.Context) (sdk.Connection, error) {
	life, cancel := context.WithCancel(t.iso.life)
	until := context.AfterFunc(ctx, cancel) // the stream outlives the connecting
	w, err := t.open(life, cancel)
	if !until() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return w, nil
}

func (t *sseTransport) open(life context.Context, cancel func()) (*wire, error) {
	req, err := http.NewRequestWithContext(life, http.MethodGet, t.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, f := t.iso.send(life, req, nil, nil) //nolint:bodyclose // the goroutine below closes it
	if f != nil {
		return nil, f
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		resp.Body.Close()
		return nil, garbage("answered with no event stream")
	}
	events := newEvents(resp.Body)
	ev, err := events.next()
	if err != nil {
		resp.Body.Close()
		return nil, faultOf(err, false)
	}
	post, f := t.endpoint(ev)
	if f != nil {
		resp.Body.Close()
		return nil, f
	}
	w := newWire(t.iso)
	w.stop = cancel
	w.send = func(ctx context.Context, id string, data []byte, x *exchange) {
		if id == "" {
			t.post(ctx, w, post, id, data, x) // in order: what follows relies on it
			return
		}
		go t.post(ctx, w, post, id, data, x)
	}
	go func() {
		defer resp.Body.Close()
		for {
			ev, err := events.next()
			switch {
			case errors.Is(err, errTooLarge):
				w.broken(ev.data, tooLarge())
				err = events.skip()
			case err == nil && (ev.name == "" || ev.name == "message") && len(ev.data) > 0:
				w.read(ev.data)
			}
			if err != nil {
				w.end(&fault{kind: KindProtocol, text: "cut its answers off", cause: err})
				return
			}
		}
	}()
	return w, nil
}

// endpoint reads the address to post to. It must be the server's own: our headers go
// there too.
func (t *sseTransport) endpoint(ev event) (string, *fault) {
	if ev.name != "endpoint" {
		return "", garbage("did not say where to post to")
	}
	base, err := url.Parse(t.url)
	if err != nil {
		return "", &fault{kind: KindProtocol, text: "did not say where to post to", cause: err}
	}
	u, err := base.Parse(strings.TrimSpace(string(ev.data)))
	if err != nil || u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil {
		return "", garbage("wants its messages posted elsewhere")
	}
	return u.String(), nil
}

// post sends one message. The answer comes in the stream; here, only a refusal does.
func (t *sseTransport) post(ctx context.Context, w *wire, to, id string, data []byte, x *exchange) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(t.iso.life, cancel)
	defer stop()
	if id == "" {
		ctx, cancel = context.WithTimeout(ctx, noticeTimeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, nil)
	if err != nil {
		w.fail(id, &fault{kind: KindProtocol, text: "can't be posted to", cause: err})
		return
	}
	req.Header.Set("Content-Type", "application/json")
	resp, f := t.iso.send(ctx, req, data, x)
	if f != nil {
		if f.status == http.StatusNotFound || f.status == http.StatusBadRequest && strings.Contains(strings.ToLower(f.text), "session") {
			f.lost = true // the address names the session
		}
		w.fail(id, f)
		return
	}
	resp.Body.Close()
}
