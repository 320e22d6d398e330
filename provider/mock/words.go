package mock

import (
	"hash/crc32"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lexicon holds word classes; every pattern of eight makes a sentence of the
// length of a default answer.
var lexicon = [...][8]string{
	{"calm", "bright", "small", "old", "green", "quiet", "warm", "silver"},
	{"rivers", "lanterns", "gardens", "boats", "hills", "birds", "letters", "harbours"},
	{"carry", "follow", "reach", "light", "cross", "keep", "find", "leave"},
	{"past", "near", "under", "beyond", "above", "beside", "behind", "through"},
}

// sentence is the order of the classes.
var sentence = [...]int{0, 1, 2, 0, 1, 3, 0, 1}

// forms holds every word as " word." and " Word.", of which a token is a slice:
// saying something costs no allocation.
var forms = func() (f [len(lexicon)][8][2]string) {
	for class, list := range lexicon {
		for i, w := range list {
			f[class][i] = [2]string{" " + w + ".", " " + strings.ToUpper(w[:1]) + w[1:] + "."}
		}
	}
	return
}()

// word returns the k-th token of the text that seed stands for, with the space
// before it. last closes the sentence early.
func word(seed uint64, k int, last bool) string {
	at := k % len(sentence)
	capital := 0
	if at == 0 {
		capital = 1
	}
	w := forms[sentence[at]][mix(seed+uint64(k))%8][capital] //nolint:gosec // k is not negative
	if k == 0 {
		w = w[1:]
	}
	if !last && at != len(sentence)-1 {
		w = w[:len(w)-1]
	}
	return w
}

// say returns n tokens of the text that seed stands for.
func say(seed uint64, n int) string {
	var b strings.Builder
	for k := range n {
		b.WriteString(word(seed, k, k == n-1))
	}
	return b.String()
}

// mix spreads x over all bits (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// digest hashes b. Two CRCs cost next to nothing on long prompts because
// processors have instructions for them; nobody gains by a collision here.
func digest(b []byte) uint64 {
	return mix(uint64(crc32.Checksum(b, castagnoli))<<32 | uint64(crc32.ChecksumIEEE(b)))
}

// id returns prefix and the digits of x.
func id(prefix string, x uint64) string {
	b := make([]byte, 0, 32)
	b = append(b, prefix...)
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[x>>shift&15])
	}
	return string(b)
}

// words cuts text before every white space that follows a word. Joined, the
// pieces are the text again.
func words(text string) (list []string) {
	from, inside := 0, false
	for i, c := range text {
		space := unicode.IsSpace(c)
		if space && inside {
			list = append(list, text[from:i])
			from = i
		}
		inside = !space
	}
	if from == len(text) {
		return list
	}
	if !inside && len(list) > 0 { // only space is left
		list[len(list)-1] += text[from:]
		return list
	}
	return append(list, text[from:])
}

// pieces cuts text into at most n parts of about the same size, never within a
// character.
func pieces(text string, n int) (list []string) {
	size := (len(text) + n - 1) / n
	for len(text) > size {
		at := size
		for at < len(text) && !utf8.RuneStart(text[at]) {
			at++
		}
		if at == len(text) {
			break
		}
		list = append(list, text[:at])
		text = text[at:]
	}
	return append(list, text)
}

func appendInt[T int | int64](dst []byte, v T) []byte { return strconv.AppendInt(dst, int64(v), 10) }
