package schedule

import (
	"github.com/streamlease/streamlease/engine/schedule/internal/backing"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
)

func init() {
	backing.Read = func(spec any) (backing.Spec, error) {
		s := spec.(Spec)
		d, err := s.definition()
		if err != nil {
			return backing.Spec{}, err
		}
		t, err := termsOf(s.Name, &d)
		read := backing.Spec{Terms: t, Shown: specOf(s.Name, &record.Row{Definition: d})}
		read.Times, read.Rest = d.Encode()
		return read, err
	}
	backing.SavesAtOnce = func(t *ticking.Terms) bool { return savesAtOnce(t.Every()) }
}
