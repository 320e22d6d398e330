package state

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

const (
	// SessionTTL is how long a session is kept after its last use.
	SessionTTL = 30 * time.Minute

	// LeaseTTL is how long a lease holds after its last renewal.
	LeaseTTL = 30 * time.Second

	// MaxSessionBytes bounds the Size of a session.
	MaxSessionBytes = 256 << 10
)

// The length of an id, in bytes.
const (
	minSessionID = 16
	maxSessionID = 128
)

// SessionKey names a session. Both parts count: the same id of another user is
// another session.
type SessionKey struct {
	// User is who has been authenticated; anonymous callers are "".
	User string

	// ID is what the client sends or was given, see ValidSessionID.
	ID string
}

// ValidSessionID reports whether id is one: 16 to 128 letters, digits, _ and -.
func ValidSessionID(id string) bool {
	if len(id) < minSessionID || len(id) > maxSessionID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// NewSessionID returns an id nobody can guess: 32 characters, 192 random bits.
func NewSessionID() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Session is what is kept from run to run. As JSON it is what a client may see of
// it.
type Session struct {
	Agent string `json:"agent"`

	// Phase is the index of the phase that comes next.
	Phase int `json:"phase"`

	// Steps counts the model's turns in all runs.
	Steps int `json:"steps"`

	// Notebook holds the model's drafts, the oldest first. Whoever adds to it keeps
	// it short; the store only refuses what is beyond MaxSessionBytes.
	Notebook []string `json:"notebook,omitempty"`

	// Created and Used are the store's, in UTC. Beginning, saving and releasing are
	// uses, looking is none.
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"`

	// Running reports whether a run holds the session, as Get sees it.
	Running bool `json:"running"`
}

// Size returns what the session counts against MaxSessionBytes: its text and 16
// bytes a note, so that empty notes are not free.
func (s *Session) Size() int {
	const note = 16
	n := len(s.Agent)
	for _, text := range s.Notebook {
		n += len(text) + note
	}
	return n
}

// clone returns a copy that shares nothing that can change.
func (s *Session) clone() Session {
	c := *s
	c.Notebook = slices.Clone(s.Notebook)
	return c
}

// detached returns a copy that shares no memory with s: a note may be a small
// part of a large answer, which would be kept with it.
func (s *Session) detached() Session {
	c := s.clone()
	c.Agent = strings.Clone(s.Agent)
	for i, text := range c.Notebook {
		c.Notebook[i] = strings.Clone(text)
	}
	return c
}
