package lockfile

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// bootFile has an id that the kernel draws when it starts. All containers of a host see the same one.
const bootFile = "/proc/sys/kernel/random/boot_id"

// localFileSystems are those whose locks are in the memory of this kernel and nowhere else, by the number that statfs returns.
// bcachefs is not one of them: a snapshot there has the device and the inode numbers of what it was taken of, so a lock in it
// would look like the one that somebody else still holds.
var localFileSystems = map[uint32]string{
	0x0000ef53: "ext2, ext3, ext4",
	0x58465342: "xfs",
	0x9123683e: "btrfs",
	0x01021994: "tmpfs",
	0x858458f6: "ramfs",
	0x794c7630: "overlayfs",
	0xf2f52010: "f2fs",
	0x2fc12fc1: "zfs",
	0x3153464a: "jfs",
}

// identify returns what makes a lock on f the same lock, or why it would prove nothing.
func identify(f *os.File) (id identity, err error) {
	boot, err := os.ReadFile(bootFile)
	if err != nil {
		return id, fmt.Errorf("the kernel does not say which boot this is: %w", err)
	}
	if id.Boot = strings.TrimSpace(string(boot)); id.Boot == "" {
		return id, errors.New("the kernel does not say which boot this is: " + bootFile + " is empty")
	}
	var fs syscall.Statfs_t
	if err := control(f, func(fd int) error { return syscall.Fstatfs(fd, &fs) }); err != nil {
		return id, err
	}
	if _, local := localFileSystems[uint32(fs.Type)]; !local {
		return id, fmt.Errorf("its file system, of type %#x, is not known to keep its locks in this kernel:"+
			" use a folder on a local disk or in memory (tmpfs)", uint32(fs.Type))
	}
	var stat syscall.Stat_t
	if err := control(f, func(fd int) error { return syscall.Fstat(fd, &stat) }); err != nil {
		return id, err
	}
	const othersMayWrite = 0o022
	switch {
	case stat.Mode&syscall.S_IFMT != syscall.S_IFREG:
		return id, errors.New("it is not a regular file")
	case int(stat.Uid) != os.Geteuid():
		return id, fmt.Errorf("it belongs to user %d, not to %d, as whom this process runs", stat.Uid, os.Geteuid())
	case stat.Mode&othersMayWrite != 0:
		return id, fmt.Errorf("others may write it (mode %#o): remove it, or chmod go-w", stat.Mode&0o7777)
	}
	id.Device, id.Inode = uint64(stat.Dev), stat.Ino
	return id, nil
}

// tryLock locks f unless it is locked. The lock belongs to the open file: it lasts until that is closed, also by the end of the
// process. Children do not inherit it, since Go opens files with O_CLOEXEC.
func tryLock(f *os.File) (locked bool, err error) {
	err = control(f, func(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// control calls a function with the descriptor of f, again after each signal.
func control(f *os.File, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for {
			if failed = call(int(fd)); !errors.Is(failed, syscall.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, failed)
}
