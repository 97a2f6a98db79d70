package scan

import (
	"errors"
	"fmt"
)

// maxListed is how many failures an error lists.
const maxListed = 10

// failures collects the first few errors of a long call, and the number of the others.
type failures struct {
	first []error
	more  int
}

func (f *failures) add(err error) {
	if len(f.first) < maxListed {
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
