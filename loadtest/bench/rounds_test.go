package main

import (
	"slices"
	"testing"
)

func TestOrderIsBalanced(t *testing.T) {
	first, follows := map[int]int{}, map[[2]int]int{}
	for round := range 6 {
		o := order(3, round)
		if s := slices.Sorted(slices.Values(o)); !slices.Equal(s, []int{0, 1, 2}) {
			t.Fatalf("round %d: %v", round, o)
		}
		first[o[0]]++
		follows[[2]int{o[0], o[1]}]++
		follows[[2]int{o[1], o[2]}]++
	}
	for i := range 3 {
		if first[i] != 2 {
			t.Errorf("target %d is first in %d of 6 rounds", i, first[i])
		}
		for j := range 3 {
			if i != j && follows[[2]int{i, j}] != 2 {
				t.Errorf("target %d follows %d in %d of 6 rounds", j, i, follows[[2]int{i, j}])
			}
		}
	}
}

func TestSharesAddUp(t *testing.T) {
	for _, n := range []int{0, 1, 7, 6000, 1751} {
		sum := 0
		for s := range 8 {
			sum += share(n, s, 8)
		}
		if sum != n {
			t.Errorf("shares of %d add up to %d", n, sum)
		}
	}
}
