package agentruntime

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// dynamic is the text that may differ from turn to turn (contract A4).
func (r *Run) dynamic(final bool) string {
	if !r.a.tags() && len(r.a.Tools) == 0 {
		return "" // plain chat
	}
	b := []byte("<context>\nDate: ")
	b = time.Now().UTC().AppendFormat(b, time.DateOnly)
	if r.a.tags() {
		b = append(b, "\nTools:"...)
		if final || r.box.none() {
			b = append(b, " none"...)
		} else {
			b = append(append(b, '\n'), r.box.list()...)
			b = b[:len(b)-1]
		}
	}
	if len(r.box.down) > 0 {
		b = fmt.Appendf(b, "\nUnavailable servers: %s", strings.Join(r.box.down, ", "))
	}
	if phases := r.phases(); len(phases) > 0 {
		b = appendPhases(b, phases, r.notes.Phase, r.a.Pattern.AtLeast)
	}
	if len(r.notes.Notebook) > 0 {
		b = append(b, "\nNotebook:"...)
		for i, note := range r.notes.Notebook {
			b = fmt.Appendf(b, "\n[%d] %s", i+1, neutral(note))
		}
	}
	if r.steps == 0 && r.a.tags() && !final {
		if must := r.req.must(); must != "" {
			b = append(append(b, '\n'), must...)
		}
	}
	return string(append(b, "\n</context>"...))
}

func appendPhases(b []byte, phases []Phase, done, atLeast int) []byte {
	if done >= len(phases) {
		return append(b, "\nPhase: all are done"...)
	}
	b = fmt.Appendf(b, "\nPhase: %s (%d of %d)\nNext phases:", phases[done].Title, done+1, len(phases))
	for i, p := range phases[done:] {
		if i > 0 {
			b = append(b, " |"...)
		}
		b = append(append(b, ' '), p.Title...)
	}
	if atLeast > 0 {
		b = fmt.Appendf(b, "\nGo through at least %d of them now.", min(atLeast, len(phases)-done))
	}
	return b
}

// draft keeps a draft in the notebook, within its bounds.
func (r *Run) draft(text string) {
	notes := append(r.notes.Notebook, openai.Cut(text, maxNoteBytes)) //nolint:gocritic // a session's notes are the run's
	size := 0
	for i, note := range slices.Backward(notes) {
		if size += len(note); size > maxNoteBytes || len(notes)-i > maxNotes {
			notes = notes[i+1:]
			break
		}
	}
	r.notes.Notebook, r.drafted = notes, true
}

// phase notes that a phase has begun, if the title is that of one to come.
func (r *Run) phase(title string) bool {
	phases := r.phases()
	for i := r.notes.Phase; i < len(phases); i++ {
		if equalTitle(phases[i].Title, title) {
			r.notes.Phase = i + 1
			return true
		}
	}
	return false
}

func (r *Run) phases() []Phase {
	if r.a.Pattern == nil {
		return nil
	}
	return r.a.Pattern.Phases
}
