package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// Log keeps what is logged. The zero value is empty and ready.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Logger is one that writes here.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is all that was logged so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Has says whether a text was logged.
func (l *Log) Has(text string) bool { return strings.Contains(l.String(), text) }
