package local_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/universal-ai-gateway/magicproxy/users"
	"github.com/universal-ai-gateway/magicproxy/users/local"
)

func newUser(name string) (users.User, users.Token) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	_, h := users.NewToken()
	return users.User{ID: users.NewUserID(), Name: name, Created: now}, users.Token{Hash: h, ID: users.NewTokenID(), Created: now}
}

func create(t testing.TB, s *local.Store, name string) users.Token {
	t.Helper()
	u, k := newUser(name)
	if err := s.Create(t.Context(), u, k); err != nil {
		t.Fatal(err)
	}
	return k
}

// newPath returns the path of a file that is not there, nor is its folder.
func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "a", "b", "users.db") }

func TestMadeWithFirstUser(t *testing.T) {
	t.Run("its folder too", func(t *testing.T) { madeWithFirstUser(t, newPath(t)) })
	t.Run("in a folder", func(t *testing.T) { madeWithFirstUser(t, filepath.Join(t.TempDir(), "users.db")) })
}

func madeWithFirstUser(t *testing.T, path string) {
	_, err := os.Stat(filepath.Dir(path))
	folder := err == nil
	s := open(t, path)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Find(t.Context(), users.Hash{1}); err != users.ErrUnknown {
		t.Errorf("Find: %v", err)
	}
	if all, err := s.List(t.Context(), "", 10); len(all) != 0 || err != nil {
		t.Errorf("List: %v, %v", all, err)
	}
	if err := s.Delete(t.Context(), "ann"); err != users.ErrUnknown {
		t.Errorf("Delete: %v", err)
	}
	if h := s.Health(); !h.Up || h.Since.IsZero() {
		t.Errorf("health: %+v", h)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the file was made: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); (err == nil) != folder {
		t.Fatalf("the folder was made: %v", err)
	}
	k := create(t, s, "ann")
	if u, _, err := s.Find(t.Context(), k.Hash); err != nil || u.Name != "ann" {
		t.Errorf("Find: %+v, %v", u, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	modes := map[string]os.FileMode{path: 0o600}
	if !folder {
		modes[filepath.Dir(path)], modes[filepath.Dir(filepath.Dir(path))] = 0o700, 0o700
	}
	for p, want := range modes {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", p, info, err)
		}
	}
}

func TestOpenedAgain(t *testing.T) {
	path := newPath(t)
	first := local.New(path)
	k := create(t, first, "ann")
	closeStore(t, first)
	closeStore(t, first)
	for name, err := range map[string]error{"Create": first.Create(t.Context(), users.User{ID: "x", Name: "x"}, k), "Disable": first.Disable(t.Context(), "ann", true), "Start": first.Start()} {
		if err == nil || errors.Is(err, users.ErrUnknown) {
			t.Errorf("%s once closed: %v", name, err)
		}
	}
	if _, _, err := first.Find(t.Context(), k.Hash); err == nil || errors.Is(err, users.ErrUnknown) {
		t.Errorf("Find once closed: %v", err)
	}
	second := open(t, path)
	for range 2 {
		if err := second.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if u, _, err := second.Find(t.Context(), k.Hash); err != nil || u.Name != "ann" {
		t.Errorf("Find: %+v, %v", u, err)
	}
}

func TestLockedByAnother(t *testing.T) {
	path := newPath(t)
	first := local.New(path)
	k := create(t, first, "ann")
	second := open(t, path)
	began := time.Now()
	err := second.Start()
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("Start: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("waited for %v", took)
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	if _, _, err := second.Find(ctx, k.Hash); err == nil || errors.Is(err, users.ErrUnknown) {
		t.Errorf("Find: %v", err)
	}
	if h := second.Health(); h.Up || h.Since.IsZero() || !strings.Contains(h.Error, path) {
		t.Errorf("health: %+v", h)
	}
	closeStore(t, first)
	if err := second.Start(); err != nil {
		t.Fatalf("once it is free: %v", err)
	}
	if u, _, err := second.Find(ctx, k.Hash); err != nil || u.Name != "ann" {
		t.Errorf("Find: %+v, %v", u, err)
	}
	if h := second.Health(); !h.Up || h.Error != "" {
		t.Errorf("health: %+v", h)
	}
}

func TestNoPlaceForIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(file, "users.db"))
	u, k := newUser("ann")
	if err := s.Create(t.Context(), u, k); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Create: %v", err)
	}
	if h := s.Health(); h.Up || h.Error == "" {
		t.Errorf("health: %+v", h)
	}
}

