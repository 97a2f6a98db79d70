package measure

import (
	"os"
	"runtime/pprof"
)

// Profile is a profile of processor time that is being written, or none.
type Profile struct{ file *os.File }

// Turn begins a profile in a file, or ends it if path is empty.
func (p *Profile) Turn(path string) (err error) {
	if p.file != nil {
		pprof.StopCPUProfile()
		err = p.file.Close()
		p.file = nil
	}
	if path == "" || err != nil {
		return err
	}
	if p.file, err = os.Create(path); err != nil {
		return err
	}
	return pprof.StartCPUProfile(p.file)
}
