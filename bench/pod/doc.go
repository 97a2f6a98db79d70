// Package pod runs pods: processes that own streams and do nothing else, so that what they cost is what the library costs. The worker is
// such a process from inside: handlers that keep streams, call Done at once (churn), or work on each for a while and end it in one of
// several ways (job), with a journal of what they owned (journal). Process, Pod and Fleet are the same from outside, in the process that
// measures.
package pod
