//go:build !linux

package lockfile

import (
	"errors"
	"os"
	"runtime"
)

func identify(*os.File) (identity, error) {
	return identity{}, errors.New("this needs Linux, and this is " + runtime.GOOS)
}

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
