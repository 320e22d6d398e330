package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/provider/mock"
)

// The pace of the mock and of the models in loadtest/*.caddyfile.
const (
	mockTokens = 8
	mockDelay  = 10 * time.Millisecond
)

// floorServer is the in-process mock behind HTTP: what a load generator sees of it is the floor under everything that stands in
// front of a model of that pace.
type floorServer struct{ model *mock.Provider }

func (f *floorServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ep := openai.Chat
	if r.Method != http.MethodPost || r.URL.Path != "/v1"+ep.Path() {
		openai.UnknownURL(r.Method, r.URL.Path).WriteTo(w)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		openai.InvalidRequest("", "The body could not be read.").WriteTo(w)
		return
	}
	req, e := openai.ParseRequest(ep, body)
	if e != nil {
		e.WriteTo(w)
		return
	}
	res, err := f.model.Do(r.Context(), &provider.Call{Request: req, Model: req.Model})
	if err != nil {
		openai.Internal().WriteTo(w)
		return
	}
	defer res.Body.Close()
	maps.Copy(w.Header(), res.Header)
	w.WriteHeader(res.Status)
	rc := http.NewResponseController(w)
	b := make([]byte, 4<<10)
	for {
		n, err := res.Body.Read(b)
		if n > 0 {
			if _, werr := w.Write(b[:n]); werr != nil || rc.Flush() != nil {
				return // the client has left
			}
		}
		if err != nil {
			return
		}
	}
}

// mockHello is the one line the mock prints once it listens.
type mockHello struct {
	Addr string `json:"addr"`
}

// runMock is the subcommand mock: the floor on an address of its own. Started by the bench it ends with its standard input;
// started by hand, with a signal.
func runMock(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("mock", flag.ExitOnError)
	addr := fs.String("addr", "127.0.0.1:0", "where to listen, on this machine")
	tokens := fs.Int("tokens", mockTokens, "length of an answer")
	delay := fs.Duration("delay", mockDelay, "time between tokens")
	held := fs.Bool("held", false, "end with standard input")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if host, _, err := net.SplitHostPort(*addr); err != nil || !strings.HasPrefix(host, "127.") && host != "localhost" && host != "::1" {
		return fmt.Errorf("mock: %s is no address of this machine alone", *addr)
	}
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("mock: %w", err)
	}
	srv := &http.Server{
		Handler:           &floorServer{mock.New(mock.Options{Tokens: *tokens, TokenDelay: *delay})},
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	if err := json.NewEncoder(os.Stdout).Encode(mockHello{ln.Addr().String()}); err != nil {
		return fmt.Errorf("mock: announcing the address: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if *held {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	go func() {
		<-ctx.Done()
		_ = srv.Close() // what is under way is nobody's any more
	}()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("mock: %w", err)
	}
	return nil
}
