package tag

import (
	"strings"
	"testing"
)

// Each scenario is given whole and cut at every place.
//
// contract: A11
func TestParser(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
	}{
		{"nothing", "", ""},
		{"text alone", "Hello.\n", "Hello.\n"},
		{"each element", "<THOUGHT>a</THOUGHT><ACTION>b</ACTION><OBSERVATION>c</OBSERVATION><DRAFT>d</DRAFT><FINAL_ANSWER>e</FINAL_ANSWER><think>f</think>", "‹THOUGHT›a‹/THOUGHT›‹ACTION›b‹/ACTION›‹OBSERVATION›c‹/OBSERVATION›‹DRAFT›d‹/DRAFT›‹FINAL_ANSWER›e‹/FINAL_ANSWER›‹think›f‹/think›"},
		{"any case", "<Thought>a</tHOUGHT>\n<THINK>b</Think>", "‹THOUGHT›a‹/THOUGHT›\n‹think›b‹/think›"},
		{"text around", "Sure.\n<THOUGHT>a</THOUGHT>\nand", "Sure.\n‹THOUGHT›a‹/THOUGHT›\nand"},
		{"bytes that are no UTF-8", "\xff<\xfe\n<DRAFT>\xc3\x00</DRAFT>", "\xff<\xfe\n‹DRAFT›\xc3\x00‹/DRAFT›"},

		// Where an opening tag counts.
		{"opener named in prose", "I write <THOUGHT> now </THOUGHT>", "I write <THOUGHT> now </THOUGHT>"},
		{"opener after blanks", "x\n \t<DRAFT>a</DRAFT>", "x\n \t‹DRAFT›a‹/DRAFT›"},
		{"opener after a tag and blanks", "<THOUGHT>a</THOUGHT> \t<DRAFT>b</DRAFT>", "‹THOUGHT›a‹/THOUGHT› \t‹DRAFT›b‹/DRAFT›"},
		{"opener after a tag and text", "<THOUGHT>a</THOUGHT> x <DRAFT>b", "‹THOUGHT›a‹/THOUGHT› x <DRAFT>b"},
		{"opener after CRLF", "x\r\n<DRAFT>a</DRAFT>\r\n<DRAFT>b</DRAFT>", "x\r\n‹DRAFT›a‹/DRAFT›\r\n‹DRAFT›b‹/DRAFT›"},
		{"opener in a code span", "`<THOUGHT>`\n", "`<THOUGHT>`\n"},
		{"opener behind a <", "<<THOUGHT>a", "<<THOUGHT>a"},
		{"opener of another element", "<THOUGHT>a\n<ACTION>b</ACTION>", "‹THOUGHT›a\n‹/THOUGHT›‹ACTION›b‹/ACTION›"},
		{"opener of the same element", "<THOUGHT>a\n<THOUGHT title=2>b</THOUGHT>", "‹THOUGHT›a\n‹/THOUGHT›‹THOUGHT 2›b‹/THOUGHT›"},
		{"opener right after an opener", "<think><THOUGHT>a</THOUGHT>", "‹think›‹/think›‹THOUGHT›a‹/THOUGHT›"},
		{"opener within prose of an element", "<DRAFT>a <ACTION> b</DRAFT>", "‹DRAFT›a <ACTION> b‹/DRAFT›"},
		{"opener in an observation", "<OBSERVATION>a\n<FINAL_ANSWER>b", "‹OBSERVATION›a\n‹/OBSERVATION›‹FINAL_ANSWER›b‹/FINAL_ANSWER›"},
		{"openers in an answer are text", "<FINAL_ANSWER>a\n<THOUGHT>b</THOUGHT>\n<ACTION>c</FINAL_ANSWER>", "‹FINAL_ANSWER›a\n<THOUGHT>b</THOUGHT>\n<ACTION>c‹/FINAL_ANSWER›"},
		{"openers in an action are text", "<ACTION>a\n<THOUGHT>b</THOUGHT>\n</ACTION>", "‹ACTION›a\n<THOUGHT>b</THOUGHT>\n‹/ACTION›"},

		// What a tag is.
		{"blank before the name", "< THOUGHT>a\n</ THOUGHT>", "< THOUGHT>a\n</ THOUGHT>"},
		{"longer name", "<THOUGHTS>a</THOUGHTS>\n<ACTION_>", "<THOUGHTS>a</THOUGHTS>\n<ACTION_>"},
		{"shorter name", "<THOUGH>\n<FINAL>\n<>\n</>", "<THOUGH>\n<FINAL>\n<>\n</>"},
		{"a byte that folds to _ elsewhere", "<FINAL\x7fANSWER>a", "<FINAL\x7fANSWER>a"},
		{"white space in tags", "<THOUGHT\n>a</THOUGHT \n>", "‹THOUGHT›a‹/THOUGHT›"},
		{"attribute in a closing tag", "<THOUGHT>a</THOUGHT x>b</THOUGHT>", "‹THOUGHT›a</THOUGHT x>b‹/THOUGHT›"},
		{"self-closing", "<THOUGHT/>\n<DRAFT />\n<DRAFT title='a'/>\n<DRAFT title=a/>", "‹THOUGHT›‹/THOUGHT›\n‹DRAFT›‹/DRAFT›\n‹DRAFT a›‹/DRAFT›\n‹DRAFT a›‹/DRAFT›"},
		{"self-closing within another", "<THOUGHT>a\n<DRAFT/>b", "‹THOUGHT›a\n‹/THOUGHT›‹DRAFT›‹/DRAFT›b"},
		{"slash elsewhere", "<THOUGHT / >a\n<THOUGHT/ title=a>\n</THOUGHT/>", "<THOUGHT / >a\n<THOUGHT/ title=a>\n</THOUGHT/>"},
		{"other tags", "a <b>c</b> 1 < 2 <<>> </", "a <b>c</b> 1 < 2 <<>> </"},
		{"256 bytes", "<DRAFT title='" + strings.Repeat("x", 240) + "'>", "‹DRAFT " + strings.Repeat("x", 240) + "›‹/DRAFT›"},
		{"257 bytes", "<DRAFT title='" + strings.Repeat("x", 241) + "'>", "<DRAFT title='" + strings.Repeat("x", 241) + "'>"},
		{"tag in a tag that is none", "<DRAFT title='\n<THOUGHT>a</THOUGHT>" + strings.Repeat(" ", 256), "<DRAFT title='\n‹THOUGHT›a‹/THOUGHT›" + strings.Repeat(" ", 256)},
		{"tag in a title that never ends", "<DRAFT title=\"a>\n<ACTION>{\"a\":1}</ACTION>", "<DRAFT title=\"a>\n‹ACTION›{\"a\":1}‹/ACTION›"},
		{"code span in a tag that is none", "<DRAFT title='`\n```\n<THOUGHT>a</THOUGHT>", "<DRAFT title='`\n```\n<THOUGHT>a</THOUGHT>"},

		// Titles.
		{"double quotes", `<THOUGHT title="a 'b' > <c> / d">`, `‹THOUGHT a 'b' > <c> / d›‹/THOUGHT›`},
		{"single quotes", `<THOUGHT title='a "b"'>`, `‹THOUGHT a "b"›‹/THOUGHT›`},
		{"no quotes", `<THOUGHT title=a/b/c other>`, `‹THOUGHT a/b/c›‹/THOUGHT›`},
		{"any case and spacing", "<THOUGHT\n TITLE \n=\t'a'>", "‹THOUGHT a›‹/THOUGHT›"},
		{"no space before the next", `<THOUGHT a="1"title='b'c=2>`, `‹THOUGHT b›‹/THOUGHT›`},
		{"empty", `<THOUGHT title="">`, `‹THOUGHT ›‹/THOUGHT›`},
		{"no value", "<THOUGHT title>\n<THOUGHT title=>\n<THOUGHT title x=1>", "‹THOUGHT›\n‹/THOUGHT›‹THOUGHT›\n‹/THOUGHT›‹THOUGHT›‹/THOUGHT›"},
		{"other attributes", `<THOUGHT titles="a" titl='b' subtitle=c xtitle=d title2=e>`, `‹THOUGHT›‹/THOUGHT›`},
		{"the first of two", `<THOUGHT x=1 title=a title='b'>`, `‹THOUGHT a›‹/THOUGHT›`},
		{"entities", `<THOUGHT title="&quot;&amp;&lt;&gt;&#39;&apos;">`, `‹THOUGHT "&<>''›‹/THOUGHT›`},
		{"entities once, others never", `<THOUGHT title="&amp;lt; &nbsp; &quot &AMP; &">`, `‹THOUGHT &lt; &nbsp; &quot &AMP; &›‹/THOUGHT›`},
		{"title of another element", `<ACTION title="a">`, `‹ACTION a›‹/ACTION›`},
		{"quote in an attribute's name", `<THOUGHT a"b>`, `<THOUGHT a"b>`},
		{"quote in a bare value", `<THOUGHT title=a"b>`, `<THOUGHT title=a"b>`},

		// Where a closing tag counts.
		{"closer in mid-line", "<THOUGHT>a </THOUGHT> b", "‹THOUGHT›a ‹/THOUGHT› b"},
		{"closer of another element", "<THOUGHT>a</ACTION>b</think>c</THOUGHT>", "‹THOUGHT›a</ACTION>b</think>c‹/THOUGHT›"},
		{"closer in a code span", "<THOUGHT>write `</THOUGHT>` at the end</THOUGHT>", "‹THOUGHT›write `</THOUGHT>` at the end‹/THOUGHT›"},
		{"closer in a longer code span", "<THOUGHT>``</THOUGHT>`` b</THOUGHT>", "‹THOUGHT›``</THOUGHT>`` b‹/THOUGHT›"},
		{"closer after a code span", "<THOUGHT>call `f`</THOUGHT>\nb", "‹THOUGHT›call `f`‹/THOUGHT›\nb"},
		{"closer after a code span with ticks", "<THOUGHT>call ``a`b``</THOUGHT>\nb", "‹THOUGHT›call ``a`b``‹/THOUGHT›\nb"},
		{"closer after a backtick and text", "<THOUGHT>the ` key</THOUGHT>\nb", "‹THOUGHT›the ` key‹/THOUGHT›\nb"},
		{"a code span ends with its line", "<THOUGHT>the ` key\n`</THOUGHT>` b</THOUGHT>", "‹THOUGHT›the ` key\n`</THOUGHT>` b‹/THOUGHT›"},
		{"closer after a backtick at the end", "<THOUGHT>a `</THOUGHT>\n", "‹THOUGHT›a `‹/THOUGHT›\n"},
		{"closer before text of an unclosed one", "<FINAL_ANSWER>a</FINAL_ANSWER>b</FINAL_ANSWER>", "‹FINAL_ANSWER›a‹/FINAL_ANSWER›b"},

		// Closing tags outside of their element.
		{"stray closer at line start", "a\n </THOUGHT>\n</ACTION>b", "a\n \nb"},
		{"stray closer after text", "a</FINAL_ANSWER>\n", "a\n"},
		{"stray closer named in prose", "the </THOUGHT> tag", "the </THOUGHT> tag"},
		{"stray closer in code", "`</THOUGHT>` and\n```\n</THOUGHT>\n```\n", "`</THOUGHT>` and\n```\n</THOUGHT>\n```\n"},
		{"stray closer lets an opener follow", "a</THOUGHT> <DRAFT>b", "a ‹DRAFT›b‹/DRAFT›"},
		{"think opened by the prompt", "so it is.\n</think>\nYes", "so it is.\n‹/think›\nYes"},
		{"think opened by the prompt, in mid-line", "so it is. </think> Yes", "so it is. ‹/think› Yes"},
		{"think opened by the prompt, with tags in it", "a\n<ACTION>b</ACTION>\nc</think>", "a\n‹ACTION›b‹/ACTION›\nc‹/think›"},
		{"think opened by the prompt, once", "a</think>b</think>\n</think> the </think> tag", "a‹/think›b\n the </think> tag"},
		{"think opened by the model", "<think>a</think>b</think>c </think>", "‹think›a‹/think›bc </think>"},
		{"think opened by both", "\n<think>\na</think>b", "\n‹think›\na‹/think›b"},
		{"think in code", "`</think>` and\n~~~\n</think>\n", "`</think>` and\n~~~\n</think>\n"},

		// Code fences.
		{"fence outside", "```xml\n<THOUGHT>a</THOUGHT>\n```\n<THOUGHT>b</THOUGHT>", "```xml\n<THOUGHT>a</THOUGHT>\n```\n‹THOUGHT›b‹/THOUGHT›"},
		{"fence of tildes", "<FINAL_ANSWER>\n~~~\n</FINAL_ANSWER>\n~~~\n</FINAL_ANSWER>.", "‹FINAL_ANSWER›\n~~~\n</FINAL_ANSWER>\n~~~\n‹/FINAL_ANSWER›."},
		{"fence in each element", "<DRAFT>\n```\n</DRAFT>\n<ACTION>\n```\n</DRAFT>\n<think>\n```\n</think>\n```\n</think>", "‹DRAFT›\n```\n</DRAFT>\n<ACTION>\n```\n‹/DRAFT›\n‹think›\n```\n</think>\n```\n‹/think›"},
		{"fence right after a tag", "<DRAFT>```\n</DRAFT>\n```\n</DRAFT>.", "‹DRAFT›```\n</DRAFT>\n```\n‹/DRAFT›."},
		{"fence with indent", "   ```\n<DRAFT>\n   ```  \n<DRAFT>", "   ```\n<DRAFT>\n   ```  \n‹DRAFT›‹/DRAFT›"},
		{"indent too deep", "    ```\n<DRAFT>a\n\t```\n</DRAFT>.", "    ```\n‹DRAFT›a\n\t```\n‹/DRAFT›."},
		{"two ticks are none", "``\n<DRAFT>", "``\n‹DRAFT›‹/DRAFT›"},
		{"ticks in mid-line are none", "a ```\n<DRAFT>", "a ```\n‹DRAFT›‹/DRAFT›"},
		{"shorter, other, or with text: open still", "````\n```\n~~~~\n````x\n<DRAFT>\n`````\r\n<DRAFT>", "````\n```\n~~~~\n````x\n<DRAFT>\n`````\r\n‹DRAFT›‹/DRAFT›"},
		{"ticks in the first line: a code span", "```a``` b\n<DRAFT>", "```a``` b\n‹DRAFT›‹/DRAFT›"},
		{"ticks in the first line of tildes", "~~~ `a`\n<DRAFT>\n~~~\n<DRAFT>", "~~~ `a`\n<DRAFT>\n~~~\n‹DRAFT›‹/DRAFT›"},
		{"the language may be a tag", "``` </think>\n<DRAFT>\n```\n", "``` </think>\n<DRAFT>\n```\n"},
		{"closer behind a closing fence", "<THOUGHT>\n```\na\n```</THOUGHT>\n<DRAFT>b", "‹THOUGHT›\n```\na\n```‹/THOUGHT›\n‹DRAFT›b‹/DRAFT›"},
		{"closer behind a closing fence and blanks", "<THOUGHT>\n```\na\n``` </THOUGHT> b", "‹THOUGHT›\n```\na\n``` ‹/THOUGHT› b"},
		{"a fence ends with its element", "<DRAFT>\n```\n\n```</DRAFT>\n<DRAFT>\n</DRAFT>.", "‹DRAFT›\n```\n\n```‹/DRAFT›\n‹DRAFT›\n‹/DRAFT›."},
		{"never closed, tag at the end", "<FINAL_ANSWER>\n```go\nx\n</FINAL_ANSWER>", "‹FINAL_ANSWER›\n```go\nx\n‹/FINAL_ANSWER›"},
		{"never closed, white space at the end", "<FINAL_ANSWER>\n```go\nx</FINAL_ANSWER> \r\n\t\n", "‹FINAL_ANSWER›\n```go\nx‹/FINAL_ANSWER› \r\n\t\n"},
		{"never closed, much white space at the end", "<DRAFT>\n```\n</DRAFT>" + strings.Repeat("\n", 256), "‹DRAFT›\n```\n‹/DRAFT›" + strings.Repeat("\n", 256)},
		{"never closed, too much white space at the end", "<DRAFT>\n```\n</DRAFT>" + strings.Repeat("\n", 257), "‹DRAFT›\n```\n</DRAFT>" + strings.Repeat("\n", 257) + "‹/DRAFT›"},
		{"never closed, text at the end", "<DRAFT>\n```\n</DRAFT>\n.", "‹DRAFT›\n```\n</DRAFT>\n.‹/DRAFT›"},
		{"never closed, the tag twice", "<DRAFT>\n```\n</DRAFT> </DRAFT>", "‹DRAFT›\n```\n</DRAFT> ‹/DRAFT›"},
		{"never closed, another tag at the end", "<DRAFT>\n```\n</THOUGHT>", "‹DRAFT›\n```\n</THOUGHT>‹/DRAFT›"},

		// Actions.
		{"tag in a string", `<ACTION>{"a":"</ACTION>"}</ACTION>`, `‹ACTION›{"a":"</ACTION>"}‹/ACTION›`},
		{"escaped quote", `<ACTION>{"a":"\"</ACTION>","b":"\\"}</ACTION>.`, `‹ACTION›{"a":"\"</ACTION>","b":"\\"}‹/ACTION›.`},
		{"escaped <", `<ACTION>{"a":"\</ACTION>\`, `‹ACTION›{"a":"\</ACTION>\‹/ACTION›`},
		{"backslash outside of strings", `<ACTION>\"a\"</ACTION>`, `‹ACTION›\"a\"‹/ACTION›`},
		{"quote missing, line ends", "<ACTION>{\"a\":\"b}</ACTION> \t\r\nc", "‹ACTION›{\"a\":\"b}‹/ACTION› \t\r\nc"},
		{"quote missing, tag follows", "<ACTION>{\"a\":\"b}</ACTION> <DRAFT>c", "‹ACTION›{\"a\":\"b}‹/ACTION› ‹DRAFT›c‹/DRAFT›"},
		{"quote missing, input ends", "<ACTION>{\"a\":\"b}</ACTION> ", "‹ACTION›{\"a\":\"b}‹/ACTION› "},
		{"quote missing, text follows", "<ACTION>{\"a\":\"b}</ACTION> c", "‹ACTION›{\"a\":\"b}</ACTION> c‹/ACTION›"},
		{"quote missing, too many blanks", "<ACTION>\"</ACTION>" + strings.Repeat(" ", 257) + "\n", "‹ACTION›\"</ACTION>" + strings.Repeat(" ", 257) + "\n‹/ACTION›"},
		{"string over lines", "<ACTION>{\"a\":\"b\nc</ACTION> d", "‹ACTION›{\"a\":\"b\nc‹/ACTION› d"},
		{"escaped end of line", "<ACTION>{\"a\":\"b\\\nc</ACTION> d", "‹ACTION›{\"a\":\"b\\\nc‹/ACTION› d"},
		{"in a fence", "<ACTION>\n```json\n{}\n```\n</ACTION>\n<ACTION>```{}```</ACTION>.", "‹ACTION›\n```json\n{}\n```\n‹/ACTION›\n‹ACTION›```{}```‹/ACTION›."},
		{"two actions", "<ACTION>{}</ACTION><ACTION>{}</ACTION>", "‹ACTION›{}‹/ACTION›‹ACTION›{}‹/ACTION›"},
		{"other tags in an action", "<ACTION>a</THOUGHT>b</FINAL_ANSWER></ACTION>", "‹ACTION›a</THOUGHT>b</FINAL_ANSWER>‹/ACTION›"},
		{"strings are not remembered", "<ACTION>\"</ACTION>\n<ACTION>a</ACTION> b", "‹ACTION›\"‹/ACTION›\n‹ACTION›a‹/ACTION› b"},

		// The input's end.
		{"unclosed", "<THOUGHT>a", "‹THOUGHT›a‹/THOUGHT›"},
		{"half a closing tag", "<THOUGHT>a</THOU", "‹THOUGHT›a‹/THOUGHT›"},
		{"hardly any closing tag", "<THOUGHT>a</", "‹THOUGHT›a‹/THOUGHT›"},
		{"not even that", "<THOUGHT>a<", "‹THOUGHT›a<‹/THOUGHT›"},
		{"half a closing tag with white space", "<THOUGHT>a</THOUGHT \n", "‹THOUGHT›a‹/THOUGHT›"},
		{"half a closing tag in a fence", "<THOUGHT>\n```\na\n</THOU", "‹THOUGHT›\n```\na\n‹/THOUGHT›"},
		{"half a closing tag in a string", `<ACTION>{"a":"b</ACT`, `‹ACTION›{"a":"b‹/ACTION›`},
		{"half a closing tag of another", "<THOUGHT>a</ACT", "‹THOUGHT›a</ACT‹/THOUGHT›"},
		{"half a closing tag outside", "a</THOU", "a</THOU"},
		{"half an opening tag", "a\n<THOUGHT title='b", "a\n<THOUGHT title='b"},
		{"half an opening tag with another in it", "<THOUGHT title='\n<DRAFT>a</DRA", "<THOUGHT title='\n‹DRAFT›a‹/DRAFT›"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Parser
			if got := record(t, &p, All, tt.in).String(); got != tt.want {
				t.Fatalf("%q\ngot  %q\nwant %q", tt.in, got, tt.want)
			}
			if got := record(t, &p, All, bytewise(tt.in)...).String(); got != tt.want {
				t.Errorf("byte by byte: %q\ngot  %q\nwant %q", tt.in, got, tt.want)
			}
			for i := range len(tt.in) {
				if got := record(t, &p, All, tt.in[:i], tt.in[i:]).String(); got != tt.want {
					t.Errorf("cut at %d: %q\ngot  %q\nwant %q", i, tt.in, got, tt.want)
				}
			}
		})
	}
}

