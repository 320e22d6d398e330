package tag_test

import (
	"fmt"

	"github.com/universal-ai-gateway/magicproxy/agentruntime/tag"
)

type printer struct{}

func (printer) Open(n tag.Name, title []byte) { fmt.Printf("open  %s %q\n", n, title) }
func (printer) Text(n tag.Name, text []byte)  { fmt.Printf("text  %s %q\n", n, text) }
func (printer) Close(n tag.Name)              { fmt.Printf("close %s\n", n) }

func Example() {
	var p tag.Parser
	for _, chunk := range []string{"<THOUGHT title=\"Pl", "an\">Ask the <think", "er> first.</THO", "UGHT><FINAL_ANSWER>No", ".</FINAL_ANSWER>"} {
		p.Feed([]byte(chunk), printer{})
	}
	p.End(printer{})
	// Output:
	// open  THOUGHT "Plan"
	// text  THOUGHT "Ask the <think"
	// text  THOUGHT "er> first."
	// close THOUGHT
	// open  FINAL_ANSWER ""
	// text  FINAL_ANSWER "No"
	// text  FINAL_ANSWER "."
	// close FINAL_ANSWER
}