// damage changes the file of a closed store behind its back.
func damage(t *testing.T, path string, do func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err == nil {
		err = db.Update(do)
		if e := db.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDamagedValues(t *testing.T) {
	const id = `"id":"user_x","created":1,"allow":null,"limits":null`
	for name, value := range map[string]string{
		"empty":                 "",
		"a later version":       "\x02{" + id + `,"tokens":[]}`,
		"no JSON":               "\x01{",
		"no object":             "\x01[]",
		"null":                  "\x01null",
		"an unknown field":      "\x01{" + id + `,"tokens":[],"later":true}`,
		"another type":          "\x01{" + id + `,"tokens":7}`,
		"no id":                 "\x01" + `{"created":1,"tokens":[]}`,
		"a token without hash":  "\x01{" + id + `,"tokens":[{"id":"tok_x"}]}`,
		"a token of short hash": "\x01{" + id + `,"tokens":[{"id":"tok_x","hash":"AAAA"}]}`,
		"something behind":      "\x01{" + id + `,"tokens":[]}{}`,
		"not the token's owner": "\x01{" + id + `,"tokens":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			s := local.New(path)
			k, other := create(t, s, "ann"), create(t, s, "bob")
			closeStore(t, s)
			damage(t, path, func(tx *bolt.Tx) error { return tx.Bucket([]byte("users")).Put([]byte("ann"), []byte(value)) })

			s = open(t, path)
			_, _, err := s.Find(t.Context(), k.Hash)
			damaged(t, "Find", err)
			if h := s.Health(); h.Up {
				t.Errorf("health: %+v", h)
			}
			if u, _, err := s.Find(t.Context(), other.Hash); err != nil || u.Name != "bob" {
				t.Errorf("Find of another: %+v, %v", u, err)
			}
			if name == "not the token's owner" {
				return
			}
			_, err = s.Get(t.Context(), "ann")
			damaged(t, "Get", err)
			_, err = s.List(t.Context(), "", 10)
			damaged(t, "List", err)
			damaged(t, "Disable", s.Disable(t.Context(), "ann", true)) // would lose what a later version knows
			damaged(t, "Delete", s.Delete(t.Context(), "ann"))
		})
	}
	t.Run("an entry without its user", func(t *testing.T) {
		path := newPath(t)
		s := local.New(path)
		k := create(t, s, "ann")
		closeStore(t, s)
		damage(t, path, func(tx *bolt.Tx) error { return tx.Bucket([]byte("users")).Delete([]byte("ann")) })
		_, _, err := open(t, path).Find(t.Context(), k.Hash)
		damaged(t, "Find", err)
	})
}

// damaged requires an error that says what is damaged, and nothing of users.
func damaged(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, users.ErrUnknown) || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), `user "ann"`) {
		t.Errorf("%s: %v", what, err)
	}
}

// spoilt writes what do makes of the pages of a file.
func spoilt(t *testing.T, path string, do func(pages []byte, size int) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			defer f.Close()
			b = do(b, os.Getpagesize())
			_, err = f.WriteAt(b, 0)
			if err == nil {
				err = f.Truncate(int64(len(b)))
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// noise replaces all pages from one on.
func noise(from int) func([]byte, int) []byte {
	return func(pages []byte, size int) []byte {
		for i := from * size; i < len(pages); i++ {
			pages[i] = 0xa5
		}
		return pages
	}
}

func TestDamagedFile(t *testing.T) {
	for name, do := range map[string]func([]byte, int) []byte{
		"all of it":        noise(0),
		"all but its head": noise(2),
		"cut short":        func(pages []byte, size int) []byte { return pages[:2*size] },
		"cut shorter":      func(pages []byte, size int) []byte { return pages[:size/2] },
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			s := local.New(path)
			k := create(t, s, "ann")
			closeStore(t, s)
			spoilt(t, path, do)
			s = open(t, path)
			for range 2 {
				unusable(t, s, path, k)
			}
		})
	}
}

// TestDamagedWhileOpen: the library reads the file as it is at each moment.
func TestDamagedWhileOpen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file is locked against writing here")
	}
	for name, do := range map[string]func([]byte, int) []byte{
		"overwritten": noise(2),
		"cut short":   func(pages []byte, size int) []byte { return pages[:2*size] },
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			s := open(t, path)
			k := create(t, s, "ann")
			spoilt(t, path, do)
			for range 2 {
				unusable(t, s, path, k)
			}
		})
	}
}

// unusable requires errors that are the backend's.
func unusable(t *testing.T, s *local.Store, path string, k users.Token) {
	t.Helper()
	_, _, err := s.Find(t.Context(), k.Hash)
	u, other := newUser("bob")
	for what, err := range map[string]error{"Find": err, "Create": s.Create(t.Context(), u, other), "Delete": s.Delete(t.Context(), "ann")} {
		if err == nil || errors.Is(err, users.ErrUnknown) || errors.Is(err, users.ErrTaken) {
			t.Errorf("%s: %v", what, err)
		} else if what == "Create" && !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v does not name the file", what, err)
		}
	}
	if h := s.Health(); h.Up || h.Error == "" {
		t.Errorf("health: %+v", h)
	}
}
