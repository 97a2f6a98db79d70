package engine

import "time"

// maintenance carries out what servers announce of their maintenance.
type maintenance struct{}

func (m *maintenance) window(*partition) time.Duration { return 0 }

func (m *maintenance) record(*partition) time.Duration { return 0 }
