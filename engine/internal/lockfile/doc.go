// Package lockfile proves that an earlier run has ended, with an exclusive lock on a local file.
//
// A run locks the file for as long as it lasts, and writes into it under which name it is known. The kernel releases the lock
// when the process is gone, all its threads included, and not before: not while it is stopped, cut off, or being killed. So:
//
//	Whoever has the lock of a file knows that every run which that very file names has ended.
//
// That is so only if the lock that they had and the lock that I have are the same lock. Three things are recorded with the names,
// and compared before a name counts:
//
//   - The boot id of the kernel. Locks are kept in its memory: a volume that was moved to another host has the names, and not the
//     lock of the process that may still run on the first one. After a reboot nothing counts either, and nothing has to: it takes
//     longer than any session.
//   - The device and the number of the file. A copy has other ones, and a file that replaces a deleted one too, while somebody has
//     the deleted one open. So whoever deletes the file can make two runs lock one path, but nobody a proof against the living.
//   - The file system must be one that keeps its locks in this kernel. Those of network and user-space file systems may end, or
//     may never have been shared, while their holder lives; they are refused.
//
// What it does not see: two copies of a virtual machine that go on from one snapshot of its memory. Both have the boot id and the lock,
// and both believe that they own its streams; only the token tells them apart.
//
// Names that are out of date do no harm: whoever wrote them had the lock at that time.
package lockfile
