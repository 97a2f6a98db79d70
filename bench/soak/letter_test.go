package soak

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/producer"
)

// TestLettersAreIdentified by what is in them, or in the entry that they refer to.
func TestLettersAreIdentified(t *testing.T) {
	k, ids := sixEntries(t)
	ctx := context.Background()
	dead := k.layout.Keys(0).DeadLetters
	for _, fields := range [][]string{
		{"f", "v", "lbs-input", `{"DataStreamName":"s-12","Info":{"Work":34}}`, "_reason", "permanent: x"},
		{"lbs-input", `{"DataStreamName":"s-1","Info":{"Work":2}}`, "lbs-input", `{"DataStreamName":"s-3","Info":{"Work":4}}`},
		{"lbs-input", `{"DataStreamName":"other-1","Info":{"Work":2}}`},
		{"lbs-input", `{"DataStreamName":"s-1"}`},
		{"_reason", "malformed: x", "_reference", "x"},
		{"_reason", "too_large: x", "_reference", ids[4]},
		{"_reason", "too_large: x", "_reference", "1-1"},
	} {
		require.NoError(t, command(k, "XADD", dead, append([]string{"*"}, fields...)...).Error())
	}
	for range 2 * letterPage {
		require.NoError(t, command(k, "XADD", dead, "*", "f", strings.Repeat("x", 1000)).Error())
	}
	all, err := k.letters(ctx)
	require.NoError(t, err)
	require.Len(t, all, 7+2*letterPage)
	for i, want := range []announcement{{12, 34}, {1, 2}, {}, {}, {}, {4, 7}, {}} {
		require.Equal(t, want, all[i].which, all[i].text)
		require.Equal(t, i == 6, all[i].missing)
		require.Equal(t, i >= 5 && i < 7, all[i].reference != "")
	}
	require.Contains(t, all[0].text, `"_reason"="permanent: x"`)
	require.Less(t, len(all[9].text), 300)

	require.NoError(t, k.drop(ctx, all))
	all, err = k.letters(ctx)
	require.NoError(t, err)
	require.Empty(t, all)
	left, err := command(k, "XRANGE", "svc-input", "-", "+").AsXRange()
	require.NoError(t, err)
	require.Len(t, left, len(ids)-1, "the entry went with its letter")
}

// TestStrandedEntryIsRequeuedWhole: with all of its fields, and once.
func TestStrandedEntryIsRequeuedWhole(t *testing.T) {
	k, ids := sixEntries(t)
	ctx := context.Background()
	require.NoError(t, command(k, "XACK", "svc-input", "svc-group", ids[1]).Error())
	all, err := k.stranded(ctx)
	require.NoError(t, err)
	require.Equal(t, []strandedEntry{{"svc-input", ids[1], announcement{1, 7}}}, all)
	before, err := command(k, "XRANGE", "svc-input", ids[1], ids[1]).AsXRange()
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, k.requeue(ctx, all[0]))
	}
	after, err := command(k, "XRANGE", "svc-input", "-", "+").AsXRange()
	require.NoError(t, err)
	require.Len(t, after, len(ids))
	require.Equal(t, before[0].FieldValues, after[len(ids)-1].FieldValues)
	all, err = k.stranded(ctx)
	require.NoError(t, err)
	require.Empty(t, all)
}

// TestPoisonerKnowsWhatItSent: an announcement that can be read has a number that it gave, and is in the partition of its stream.
func TestPoisonerKnowsWhatItSent(t *testing.T) {
	k, _ := sixEntries(t)
	ctx := context.Background()
	works := make(map[int]int)
	p := &poisoner{producer: producer.Producer{Service: "svc", Prefix: "s-"}, store: k, rnd: rand.New(rand.NewPCG(1, 0)), small: &schedule{every: time.Second}, large: &schedule{every: 3 * time.Second},
		work: func(stream int) int { works[stream]++; return 100 + works[stream] }, sent: make(map[string]int), announced: make(map[announcement]bool)}
	sent, read := 0, 0
	for passed := time.Duration(0); sent < 40; passed += 100 * time.Millisecond {
		input, fields := p.next(ctx, passed)
		if fields == nil {
			continue
		}
		sent++
		require.Equal(t, "svc-input", input)
		require.NoError(t, k.add(ctx, input, fields))
		for i := 0; i < len(fields); i += 2 {
			if fields[i] != "lbs-input" {
				continue
			}
			if which, ok := k.announcement(fields[i+1]); ok {
				read++
				require.True(t, p.announced[which])
			}
			break
		}
	}
	require.Len(t, p.announced, read)
	require.Equal(t, sent-read, p.unreadable)
	require.Greater(t, len(p.sent), 8)
	p.small, p.large = nil, nil
	_, fields := p.next(ctx, time.Hour)
	require.Nil(t, fields)
}
