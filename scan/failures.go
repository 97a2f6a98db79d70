package scan

import (
	"errors"
	"fmt"
)

// toldFailures is how many failures an error names one by one.
const toldFailures = 10

// failures are the first few errors of a long call, and the number of the others.
type failures struct {
	first []error
	more  int
}

func (f *failures) add(err error) {
	if len(f.first) < toldFailures {
		f.first = append(f.first, err)
	} else {
		f.more++
	}
}

func (f *failures) err() error {
	if f.more > 0 {
		return errors.Join(append(f.first, fmt.Errorf("and %d more", f.more))...)
	}
	return errors.Join(f.first...)
}
