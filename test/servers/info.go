package servers

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of the times in /proc: USER_HZ, 100 a second on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// CommandStat is what the server counted for one command.
type CommandStat struct {
	Calls         int64   // calls that ran, from clients and from scripts
	UsecTotal     int64   // µs of server time spent in it
	UsecPerCall   float64 // µs
	RejectedCalls int64   // refused before they ran
	FailedCalls   int64   // ran and returned an error
}

// Info returns the fields of a section of INFO, or of the default sections for "". It uses its own connection.
func (s *Server) Info(ctx context.Context, section string) (map[string]string, error) {
	args := []string{"INFO"}
	if section != "" {
		args = append(args, section)
	}
	text, err := s.Call(ctx, args...)
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if ok && !strings.HasPrefix(name, "#") {
			fields[name] = value
		}
	}
	return fields, nil
}

// CommandStats returns the server's counts since it started or since ResetStats, by command in lower case; a subcommand is written
// "xgroup|create", and before Redis 7.0 counts as its command, "xgroup". The question itself is one call of "info" (and of "auth"),
// counted after the reply.
func (s *Server) CommandStats(ctx context.Context) (map[string]CommandStat, error) {
	fields, err := s.Info(ctx, "commandstats")
	if err != nil {
		return nil, err
	}
	stats := make(map[string]CommandStat, len(fields))
	for name, value := range fields {
		command, ok := strings.CutPrefix(name, "cmdstat_")
		if !ok {
			continue
		}
		if stats[command], err = parseCommandStat(value); err != nil {
			return nil, fmt.Errorf("servers: %s: %w", name, err)
		}
	}
	return stats, nil
}

// parseCommandStat parses calls=1,usec=2,usec_per_call=2.00,… and ignores fields that newer servers add.
func parseCommandStat(text string) (CommandStat, error) {
	var stat CommandStat
	for field := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(field, "=")
		var err error
		switch name {
		case "calls":
			stat.Calls, err = strconv.ParseInt(value, 10, 64)
		case "usec":
			stat.UsecTotal, err = strconv.ParseInt(value, 10, 64)
		case "usec_per_call":
			stat.UsecPerCall, err = strconv.ParseFloat(value, 64)
		case "rejected_calls":
			stat.RejectedCalls, err = strconv.ParseInt(value, 10, 64)
		case "failed_calls":
			stat.FailedCalls, err = strconv.ParseInt(value, 10, 64)
		}
		if err != nil {
			return CommandStat{}, err
		}
	}
	return stat, nil
}

// ErrorStats returns how often the server replied with an error since it started or since ResetStats, by the first word: NOSCRIPT.
func (s *Server) ErrorStats(ctx context.Context) (map[string]int64, error) {
	fields, err := s.Info(ctx, "errorstats")
	if err != nil {
		return nil, err
	}
	stats := make(map[string]int64, len(fields))
	for name, value := range fields {
		word, ok := strings.CutPrefix(name, "errorstat_")
		if !ok {
			continue
		}
		if stats[word], err = strconv.ParseInt(strings.TrimPrefix(value, "count="), 10, 64); err != nil {
			return nil, fmt.Errorf("servers: %s: %w", name, err)
		}
	}
	return stats, nil
}

// ResetStats resets the counts of CommandStats and ErrorStats, and all others that CONFIG RESETSTAT resets.
func (s *Server) ResetStats(ctx context.Context) error {
	_, err := s.Call(ctx, "CONFIG", "RESETSTAT")
	return err
}

// CPU returns the processor time, user and system, that the current run has used so far, in steps of 10 ms. It needs /proc.
func (s *Server) CPU() (time.Duration, error) {
	fields, err := procStat(s.PID())
	if err != nil {
		return 0, err
	}
	const utime, stime = 11, 12 // fields 14 and 15 of the manual, counted from the state
	if len(fields) <= stime {
		return 0, fmt.Errorf("servers: /proc/%d/stat has only %d fields", s.PID(), len(fields))
	}
	user, err := strconv.ParseInt(fields[utime], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("servers: user time: %w", err)
	}
	system, err := strconv.ParseInt(fields[stime], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("servers: system time: %w", err)
	}
	return time.Duration(user+system) * clockTick, nil
}

// standsStill reports whether a process is stopped. Without /proc it returns true: a stop signal takes effect within microseconds.
func standsStill(pid int) bool {
	fields, err := procStat(pid)
	return err != nil || fields[0] == "T"
}

// procStat returns the fields of /proc/<pid>/stat from the state on; the name before it may contain spaces.
func procStat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, fmt.Errorf("servers: %w", err)
	}
	end := strings.LastIndexByte(string(text), ')')
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) == 0 {
		return nil, fmt.Errorf("servers: /proc/%d/stat is malformed", pid)
	}
	return fields, nil
}
