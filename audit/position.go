package audit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
)

const offsetName = "offset"

// position is a place between two lines of the journal.
type position struct {
	segment uint64 // the number of its first line
	offset  int64  // in its file
	line    uint64 // the number of the next line
}

type savedPosition struct {
	Segment uint64 `json:"segment"`
	Offset  int64  `json:"offset"`
	Line    uint64 `json:"line"`
}

// save writes p into the directory's file, as a whole or not at all. It is not synced:
// an older position costs doubles, not events.
func (p position) save(dir string) error {
	b, err := json.Marshal(savedPosition{p.segment, p.offset, p.line})
	if err != nil {
		return err
	}
	name := filepath.Join(dir, offsetName)
	if err := os.WriteFile(name+".new", append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// loadPosition reads what save has written. What can't be read is the beginning.
func loadPosition(dir string) position {
	var p savedPosition
	b, err := os.ReadFile(filepath.Join(dir, offsetName))
	if err != nil || json.Unmarshal(b, &p) != nil || p.Offset < 0 || p.Line < p.Segment {
		return position{}
	}
	return position{p.Segment, p.Offset, p.Line}
}

// mark is what the journal holds at a moment.
type mark struct {
	next   uint64   // the number of the line behind it
	active *segment // nil: none
	size   int64    // of active
}

// mark, isSynced and isShipped: mu is held.
func (l *Log) mark() *mark {
	m := &mark{next: l.next, active: l.active}
	if m.active != nil {
		m.size = m.active.size
	}
	return m
}

func (l *Log) isSynced(m *mark) bool {
	return !slices.ContainsFunc(l.segments, func(s *segment) bool {
		switch {
		case s.f == nil || s.first >= m.next:
			return false
		case s == m.active:
			return s.synced < m.size
		}
		return s.synced < s.size
	})
}

func (l *Log) isShipped(m *mark) bool {
	return !slices.ContainsFunc(l.segments, func(s *segment) bool {
		switch {
		case s.first >= m.next || s.first < l.at.segment || s.lines == 0:
			return false
		case s.first > l.at.segment:
			return true
		}
		return l.at.line < min(s.end(), m.next)
	})
}

// segmentAt returns the first segment from p on, nil if there is none. mu is held.
func (l *Log) segmentAt(p position) *segment {
	for _, s := range l.segments {
		if s.first >= p.segment {
			return s
		}
	}
	return nil
}
