package caddymodule

import (
	"slices"
	"strings"
)

// list is args for a list of names, in which a comma is a mistake.
func (r *reader) list(what, syntax string) ([]string, error) {
	word := r.Val()
	values, err := r.args(1, many, syntax)
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		if strings.HasSuffix(v, ",") {
			return nil, r.Errf("%s: %s are separated by blanks, without commas", word, what)
		}
	}
	return values, nil
}

// count reads an option with a whole number above zero.
func (r *reader) count() (int, error) {
	word := r.Val()
	v, err := r.arg("a whole number above zero")
	if err != nil {
		return 0, err
	}
	return r.number(word, v, 1)
}

// choice reads an option with one of some values.
func (r *reader) choice(values []string) (string, error) {
	word, syntax := r.Val(), alternatives(values)
	v, err := r.arg(syntax)
	if err == nil && !slices.Contains(values, v) {
		err = r.Errf("%s: expected %s, not '%s'", word, syntax, v)
	}
	return v, err
}
