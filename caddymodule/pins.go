package caddymodule

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/universal-ai-gateway/magicproxy/mcp"
)

// pinStore keeps the pins of one tool server in a file of Caddy's data directory
// (security X8). The file is written when there is something to write, never while
// a configuration is loaded.
type pinStore struct{ path string }

// newPinStore returns the store for a server at an address: another address is
// another server, with definitions of its own.
func newPinStore(server, address string) pinStore {
	return pinStore{filepath.Join(caddy.AppDataDir(), "ai_gateway", "pins", server+fingerprint(address)+".json")}
}

// Load implements mcp.PinStore.
func (s pinStore) Load(string) (pins map[string]string, err error) {
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(b, &pins)
	return pins, err
}

// Save implements mcp.PinStore. A file that is there is replaced as a whole.
func (s pinStore) Save(_ string, pins map[string]string) (err error) {
	b, err := json.MarshalIndent(pins, "", "\t")
	if err != nil {
		return err
	}
	dir := filepath.Dir(s.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".pins-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), s.path)
}

// Interface guards
var _ mcp.PinStore = pinStore{}