// contract: A11
func TestOnlyHonouredTagsCount(t *testing.T) {
	const in = "<think>a\n<ACTION>b</ACTION>\n</think>\n<FINAL_ANSWER>c</FINAL_ANSWER>\n</think>\n</DRAFT>"
	for _, tt := range []struct {
		honoured Set
		want     string
	}{
		{Of(Think), "‹think›a\n<ACTION>b</ACTION>\n‹/think›\n<FINAL_ANSWER>c</FINAL_ANSWER>\n\n</DRAFT>"},
		{Of(FinalAnswer, Draft), "<think>a\n<ACTION>b</ACTION>\n</think>\n‹FINAL_ANSWER›c‹/FINAL_ANSWER›\n</think>\n"},
		{Of(), in},
		{Of(None), in},
	} {
		var p Parser
		if got := record(t, &p, tt.honoured, in).String(); got != tt.want {
			t.Errorf("%b\ngot  %q\nwant %q", tt.honoured, got, tt.want)
		}
	}
}

// The zero value honours all names, and End leaves a parser that begins anew with
// the names it had.
func TestParserIsReusable(t *testing.T) {
	var p Parser
	for range 2 {
		r := new(recorder)
		p.Feed([]byte("<DRAFT>\n```\n`"), r)
		p.End(r)
		if got, want := r.String(), "‹DRAFT›\n```\n`‹/DRAFT›"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	p.Reset(Of(Think))
	for range 2 {
		r := new(recorder)
		p.Feed([]byte("<DRAFT></think>"), r)
		p.End(r)
		if got, want := r.String(), "<DRAFT>‹/think›"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Text goes on at once: only what may be a tag is held back.
func TestTextIsNotDelayed(t *testing.T) {
	for _, tt := range []struct{ in, held string }{
		{"a", ""},
		{"a\n", ""},
		{"a <", "<"},
		{"a <d", ""},
		{"a <b", ""},
		{"\n<d", "<d"},
		{"\n<di", ""},
		{"\n<DRAFT title='", "<DRAFT title='"},
		{"a </", "</"},
		{"<think></think>a </", ""},
		{"a</", "</"},
		{"a\n```\n</", ""},
		{"<DRAFT>a </dr", "</dr"},
		{"<DRAFT>a </th", ""},
		{"<DRAFT>\n```\n</draft>\n", "</draft>\n"},
		{"<DRAFT>\n```\n</draft>\n\n}", ""},
		{"<ACTION>\"</action> ", "</action> "},
		{"<ACTION>\"</action>}", ""},
		{"<FINAL_ANSWER>\n<DRAFT", ""},
	} {
		var p Parser
		r := new(recorder)
		p.Feed([]byte(tt.in), r)
		if got := string(p.hold[:p.held]); got != tt.held {
			t.Errorf("%q: holds %q, want %q", tt.in, got, tt.held)
		}
	}
}

func TestString(t *testing.T) {
	want := "none THOUGHT ACTION OBSERVATION DRAFT FINAL_ANSWER think"
	var got []string
	for n := None; n <= Think; n++ {
		got = append(got, n.String())
		if All.Has(n) != (n != None) {
			t.Errorf("All.Has(%s) = %t", n, All.Has(n))
		}
	}
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}
