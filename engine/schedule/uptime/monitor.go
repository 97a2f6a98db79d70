package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"os"
	"time"

	"github.com/streamlease/streamlease/engine/schedule"
)

const (
	minEvery   = time.Second
	maxTimeout = 10 * time.Second
)

// Monitor is a target and what is expected of it: an entry of the file of monitors, and the Info of a schedule.
type Monitor struct {
	Name     string   `json:"name"`
	Target   string   `json:"target"`             // https://host/path, http://host/path or tcp://host:port
	Every    Duration `json:"every"`              // from 1 s
	Timeout  Duration `json:"timeout,omitzero"`   // at most half of Every, so that an alert has time, too; 0: that, or 10 s if shorter
	Status   int      `json:"status,omitzero"`    // of the answer; 0: any from 200 to 299
	Contains string   `json:"contains,omitempty"` // text in the first 256 KB of the answer; "": any
	CertDays int      `json:"certDays,omitzero"`  // days for which the certificate must be valid at least; 0: now
}

// loadMonitors reads the file of monitors, a JSON array.
func loadMonitors(name string) ([]Monitor, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var all []Monitor
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i := range all {
		if err := all[i].validate(); err != nil {
			return nil, fmt.Errorf("%s: monitor %d, %q: %w", name, i+1, all[i].Name, err)
		}
	}
	return all, nil
}

// validate fills in the timeout.
func (m *Monitor) validate() error {
	m.Timeout = cmp.Or(m.Timeout, min(m.Every/2, Duration(maxTimeout)))
	u, err := url.Parse(m.Target)
	switch {
	case m.Name == "":
		return fmt.Errorf("name is missing")
	case err != nil:
		return fmt.Errorf("target: %w", err)
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "tcp":
		return fmt.Errorf("target %q: want http://host/path, https://host/path or tcp://host:port", m.Target)
	case u.Scheme == "tcp" && u.Port() == "":
		return fmt.Errorf("target %q has no port", m.Target)
	case m.Every < Duration(minEvery):
		return fmt.Errorf("every is %v: want at least %v", m.Every, minEvery)
	case m.Timeout <= 0 || m.Timeout > m.Every/2:
		return fmt.Errorf("timeout is %v: want at most half of %v", m.Timeout, m.Every)
	}
	return nil
}

// specs are the schedules of monitors.
func specs(all []Monitor) iter.Seq[schedule.Spec] {
	return func(yield func(schedule.Spec) bool) {
		for _, m := range all {
			if !yield(schedule.Spec{Name: m.Name, Every: time.Duration(m.Every), Info: m}) {
				return
			}
		}
	}
}

// Duration is a time.Duration that is written as "30s".
type Duration time.Duration

func (d Duration) String() string               { return time.Duration(d).String() }
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText takes what time.ParseDuration takes.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
