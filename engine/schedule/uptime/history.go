package main

import (
	"context"
	"database/sql"
	_ "embed"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // the driver
)

//go:embed schema.sql
var schema string

// promptly is the lateness up to which a check is on time.
const promptly = 100 * time.Millisecond

// history is what SQLite keeps. One goroutine writes, several read.
type history struct {
	db  *sql.DB
	ids map[string]int64 // of monitors, for the writer
}

func openHistory(ctx context.Context, file string) (*history, error) {
	pragmas := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: url.PathEscape(file), RawQuery: pragmas.Encode()}).String())
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		db.Close()
		return nil, err
	}
	return &history{db: db, ids: make(map[string]int64)}, nil
}

func (h *history) close() error { return h.db.Close() }

// position is up to where reports were written.
func (h *history) position(ctx context.Context) (position string, err error) {
	err = h.db.QueryRowContext(ctx, "SELECT coalesce(max(id), '0-0') FROM position").Scan(&position)
	return position, err
}

// write writes a batch and the position after it, in one transaction. What is there already changes nothing, so a report counts once.
func (h *history) write(ctx context.Context, batch []Report, position string) error {
	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	insert, err := tx.PrepareContext(ctx, "INSERT OR IGNORE INTO reports VALUES (?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	defer insert.Close()
	minutes := make(map[int64]Minute)
	for _, r := range batch {
		id, err := h.id(ctx, tx, r.Monitor)
		if err != nil {
			return err
		}
		failure := sql.NullString{String: r.State.Error, Valid: r.failed()}
		done, err := insert.ExecContext(ctx, id, r.At.UnixMilli(), r.State.Took.Milliseconds(), r.Late.Milliseconds(), failure)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil {
			return err
		} else if n == 1 {
			at := r.At.Truncate(time.Minute).Unix()
			minutes[at] = minutes[at].with(&r)
		}
	}
	for at, m := range minutes {
		_, err := tx.ExecContext(ctx, `INSERT INTO minutes VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET checks = checks + excluded.checks,
			late = late + excluded.late, latest = max(latest, excluded.latest), missed = missed + excluded.missed`,
			at, m.Checks, m.Late, m.Latest.Milliseconds(), m.Missed)
		if err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO position VALUES (1, ?)", position); err != nil {
		return err
	}
	return tx.Commit()
}

// id is the number that stands for a monitor: rows are a ninth as large as with names.
func (h *history) id(ctx context.Context, tx *sql.Tx, monitor string) (id int64, err error) {
	if id, ok := h.ids[monitor]; ok {
		return id, nil
	}
	if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO monitors (name) VALUES (?)", monitor); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, "SELECT id FROM monitors WHERE name = ?", monitor).Scan(&id); err != nil {
		return 0, err
	}
	h.ids[monitor] = id
	return id, nil
}

// prune deletes reports from before a time.
func (h *history) prune(ctx context.Context, before time.Time) error {
	_, err := h.db.ExecContext(ctx, "DELETE FROM reports WHERE monitor IN (SELECT id FROM monitors) AND at < ?", before.UnixMilli())
	return err
}

// Past is one check of a monitor, as the history has it.
type Past struct {
	At    time.Time
	Took  time.Duration
	Late  time.Duration
	Error string
}

// last returns the latest n checks of a monitor, the latest first.
func (h *history) last(ctx context.Context, monitor string, n int) ([]Past, error) {
	rows, err := h.db.QueryContext(ctx, `SELECT at, took, late, coalesce(error, '') FROM reports
		WHERE monitor = (SELECT id FROM monitors WHERE name = ?) ORDER BY at DESC LIMIT ?`, monitor, n)
	return collect(rows, err, func(p *Past) error {
		var at, took, late int64
		err := rows.Scan(&at, &took, &late, &p.Error)
		p.At, p.Took, p.Late = time.UnixMilli(at), millis(took), millis(late)
		return err
	})
}

// share counts the checks of a monitor since a time.
func (h *history) share(ctx context.Context, monitor string, since time.Time) (s Share, err error) {
	err = h.db.QueryRowContext(ctx, `SELECT count(*), count(*) - count(error) FROM reports
		WHERE monitor = (SELECT id FROM monitors WHERE name = ?) AND at >= ?`, monitor, since.UnixMilli()).Scan(&s.Checks, &s.Good)
	return s, err
}

// Minute is how punctual the checks were that were due in one minute.
type Minute struct {
	At     time.Time
	Checks int
	Late   int           // of them, those that were not on time
	Latest time.Duration // how late the latest was
	Missed int           // were not made at all
}

func (m Minute) with(r *Report) Minute {
	m.Checks++
	m.Missed += r.Missed
	m.Latest = max(m.Latest, r.Late)
	if r.Late > promptly {
		m.Late++
	}
	return m
}

// minutes returns the minutes since a time in which checks were due.
func (h *history) minutes(ctx context.Context, since time.Time) ([]Minute, error) {
	rows, err := h.db.QueryContext(ctx, "SELECT at, checks, late, latest, missed FROM minutes WHERE at >= ? ORDER BY at", since.Unix())
	return collect(rows, err, func(m *Minute) error {
		var at, latest int64
		err := rows.Scan(&at, &m.Checks, &m.Late, &latest, &m.Missed)
		m.At, m.Latest = time.Unix(at, 0), millis(latest)
		return err
	})
}

// collect reads all rows.
func collect[T any](rows *sql.Rows, err error, scan func(*T) error) (all []T, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one T
		if err := scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
