package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// proof reads the history that the processes wrote.
type proof struct{ db *sql.DB }

func openProof(file string) (*proof, error) {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: url.PathEscape(file), RawQuery: "mode=ro&_pragma=busy_timeout(10000)"}).String())
	return &proof{db}, err
}

func (p *proof) close() error { return p.db.Close() }

// figures are about the checks that were due in some time.
type figures struct {
	checks          int
	p50, p99, worst time.Duration // how late they began
}

func (f figures) String() string {
	return fmt.Sprintf("%d checks, late by %v (median), %v (99 %%), %v (the latest)", f.checks, f.p50, f.p99, f.worst)
}

func (p *proof) between(ctx context.Context, from, to time.Time) (f figures, err error) {
	rows, err := p.db.QueryContext(ctx, "SELECT late FROM reports WHERE at >= ? AND at < ? ORDER BY late", from.UnixMilli(), to.UnixMilli())
	if err != nil {
		return f, err
	}
	defer rows.Close()
	var all []time.Duration
	for rows.Next() {
		var ms int64
		if err := rows.Scan(&ms); err != nil {
			return f, err
		}
		all = append(all, time.Duration(ms)*time.Millisecond)
	}
	if n := len(all); n > 0 {
		f = figures{n, all[n/2], all[n*99/100], all[n-1]}
	}
	return f, rows.Err()
}

// monitors returns how many have been checked.
func (p *proof) monitors(ctx context.Context) (n int, err error) {
	err = p.db.QueryRowContext(ctx, "SELECT count(*) FROM monitors").Scan(&n)
	return n, err
}

// lost returns how many checks there are, and which are missing between two of them, by their times alone: the first of each monitor is off
// the grid, all others are an interval apart.
func (p *proof) lost(ctx context.Context, every time.Duration) (checks int, lost []string, err error) {
	if err := p.db.QueryRowContext(ctx, "SELECT count(*) FROM reports").Scan(&checks); err != nil {
		return 0, nil, err
	}
	rows, err := p.db.QueryContext(ctx, `SELECT name, before, at FROM
		(SELECT monitor, at, lag(at) OVER (PARTITION BY monitor ORDER BY at) AS before FROM reports) JOIN monitors ON id = monitor
		WHERE at - before > ?`, every.Milliseconds())
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var before, at int64
		if err := rows.Scan(&name, &before, &at); err != nil {
			return 0, nil, err
		}
		lost = append(lost, fmt.Sprintf("%s between %s and %s", name, clock(before), clock(at)))
	}
	return checks, lost, rows.Err()
}

func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("15:04:05.000") }
