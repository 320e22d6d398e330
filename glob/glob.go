// Package glob matches names against the patterns of the configuration. A * is
// any run of characters, slashes and colons included, a ? exactly one; all else
// stands for itself. There is nothing to escape: no name contains either.
//
//	glob.Match("groq/*", "groq/llama-3.1-8b-instant") // true
package glob

// Match reports whether name as a whole matches pattern. It takes time
// proportional to the product of the lengths at worst, and no memory.
func Match(pattern, name string) bool {
	p, n := 0, 0
	star, mark := -1, 0 // the last *, and where its run ends for now
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Any reports whether name matches one of the patterns. No patterns at all
// match everything.
func Any(patterns []string, name string) bool {
	for _, p := range patterns {
		if Match(p, name) {
			return true
		}
	}
	return len(patterns) == 0
}
