package messages

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// writeHeap writes a profile of the live heap, if path is not empty.
func writeHeap(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
}

// profileOf returns the path of a profile of the reader, and makes its folder; empty: none is asked for.
func (s *scene) profileOf(folder, what string) (string, error) {
	if folder == "" || s.reader == nil {
		return "", nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("-profiles: %w", err)
	}
	return filepath.Join(folder, fmt.Sprintf("%s-%d-%s.pprof", s.model, s.streams, what)), nil
}

// profiled runs f with a profile of the reader, if profiles are asked for.
func (s *scene) profiled(folder, what string, f func() error) error {
	path, err := s.profileOf(folder, what)
	if err != nil {
		return err
	}
	if path == "" {
		return f()
	}
	if _, err := s.ask("profile %s", path); err != nil {
		return fmt.Errorf("-profiles: %w", err)
	}
	err = f()
	_, err2 := s.ask("profile")
	return errors.Join(err, err2)
}
