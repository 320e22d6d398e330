package agentruntime

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"
)

// Pattern is a way of working that agents follow. It is immutable.
type Pattern struct {
	Name string

	// Native says that the model calls functions; otherwise it writes tags.
	Native bool

	// NoTools says that agents of the pattern have no tools of their own.
	NoTools bool

	// Phases are what the model goes through in order, if the pattern has any.
	Phases []Phase

	// AtLeast is how many phases a turn must have before its answer counts, unless
	// it has the last one; 0 for no such rule.
	AtLeast int

	// Resumes says that a session goes on with the phase at which it stopped.
	Resumes bool

	text *template.Template // nil: none
}

// Phase is one step of a Pattern: its name, and what is to be done.
type Phase struct{ Title, Task string }

// Placeholders are what a pattern's text may refer to, such as {{.Agent}}. All of
// them stay the same over requests, so that providers can cache the prompt.
type Placeholders struct {
	// Agent is the agent's name.
	Agent string

	// Format explains the tags. It is added at the end of a text that does not
	// refer to it.
	Format string
}

// ladder is what texts of patterns with phases refer to besides.
type ladder struct {
	Placeholders
	Phases  []numberedPhase
	AtLeast int
}

// numberedPhase is a Phase with its number, from 1.
type numberedPhase struct {
	Phase
	Number int
}

//go:embed patterns/*.txt
var texts embed.FS

func textOf(name string) string {
	b, err := texts.ReadFile("patterns/" + name + ".txt")
	if err != nil {
		panic(err) // it is compiled in
	}
	return string(b)
}

var format = strings.TrimSpace(textOf("format"))

// The patterns there are without any configuration.
var builtin = []*Pattern{
	{Name: "native", Native: true},
	{Name: "react", text: template.Must(parse(textOf("react")))},
	{Name: "linear", NoTools: true, Resumes: true, AtLeast: 3, text: template.Must(parse(textOf("linear"))), Phases: []Phase{
		{"Restate", "say in your own words what is asked, and what a good answer must do"},
		{"Facts", "list what is given, and what you know for certain"},
		{"Unknowns", "list what is missing or unclear"},
		{"Assumptions", "say what you take for granted, and how much depends on it"},
		{"Parts", "cut the problem into parts that can be solved on their own"},
		{"Options", "find at least two ways for the parts that matter"},
		{"Choice", "choose, and say what decided"},
		{"Steps", "work the chosen way out, step by step"},
		{"Check", "verify every step: numbers, names, logic"},
		{"Objections", "argue against your result as somebody would who knows better"},
		{"Repair", "mend what did not hold"},
		{"Answer", "decide on form, length and tone of the answer"},
	}},
	{Name: "analytical", text: template.Must(parse(textOf("analytical"))), Phases: []Phase{
		{"Draft", "write a whole first answer into a DRAFT"},
		{"Critique", "look for what is wrong, missing, unclear or too long in it, point by point"},
		{"Refine", "write the answer anew with every point of the critique settled: that is the FINAL_ANSWER"},
	}},
	{Name: "sonata", text: template.Must(parse(textOf("sonata"))), Phases: []Phase{
		{"Analysis", "take the task apart: what is asked, what is known, what has to be found out"},
		{"Strategy", "weigh the ways to an answer against each other, and choose one"},
		{"Synthesis", "bring everything together into the FINAL_ANSWER"},
	}},
}

// Patterns returns the built-in patterns.
func Patterns() []*Pattern { return slices.Clone(builtin) }

// NewPattern makes a pattern of tags from an operator's text, a text/template over
// Placeholders. The error says what is wrong with the text.
func NewPattern(name, text string, tools bool) (*Pattern, error) {
	t, err := parse(text)
	if err != nil {
		return nil, err
	}
	p := &Pattern{Name: name, NoTools: !tools, text: t}
	if _, err := p.render("agent"); err != nil {
		return nil, err
	}
	return p, nil
}

func parse(text string) (*template.Template, error) {
	t, err := template.New("text").Parse(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("text: %w", err)
	}
	return t, nil
}

// render returns the pattern's text for an agent.
func (p *Pattern) render(agent string) (string, error) {
	if p == nil || p.text == nil {
		return "", nil
	}
	var values any = Placeholders{Agent: agent, Format: format}
	if len(p.Phases) > 0 {
		l := ladder{Placeholders: Placeholders{Agent: agent, Format: format}, AtLeast: p.AtLeast}
		for i, phase := range p.Phases {
			l.Phases = append(l.Phases, numberedPhase{phase, i + 1})
		}
		values = l
	}
	var b bytes.Buffer
	if err := p.text.Execute(&b, values); err != nil {
		return "", fmt.Errorf("text: %w (known placeholders: .Agent, .Format)", err)
	}
	text := b.String()
	if !strings.Contains(text, format) {
		text += "\n\n" + format
	}
	return text, nil
}

// system returns the message that is the same in every request of the agent, nil
// for none (contract A4).
func (a *Agent) system() []byte {
	a.prompt.Do(func() {
		text, err := a.Pattern.render(a.Name)
		if err != nil {
			panic(err) // NewPattern has rendered it once
		}
		if text != "" && a.System != "" {
			text += "\n\n"
		}
		if text += a.System; text != "" {
			a.static = appendText(nil, "system", text)
		}
	})
	return a.static
}
