package engine

import "github.com/streamlease/streamlease/lease"

// wanted is what is wanted of this process: by its program, or by operators.
type wanted struct {
	pause    bool    // it is to take no more
	evacuate bool    // it is to hand back what it holds
	freeze   bool    // nothing is to move, but for the streams of processes that shut down
	weight   float64 // 0: nobody says
}

// wants is what everybody wants together.
type wants struct {
	program, operators wanted
	evacuating         int64 // since when streams are handed back, on the clock's axis; 0: they are not
}

// role returns the role that is wanted, empty if none is.
func (w *wants) role() lease.Role {
	switch {
	case w.program.evacuate || w.operators.evacuate:
		return lease.RoleEvacuating
	case w.program.pause || w.operators.pause:
		return lease.RolePaused
	}
	return ""
}

// weight returns what counts: what operators wish, as long as they do.
func (w *wants) weight() float64 {
	if w.operators.weight != 0 {
		return w.operators.weight
	}
	return w.program.weight
}

func clampWeight(w float64) float64 { return min(max(w, MinWeight), MaxWeight) }
