package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// spread is the median of some rounds between the least and the most.
type spread struct{ median, least, most float64 }

// spreadOf summarises at least one value.
func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return spread{median: (v[(n-1)/2] + v[n/2]) / 2, least: v[0], most: v[n-1]}
}

func rate(n int, took time.Duration) float64      { return float64(n) / took.Seconds() }
func perMessage(n int, cpu time.Duration) float64 { return cpu.Seconds() * 1000 / float64(n) }

func (r *result) of(value func(round) float64) spread {
	all := make([]float64, len(r.rounds))
	for i, one := range r.rounds {
		all[i] = value(one)
	}
	return spreadOf(all)
}

func (r *result) rates() spread {
	return r.of(func(o round) float64 { return rate(r.messages, o.took) })
}

func (r *result) cpu() spread {
	return r.of(func(o round) float64 { return perMessage(r.messages, o.cpu) })
}

func (r *result) memory() spread {
	return r.of(func(o round) float64 { return float64(o.anon) / (1 << 20) })
}

// report prints the table and, when there is somebody to compare with, the
// ratios of every other contender to the last one.
func report(w io.Writer, results []result, compare bool) {
	fmt.Fprintf(w, "\n%-34s %8s %15s   %7s %13s   %9s\n", "median of the rounds", "msg/s", "(min to max)", "CPU ms", "(min to max)", "peak MB")
	for i := range results {
		r := &results[i]
		rates, cpu := r.rates(), r.cpu()
		fmt.Fprintf(w, "%-34s %8.0f %15s   %7.2f %13s   %9.0f\n", r.name,
			rates.median, fmt.Sprintf("(%.0f to %.0f)", rates.least, rates.most),
			cpu.median, fmt.Sprintf("(%.2f to %.2f)", cpu.least, cpu.most), r.memory().most)
	}
	fmt.Fprintln(w, "CPU ms is of one message; peak MB is anonymous memory, the most in any round")
	if !compare {
		return
	}
	last := &results[len(results)-1]
	fmt.Fprintln(w)
	for i := range results[:len(results)-1] {
		r := &results[i]
		fmt.Fprintf(w, "ratio of %s to %s: %.1f x the messages/s, %.2f x the CPU, %.2f x the memory\n", r.name, last.name,
			r.rates().median/last.rates().median, r.cpu().median/last.cpu().median, r.memory().most/last.memory().most)
	}
}
